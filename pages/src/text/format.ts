/** Numbers, money, distances and moments in the reader's own language. Everything goes through Intl. */
import type { Money, WireMoment } from "../api/types.ts";

const locale = navigator.language || "en-US";
const miles = /-(US|GB|LR|MM)\b/i.test(locale) || locale === "en";

const clock = new Intl.DateTimeFormat(locale, { hour: "numeric", minute: "2-digit" });
const day = new Intl.DateTimeFormat(locale, { weekday: "short", day: "numeric", month: "short" });
const fullDate = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short", year: "numeric" });
const monthYear = new Intl.DateTimeFormat(locale, { month: "short", year: "numeric" });
const relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto", style: "short" });
const whole = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });

/** ms since the epoch of a moment in any of the contract's spellings. */
export function moment(value: WireMoment): number {
  if (typeof value === "string") return Date.parse(value);
  return value > 1e11 ? value : Date.now() + value * 1000;
}

export function time(value: WireMoment): string {
  return clock.format(moment(value));
}

/** "3:41 – 3:46 PM". */
export function timeRange(from: WireMoment, to: WireMoment): string {
  return clock.formatRange(moment(from), moment(to));
}

/** "3:40 PM" today, "Tue, Nov 24, 3:40 PM" on another day. */
export function dayAndTime(value: WireMoment): string {
  const at = new Date(moment(value));
  return at.toDateString() === new Date().toDateString() ? clock.format(at) : `${day.format(at)}, ${clock.format(at)}`;
}

export function date(value: string): string {
  return fullDate.format(Date.parse(value.length === 10 ? `${value}T12:00:00` : value));
}

export function month(value: string): string {
  return monthYear.format(Date.parse(value.length === 10 ? `${value}T12:00:00` : value));
}

export function money({ amount, currency }: Money): string {
  const format = new Intl.NumberFormat(locale, { style: "currency", currency });
  const digits = format.resolvedOptions().maximumFractionDigits ?? 2;
  return format.format(amount / 10 ** digits);
}

export function count(value: number): string {
  return whole.format(value);
}

export function decimal(value: number, digits = 1): string {
  return new Intl.NumberFormat(locale, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

/** Metres as a person says them: "250 ft", "1.2 mi", or "80 m", "1.9 km". */
export function distance(metres: number): string {
  if (miles) {
    const feet = metres * 3.28084;
    return feet < 1000
      ? unit(Math.max(50, Math.round(feet / 50) * 50), "foot", 0)
      : unit(metres / 1609.344, "mile", metres < 16_093 ? 1 : 0);
  }
  return metres < 1000
    ? unit(Math.max(10, Math.round(metres / 10) * 10), "meter", 0)
    : unit(metres / 1000, "kilometer", metres < 10_000 ? 1 : 0);
}

export function speed(metresPerSecond: number): string {
  return miles
    ? unit(metresPerSecond * 2.236936, "mile-per-hour", 0)
    : unit(metresPerSecond * 3.6, "kilometer-per-hour", 0);
}

/** Seconds as whole minutes: "< 1 min", "14 min", "1 h 20". */
export function minutes(seconds: number): string {
  const total = Math.round(seconds / 60);
  if (total < 1) return `< ${unit(1, "minute", 0)}`;
  if (total < 60) return unit(total, "minute", 0);
  const rest = total % 60;
  return rest ? `${Math.floor(total / 60)} h ${rest}` : `${Math.floor(total / 60)} h`;
}

/** A countdown: "0:42", "12:05". */
export function countdown(ms: number): string {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** How long ago: "now", "12 sec. ago", "4 min. ago". */
export function ago(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 5) return relative.format(0, "second");
  if (seconds < 90) return relative.format(-seconds, "second");
  if (seconds < 5400) return relative.format(-Math.round(seconds / 60), "minute");
  if (seconds < 129_600) return relative.format(-Math.round(seconds / 3600), "hour");
  return relative.format(-Math.round(seconds / 86_400), "day");
}

function unit(value: number, name: string, digits: number): string {
  return new Intl.NumberFormat(locale, {
    style: "unit",
    unit: name,
    unitDisplay: "short",
    maximumFractionDigits: digits,
  }).format(value);
}
