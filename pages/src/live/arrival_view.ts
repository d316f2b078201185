/** What is known of one arrival now: everything that a map, a headline and a screen reader need, in one place. */
import type { Eta, Freshness, Phase, Place, Position } from "../api/types.ts";
import { minutes, moment, timeRange } from "../text/format.ts";

export interface ArrivalState {
  phase: Phase;
  freshness: Freshness | null;
  position: Position | null;
  eta: Eta | null;
  destination: Place | null;
}

export const nothingKnown: ArrivalState = {
  phase: "waiting",
  freshness: null,
  position: null,
  eta: null,
  destination: null,
};

/** "12–16 min", never more exact than what is known; "Any moment" once that is over; null without an ETA. */
export function etaRange(eta: Eta | null, now = Date.now()): string | null {
  if (!eta) return null;
  if (isOver(eta, now)) return "Any moment";
  const low = Math.max(0, (moment(eta.low) - now) / 60_000);
  const high = Math.max(low, (moment(eta.high) - now) / 60_000);
  const from = Math.floor(low);
  const to = Math.max(1, Math.ceil(high));
  if (to <= 1) return minutes(30);
  if (to >= 60) return `${minutes(low * 60)} – ${minutes(high * 60)}`;
  return from >= to - 1 && from > 0 ? minutes(to * 60) : `${Math.max(1, from)}–${minutes(to * 60)}`;
}

/** "3:41 – 3:46 PM": when the door bell should ring; null once the clock has passed it. */
export function etaClock(eta: Eta | null, now = Date.now()): string | null {
  return eta && !isOver(eta, now) ? timeRange(eta.low, eta.high) : null;
}

function isOver(eta: Eta, now: number): boolean {
  return moment(eta.high) <= now;
}
