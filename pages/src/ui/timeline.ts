/** The life of a booking as a list, newest first, in words. */
import type { BookingEvent } from "../api/types.ts";
import { dayAndTime, minutes, money, time } from "../text/format.ts";
import { authorWords, eventWords, sentence } from "../text/words.ts";
import { h } from "./dom.ts";

const TONES: Record<string, string> = {
  "booking.departed": "en_route",
  "booking.near": "near",
  "booking.arrived": "arrived",
  "booking.started": "in_service",
  "booking.completed": "completed",
  "booking.declined": "danger",
  "booking.expired": "danger",
  "booking.cancelled": "danger",
  "booking.no_show": "danger",
  "booking.overran": "danger",
  "booking.released": "danger",
  "payment.failed": "danger",
  "payment.captured": "completed",
};

export function timeline(events: BookingEvent[]): HTMLElement {
  const newest = [...events].sort((a, b) => b.seq - a.seq);
  const moneyWords = paymentsOf(events);
  return h(
    "ol.timeline",
    null,
    ...newest.map((event) => {
      const note = noteOf(event);
      return h(
        "li",
        { "data-tone": TONES[event.type] ?? null, "data-type": event.type },
        h("span", null, moneyWords.get(event.event_id) ?? noteWords(event) ?? eventWords(event.type)),
        h("time", { datetime: event.at, title: dayAndTime(event.at) }, time(event.at)),
        note ? h("p.note", null, note) : null,
      );
    }),
  );
}

/** Whose money moved, and how much. The visit is paid once and in full; what is taken besides is its tip, or a fee. */
function paymentsOf(events: BookingEvent[]): Map<string, string> {
  const words = new Map<string, string>();
  let isPaid = false;
  let isFee = false;
  for (const { event_id, type, data, booking } of [...events].sort((a, b) => a.seq - b.seq)) {
    isFee ||= type === "booking.cancelled" || type === "booking.no_show";
    const { amount, currency } = data;
    if (typeof amount !== "number" || typeof currency !== "string") continue;
    let said = data["verified_only"] === true ? "Card checked for" : eventWords(type);
    if (type === "payment.captured") {
      const isVisit: boolean = !isFee && !isPaid && (booking.price === null || amount === booking.price.total.amount);
      isPaid ||= isVisit;
      if (!isVisit) said = isFee ? "Fee paid" : "Tip paid";
    }
    words.set(event_id, `${said} ${money({ amount, currency })}`);
  }
  return words;
}

function noteWords({ type, data }: BookingEvent): string | null {
  return type === "booking.noted" ? authorWords(data["author_role"]) : null;
}

function noteOf({ type, data }: BookingEvent): string | null {
  if (typeof data["text"] === "string") return data["text"];
  if (type === "booking.noted" && typeof data["kind"] === "string") return sentence(data["kind"]);
  if (typeof data["reason"] === "string" && data["reason"]) return sentence(data["reason"]);
  if (typeof data["minutes"] === "number") return `${minutes(data["minutes"] * 60)} more`;
  if (typeof data["stars"] === "number") return "★".repeat(data["stars"]);
  if (type === "booking.arrived" && typeof data["by"] === "string")
    return data["by"] === "detector" ? "Noticed by position" : null;
  return null;
}
