/** The technician's visits, and which of them is the one of now. */
import type { Booking, BookingState } from "../api/types.ts";

const ORDER: BookingState[] = ["in_service", "arrived", "en_route", "requested", "accepted"];
const DAY_MS = 86_400_000;

export class Jobs {
  readonly #byId = new Map<string, Booking>();
  technicianId: string | null = null;

  replace(bookings: Booking[]): void {
    this.#byId.clear();
    for (const booking of bookings) this.#byId.set(booking.booking_id, booking);
  }

  /** True when this visit was not known before. */
  put(booking: Booking): boolean {
    const known = this.#byId.get(booking.booking_id);
    if (known && known.version > booking.version) return false;
    this.#byId.set(booking.booking_id, booking);
    return !known;
  }

  remove(bookingId: string): void {
    this.#byId.delete(bookingId);
  }

  isOurs(booking: Booking): boolean {
    return this.technicianId === null || booking.technician?.technician_id === this.technicianId;
  }

  /** The visit that was chosen by hand; else the one under way; else the next request or visit. */
  now(chosen: string | null): Booking | null {
    const open = this.#open();
    const underWay = open.find((booking) => ["in_service", "arrived", "en_route"].includes(booking.state));
    return open.find((booking) => booking.booking_id === chosen) ?? underWay ?? open[0] ?? null;
  }

  /** The visit whose GPS session is open. */
  leg(): Booking | null {
    return this.#open().find((booking) => booking.state === "en_route") ?? null;
  }

  rest(now: Booking | null): { next: Booking[]; done: Booking[] } {
    const next = this.#open().filter((booking) => booking !== now);
    const done = [...this.#byId.values()]
      .filter((booking) => booking.state === "completed" && Date.now() - Date.parse(booking.ends_at) < DAY_MS)
      .sort((a, b) => b.starts_at.localeCompare(a.starts_at));
    return { next, done };
  }

  #open(): Booking[] {
    return [...this.#byId.values()]
      .filter((booking) => ORDER.includes(booking.state))
      .sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || a.starts_at.localeCompare(b.starts_at));
  }
}
