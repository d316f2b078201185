/** All active visits as dispatch sees them: the booking, what moves, and what is wrong with it. */
import type { Alert, Booking, BookingState } from "../api/types.ts";
import type { Mover } from "../live/fleet.ts";
import { serviceName } from "../text/service_names.ts";
import { FRESHNESS, PHASE, STATE, alertWords, toneOf } from "../text/words.ts";

export const ACTIVE: BookingState[] = ["requested", "accepted", "en_route", "arrived", "in_service"];

export interface Visit {
  id: string;
  booking: Booking;
  mover: Mover | null;
  alerts: Alert[];
}

export type Filter = "all" | "way" | "waiting" | "work" | "trouble";

export const FILTERS: Record<Filter, { words: string; takes: (visit: Visit) => boolean }> = {
  all: { words: "All", takes: () => true },
  way: { words: "On the way", takes: (visit) => visit.booking.state === "en_route" },
  waiting: { words: "Waiting", takes: (visit) => ["requested", "accepted"].includes(visit.booking.state) },
  work: { words: "At the door", takes: (visit) => ["arrived", "in_service"].includes(visit.booking.state) },
  trouble: { words: "Trouble", takes: (visit) => inTrouble(visit) },
};

export class Visits {
  readonly byId = new Map<string, Visit>();
  readonly #movers = new Map<string, Mover>();
  readonly #alerts = new Map<string, Alert>();
  readonly #heardAt = new Map<string, number>();
  /** Counts changes of what the list shows beside plain movement. */
  revision = 0;

  replace(bookings: Booking[]): void {
    const ids = new Set(bookings.map((booking) => booking.booking_id));
    for (const id of this.byId.keys()) if (!ids.has(id)) this.byId.delete(id);
    for (const booking of bookings) this.put(booking);
    this.revision += 1;
  }

  /** Takes a booking unless a newer one is known; one that is over leaves. */
  put(booking: Booking): void {
    const known = this.byId.get(booking.booking_id);
    if (known && known.booking.version > booking.version) return;
    this.revision += 1;
    if (!ACTIVE.includes(booking.state)) {
      this.byId.delete(booking.booking_id);
      return;
    }
    if (known) {
      known.booking = booking;
      return;
    }
    const id = booking.booking_id;
    const alerts = this.alerts.filter((alert) => alert.booking_id === id);
    this.byId.set(id, { id, booking, mover: this.#movers.get(id) ?? null, alerts });
  }

  move(movers: Mover[]): void {
    for (const mover of movers) {
      this.#movers.set(mover.bookingId, mover);
      const visit = this.byId.get(mover.bookingId);
      if (visit) visit.mover = mover;
    }
  }

  stop(bookingIds: Iterable<string>): void {
    for (const id of bookingIds) {
      this.#movers.delete(id);
      const visit = this.byId.get(id);
      if (visit) visit.mover = null;
    }
  }

  /** Without a connection nothing is known to be where it was: every row says so. */
  fade(): void {
    for (const mover of this.#movers.values()) if (mover.freshness === "live") mover.freshness = "delayed";
  }

  keepMoving(ids: Set<string>): void {
    this.stop([...this.#movers.keys()].filter((id) => !ids.has(id)));
  }

  /** Takes an alert unless something newer is known of it. What is over is remembered, so that no old word revives it. */
  alert(alert: Alert): void {
    const known = this.#alerts.get(alert.alert_id);
    if (known && known.at > alert.at) return;
    this.#alerts.set(alert.alert_id, alert);
    this.#heardAt.set(alert.alert_id, performance.now());
    this.#tell(alert.booking_id);
    this.revision += 1;
  }

  /** Takes the whole list as it was asked for at `askedAt`; what is not in it, and was not heard of since, is over. */
  allAlerts(raised: Alert[], askedAt: number): void {
    const ids = new Set(raised.map((alert) => alert.alert_id));
    for (const [id, alert] of this.#alerts) {
      if (ids.has(id) || (this.#heardAt.get(id) ?? 0) > askedAt) continue;
      this.#alerts.delete(id);
      this.#heardAt.delete(id);
      this.#tell(alert.booking_id);
    }
    for (const alert of raised) this.alert(alert);
    this.revision += 1;
  }

  #tell(bookingId: string | null): void {
    const visit = bookingId ? this.byId.get(bookingId) : undefined;
    if (visit) visit.alerts = this.alerts.filter((alert) => alert.booking_id === visit.id);
  }

  /** Seconds to the door of everybody on the way, by booking. */
  etas(): Record<string, number> {
    const known = [...this.#movers.values()].filter((mover) => mover.etaAt !== null);
    return Object.fromEntries(known.map((mover) => [mover.bookingId, ((mover.etaAt ?? 0) - performance.now()) / 1000]));
  }

  get alerts(): Alert[] {
    const raised = [...this.#alerts.values()].filter((alert) => alert.state === "raised");
    return raised.sort((a, b) => b.at.localeCompare(a.at));
  }
}

export function inTrouble(visit: Visit): boolean {
  return visit.alerts.length > 0 || visit.mover?.freshness === "lost";
}

/** Who is on the way comes first, soonest arrival first; then who needs an answer; then who works; then the rest. */
export function inOrder(visits: Visit[]): Visit[] {
  const rank: Partial<Record<BookingState, number>> = {
    en_route: 0,
    requested: 1,
    arrived: 2,
    in_service: 3,
    accepted: 4,
  };
  const key = (visit: Visit): number => {
    if (visit.alerts.length) return -1;
    return rank[visit.booking.state] ?? 9;
  };
  const moment = (visit: Visit): number => visit.mover?.etaAt ?? Date.parse(visit.booking.starts_at);
  return [...visits].sort((a, b) => key(a) - key(b) || moment(a) - moment(b) || a.id.localeCompare(b.id));
}

/** Tone and words of a visit's badge: an alert before a lost signal before its phase. */
export function badgeOf(visit: Visit): { tone: string; words: string } {
  const { booking, mover } = visit;
  const alert = visit.alerts[0];
  if (alert) return { tone: "danger", words: alertWords(alert) };
  if (booking.state === "en_route" && mover?.freshness !== "live") {
    return { tone: "stale", words: mover ? FRESHNESS[mover.freshness] : "No position yet" };
  }
  const near = booking.state === "en_route" && mover?.phase === "near";
  return { tone: toneOf(booking.state, mover?.phase ?? null), words: near ? PHASE.near : shortState(booking.state) };
}

function shortState(state: BookingState): string {
  return state === "requested" ? "Unanswered" : STATE[state];
}

export function placeOf(booking: Booking): string {
  const { address } = booking;
  return address?.line1 ?? address?.area ?? "";
}

export function matches(visit: Visit, query: string): boolean {
  if (!query) return true;
  const { booking } = visit;
  const text = [
    booking.number,
    booking.technician?.display_name,
    booking.customer?.display_name,
    placeOf(booking),
    serviceName(booking.service),
  ]
    .join(" ")
    .toLowerCase();
  return query
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}
