/** What a person on duty should look at, worst first: a judgement over the numbers, in one sentence each. */
import { ago, count, minutes } from "../text/format.ts";
import type { System } from "./types.ts";

export interface Concern {
  grade: "bad" | "note";
  words: string;
}

/** A queue that is this far behind is felt by people; a transaction open this long holds everybody back. */
const LATE_S = 10;
const RECENT_MS = 15 * 60_000;
const UNSEALED_MOST = 200;

/** `letters`: how many wait, as words; `refusedAt`: when fixes were last seen to be turned away, in ms, or null. */
export function concernsOf(system: System, letters: string | null, refusedAt: number | null, now: number): Concern[] {
  const bad: string[] = [];
  const note: string[] = [];
  const { hot_state } = system.stores;
  if (!hot_state.ok) bad.push("Redis is away: bookings go on, positions and presence say “delayed” until it is back.");
  if (!system.listen.up) note.push("The LISTEN connection is being made again: news comes by polling meanwhile.");
  if (refusedAt !== null && now - refusedAt < RECENT_MS)
    bad.push(`Fixes were turned away by a full queue, last ${ago(now - refusedAt)}; phones keep and resend them.`);
  if (system.horizon_age_s > LATE_S)
    bad.push(`A transaction has been open for ${minutes(system.horizon_age_s)}: nothing newer than it is sent.`);
  for (const each of system.subscribers) {
    if (each.attempts) bad.push(`${each.name} fails at an event (${each.last_error ?? "no reason"}) and tries again.`);
    else if (each.lag_s > LATE_S) note.push(`${each.name} is ${minutes(each.lag_s)} behind.`);
  }
  for (const job of system.jobs) {
    if ((job.oldest_s ?? 0) > LATE_S) note.push(`${job.name} is ${minutes(job.oldest_s ?? 0)} behind.`);
  }
  for (const task of system.tasks) {
    if (!task.running) bad.push(`The task “${task.name}” does not run.`);
    else if (task.failed_at && now - Date.parse(task.failed_at) < RECENT_MS)
      note.push(`The task “${task.name}” failed ${ago(now - Date.parse(task.failed_at))} and was started again.`);
  }
  if (letters) bad.push(`${letters} for a person.`);
  if (system.audit.unsealed > UNSEALED_MOST)
    note.push(`${count(system.audit.unsealed)} decisions wait for their seal.`);
  return [
    ...bad.map((words) => ({ grade: "bad" as const, words })),
    ...note.map((words) => ({ grade: "note" as const, words })),
  ];
}
