/** The words for the contract's states, kinds and reasons: one place to translate. */
import type { Alert, BookingState, Freshness, Phase } from "../api/types.ts";

export const STATE: Record<BookingState, string> = {
  requested: "Waiting for an answer",
  accepted: "Accepted",
  en_route: "On the way",
  arrived: "At the door",
  in_service: "In service",
  completed: "Completed",
  declined: "Declined",
  expired: "Expired",
  cancelled: "Cancelled",
  no_show: "Nobody home",
};

export const PHASE: Record<Phase, string> = {
  waiting: "Not yet on the way",
  en_route: "On the way",
  near: "Almost there",
  arrived: "At the door",
  ended: "Ended",
};

export const FRESHNESS: Record<Freshness, string> = {
  live: "Live",
  delayed: "Position delayed",
  lost: "No signal",
};

const EVENT: Record<string, string> = {
  "booking.requested": "Requested",
  "booking.accepted": "Accepted",
  "booking.declined": "Declined",
  "booking.expired": "No answer in time",
  "booking.released": "Given back by the technician",
  "booking.reassigned": "Given to another technician",
  "booking.departed": "On the way",
  "booking.near": "Almost there",
  "booking.arrived": "At the door",
  "booking.waited": "Waited at the door",
  "booking.started": "Work began",
  "booking.noted": "Note",
  "booking.extended": "Visit extended",
  "booking.overran": "Takes longer than expected",
  "booking.completed": "Completed",
  "booking.cancelled": "Cancelled",
  "booking.no_show": "Nobody home",
  "booking.rated": "Rated",
  "booking.overridden": "Changed by dispatch",
  "payment.authorized": "Reserved",
  "payment.captured": "Paid",
  "payment.refunded": "Refunded",
  "payment.failed": "Payment failed",
};

const AUTHOR: Record<string, string> = {
  customer: "Note from the customer",
  technician: "Note from the technician",
  dispatcher: "Note from dispatch",
};

const PAYMENT: Record<string, string> = {
  pending: "being reserved",
  verified: "card checked",
  authorized: "reserved",
  captured: "paid",
  voided: "nothing charged",
  refunded: "refunded",
  failed: "payment failed",
};

const ALERT: Record<string, string> = {
  late_to_start: "Late to start",
  predicted_late: "Will be late",
  stopped: "Standing still",
  silent: "No signal",
  off_route: "Off the route",
  overrun: "Overrunning",
  credential_expiring: "Licence expiring",
  unanswered: "Nobody answered",
};

/** Why a visit is without an answer, when it is not that the time ran out. */
const WAITING: Record<string, string> = { waiting: "No answer yet", released: "Given back" };

const NO_CARDS: Record<string, [title: string, text: string]> = {
  outside_service_area: ["We do not come there yet", "Move the pin, or try another address."],
  nobody_qualified: [
    "Nobody with the right licence here",
    "No technician holds what this service needs at this address.",
  ],
  nobody_free: ["Everyone is busy then", "Choose another time: tomorrow morning is often free."],
};

export function eventWords(type: string): string {
  return EVENT[type] ?? sentence(type.split(".").at(-1) ?? type);
}

/** Who wrote a note. */
export function authorWords(role: unknown): string {
  return (typeof role === "string" && AUTHOR[role]) || "Note";
}

/** How a price stands, as the words after it: "$68.90 · paid". */
export function paymentWords(status: string): string {
  return PAYMENT[status] ?? `payment ${sentence(status).toLowerCase()}`;
}

export function alertWords({ kind, data }: Alert): string {
  const waiting = kind === "unanswered" && typeof data["cause"] === "string" ? WAITING[data["cause"]] : undefined;
  return waiting ?? ALERT[kind] ?? sentence(kind);
}

/** What an alert says beside its kind when no visit at hand can say more. */
export function alertDetail({ kind, data }: Alert): string {
  const left = data["days_left"];
  if (kind === "credential_expiring" && typeof left === "number") {
    const what = typeof data["credential_type"] === "string" ? sentence(data["credential_type"]) : "";
    return `${what} · ${left < 0 ? "expired" : left === 0 ? "today" : left === 1 ? "tomorrow" : `in ${left} days`}`;
  }
  return data["cause"] === "expired" ? "The request is lost" : "";
}

export function noCards(reason: string | null | undefined): [title: string, text: string] {
  return NO_CARDS[reason ?? ""] ?? ["Nobody found", "Try another time or another address."];
}

/** `hvac_repair` as "Hvac repair", for a name that the server did not spell out. */
export function sentence(code: string): string {
  const words = code.replaceAll("_", " ").replaceAll("-", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** The tone (see `data-tone` in parts.css) of a visit that is in this state and phase. */
export function toneOf(state: BookingState, phase: Phase | null = null): string {
  if (state === "en_route") return phase === "near" ? "near" : "en_route";
  if (["declined", "expired", "cancelled", "no_show"].includes(state)) return "danger";
  return ["requested", "accepted"].includes(state) ? "waiting" : state;
}
