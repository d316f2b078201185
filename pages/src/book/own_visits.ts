/** The customer's own visits: those under way are one press away. */
import type { Booking } from "../api/types.ts";
import { dayAndTime } from "../text/format.ts";
import { serviceName } from "../text/service_names.ts";
import { STATE, toneOf } from "../text/words.ts";
import { fill, h } from "../ui/dom.ts";
import { icon } from "../ui/icons.ts";
import { badge, face } from "../ui/parts.ts";

const OPEN = ["requested", "accepted", "en_route", "arrived", "in_service"];

export class OwnVisits {
  readonly element = h("section.own", { "aria-label": "Your visits", hidden: true, "data-testid": "own-visits" });
  readonly #byId = new Map<string, Booking>();

  constructor(readonly choose: (booking: Booking) => void) {}

  get(bookingId: string): Booking | undefined {
    return this.#byId.get(bookingId);
  }

  replace(bookings: Booking[]): void {
    this.#byId.clear();
    for (const booking of bookings) this.#byId.set(booking.booking_id, booking);
    this.#show();
  }

  put(booking: Booking): void {
    const known = this.#byId.get(booking.booking_id);
    if (known && known.version > booking.version) return;
    this.#byId.set(booking.booking_id, booking);
    this.#show();
  }

  #show(): void {
    const all = [...this.#byId.values()].sort((a, b) => b.starts_at.localeCompare(a.starts_at));
    const open = all.filter((booking) => OPEN.includes(booking.state));
    const past = all.filter((booking) => booking.state === "completed").slice(0, 1);
    const shown = open.length ? open.slice(0, 3) : past;
    this.element.hidden = shown.length === 0;
    fill(
      this.element,
      h("h2", null, open.length ? "Under way" : "Last time"),
      h("ul", null, ...shown.map((booking) => h("li", null, this.#item(booking)))),
    );
  }

  #item(booking: Booking): HTMLElement {
    const who = booking.technician?.display_name ?? "Nobody yet";
    const button = h(
      "button.own-visit.panel",
      { type: "button" },
      face(who, booking.technician?.photo_url, 40),
      h(
        "span",
        null,
        h("strong", null, serviceName(booking.service)),
        h("span.quiet", null, `${who} · ${dayAndTime(booking.starts_at)}`),
      ),
      badge(toneOf(booking.state), STATE[booking.state]),
      icon("forward", 16),
    );
    button.addEventListener("click", () => this.choose(booking));
    return button;
  }
}
