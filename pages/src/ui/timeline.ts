/** The life of a booking as a list, newest first, in words. */
import type { BookingEvent } from "../api/types.ts";
import { dayAndTime, minutes, time } from "../text/format.ts";
import { eventWords, sentence } from "../text/words.ts";
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
  "booking.released": "danger",
  "payment.failed": "danger",
  "payment.captured": "completed",
};

export function timeline(events: BookingEvent[]): HTMLElement {
  const newest = [...events].sort((a, b) => b.seq - a.seq);
  return h(
    "ol.timeline",
    null,
    ...newest.map((event) => {
      const note = noteOf(event);
      return h(
        "li",
        { "data-tone": TONES[event.type] ?? null, "data-type": event.type },
        h("span", null, eventWords(event.type)),
        h("time", { datetime: event.at, title: dayAndTime(event.at) }, time(event.at)),
        note ? h("p.note", null, note) : null,
      );
    }),
  );
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
