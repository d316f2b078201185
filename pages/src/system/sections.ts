/** The numbers of the house as tables that stand still: a cell changes its text, nothing jumps. */
import { ago, count, decimal, minutes } from "../text/format.ts";
import { h } from "../ui/dom.ts";
import { badge } from "../ui/parts.ts";
import type { System } from "./types.ts";

type Cell = string | number | Node;

/** A titled block; `name` is for tests. */
export function section(name: string, title: string, hint: string, ...content: Node[]): HTMLElement {
  return h(
    "section.panel.block",
    { "data-testid": name, "aria-label": title },
    h("header", null, h("h2", null, title), h("p.hint", null, hint)),
    ...content,
  );
}

/** Columns that begin with `#` hold numbers and align right. `cards`: each row is a card where the window is narrow. */
export function table(columns: string[], rows: Cell[][], empty: string, form = ""): HTMLElement {
  if (!rows.length) return h("p.hint", null, empty);
  const numeric = columns.map((column) => column.startsWith("#"));
  const cell = (name: "td" | "th", content: Cell, index: number): HTMLElement =>
    h(
      name,
      { class: numeric[index] ? "number" : null, "data-label": columns[index]?.replace("#", "") || null },
      shown(content),
    );
  return h(
    "div",
    { class: `scroll ${form}`.trim(), tabindex: "0", role: "group", "aria-label": columns[0] },
    h(
      "table",
      null,
      h("thead", null, h("tr", null, ...columns.map((each, i) => cell("th", each.replace("#", ""), i)))),
      h("tbody", null, ...rows.map((row) => h("tr", null, ...row.map((each, i) => cell("td", each, i))))),
    ),
  );
}

function shown(content: Cell): string | Node {
  return typeof content === "number" ? count(content) : content;
}

export function facts(pairs: [string, Cell][]): HTMLElement {
  return h("dl.facts", null, ...pairs.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, shown(value)))));
}

export function stores({ stores: all, pool, listen, sockets }: System, now: number): HTMLElement {
  const { postgresql: db, hot_state: hot, telemetry } = all;
  const open = Object.entries(sockets).map(([space, n]) => `${space} ${count(n)}`);
  return section(
    "stores",
    "Stores",
    "PostgreSQL holds what may not be lost, hot state what may.",
    facts([
      ["PostgreSQL", `${db.version}, up ${span(now - Date.parse(db.started_at))}`],
      ["Database", db.wal_bytes_per_day === null ? bytes(db.bytes) : `${bytes(db.bytes)}, ${bytes(db.wal_bytes_per_day)} of log a day`],
      ["Processes", db.nodes],
      ["Hot state", hot.ok ? badge("arrived", hot.kind) : badge("danger", `${hot.kind} away, ${minutes((now - Date.parse(hot.since)) / 1000)}`)],
      ["Connections", `${count(pool.size - pool.idle)} busy of ${count(pool.most)}`],
      ["Wake-ups", listen.up ? badge("arrived", "listening") : badge("near", "polling")],
      ["Fixes waiting", telemetry.waiting_rows],
      ["Turned away", telemetry.refused_rows],
      ["Sockets", open.join(", ") || "none"],
    ]),
  );
}

export function queues({ outbox, subscribers, horizon_age_s }: System): HTMLElement {
  return section(
    "queues",
    "What happened",
    "The outbox, and who follows it. A follower that lags catches up; one that fails keeps its place.",
    facts([
      ["Kept", outbox ? `${count(outbox.rows)} events` : "none yet"],
      ["A day", outbox ? `${count(outbox.rows_per_day)} events` : "–"],
      ["Oldest open transaction", `${decimal(horizon_age_s)} s`],
    ]),
    table(
      ["Follower", "#Behind", "#Seconds", "State"],
      subscribers.map((each) => [
        each.name,
        each.lag_rows,
        decimal(each.lag_s),
        each.attempts
          ? badge("danger", `${each.last_error ?? "fails"}, try ${each.attempts}`)
          : each.dead_letters
            ? badge("near", `${count(each.dead_letters)} dead`)
            : badge("arrived", "up to date"),
      ]),
      "Nobody follows yet.",
    ),
  );
}

export function jobs(system: System): HTMLElement {
  return section(
    "jobs",
    "What is to be done",
    "Jobs: payments, messages, webhooks, retention.",
    table(
      ["Job", "#Waiting", "#Running", "#Gave up", "#Oldest due"],
      system.jobs.map((job) => [
        job.name,
        job.waiting,
        job.running,
        job.failed ? badge("danger", count(job.failed)) : 0,
        job.oldest_s ? minutes(job.oldest_s) : "–",
      ]),
      "Nothing waits.",
    ),
  );
}

export function tasks(system: System, now: number): HTMLElement {
  return section(
    "tasks",
    "Tasks of this process",
    `Node ${system.node}. A task that fails is started again.`,
    table(
      ["Task", "#Restarts", "Last failure", "State"],
      system.tasks.map((task) => [
        task.name,
        task.restarts,
        task.failed_at ? `${task.last_error ?? ""} ${ago(now - Date.parse(task.failed_at))}` : "–",
        task.running ? badge("arrived", "runs") : badge("danger", "stopped"),
      ]),
      "No tasks.",
    ),
  );
}

export function growth(system: System): HTMLElement {
  return section(
    "growth",
    "Growth",
    "Where a store of its own would be worth its keep shows here first.",
    facts([
      ["Fixes", `${decimal(system.fixes_per_s)} a second`],
      ["Events", system.outbox ? `${count(system.outbox.rows_per_day)} a day` : "–"],
    ]),
    table(
      ["Table", "#Rows", "#Size"],
      system.tables.map((each) => [each.name, each.rows ?? "–", bytes(each.bytes)]),
      "No tables.",
    ),
  );
}

export function span(ms: number): string {
  const seconds = Math.max(0, ms / 1000);
  return seconds < 5400 * 24 ? minutes(seconds) : `${count(seconds / 86_400)} d`;
}

function bytes(value: number): string {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
  const step = Math.min(units.length - 1, value < 1 ? 0 : Math.floor(Math.log10(value) / 3));
  return new Intl.NumberFormat(navigator.language || "en-US", {
    style: "unit",
    unit: units[step] ?? "byte",
    unitDisplay: "short",
    maximumFractionDigits: step ? 1 : 0,
  }).format(value / 1000 ** step);
}
