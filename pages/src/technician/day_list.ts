/** The rest of the day: what comes, and what is done. */
import type { Booking } from "../api/types.ts";
import { dayAndTime, money } from "../text/format.ts";
import { serviceName } from "../text/service_names.ts";
import { STATE, toneOf } from "../text/words.ts";
import { fill, h } from "../ui/dom.ts";
import { badge } from "../ui/parts.ts";

export class DayList {
  readonly element = h("section.day", { "aria-label": "Your day", "data-testid": "day" });
  #key = "";

  constructor(readonly choose: (booking: Booking) => void) {}

  show({ next, done }: { next: Booking[]; done: Booking[] }): void {
    const key = [...next, ...done].map((booking) => `${booking.booking_id}${booking.version}`).join();
    if (key === this.#key) return;
    this.#key = key;
    fill(
      this.element,
      next.length ? h("h2", null, "Next") : null,
      next.length ? h("ul", null, ...next.map((booking) => h("li", null, this.#item(booking)))) : null,
      done.length ? h("h2", null, "Done") : null,
      done.length ? h("ul", null, ...done.map((booking) => h("li", null, doneItem(booking)))) : null,
    );
  }

  #item(booking: Booking): HTMLElement {
    const button = h(
      "button.day-item.panel",
      { type: "button" },
      h(
        "span",
        null,
        h("strong", null, serviceName(booking.service)),
        h(
          "span.quiet",
          null,
          `${dayAndTime(booking.starts_at)} · ${booking.address?.line1 ?? booking.address?.area ?? ""}`,
        ),
      ),
      badge(toneOf(booking.state), booking.state === "requested" ? "New request" : STATE[booking.state]),
    );
    button.addEventListener("click", () => this.choose(booking));
    return button;
  }
}

function doneItem(booking: Booking): HTMLElement {
  return h(
    "div.day-item.done",
    null,
    h(
      "span",
      null,
      h("strong", null, serviceName(booking.service)),
      h("span.quiet", null, dayAndTime(booking.starts_at)),
    ),
    booking.price ? h("span.number", null, money(booking.price.total)) : null,
  );
}
