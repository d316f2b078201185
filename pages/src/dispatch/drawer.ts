/** One visit in full: who, where, when, and everything that has happened to it. */
import type { Api } from "../api/client.ts";
import type { BookingEvent } from "../api/types.ts";
import { ago, dayAndTime, minutes, money, speed, time } from "../text/format.ts";
import { serviceName } from "../text/service_names.ts";
import { FRESHNESS, STATE, paymentWords, toneOf } from "../text/words.ts";
import { fill, h, setText } from "../ui/dom.ts";
import { icon } from "../ui/icons.ts";
import { badge, errorBox, face, setBadge } from "../ui/parts.ts";
import { timeline } from "../ui/timeline.ts";
import { badgeOf, type Visit } from "./visits.ts";

interface Options {
  api: Api;
  close(): void;
  follow(on: boolean): void;
}

export class Drawer {
  readonly element: HTMLElement;
  readonly #options: Options;
  readonly #eta = h("p.drawer-eta.number", { "data-testid": "drawer-eta" });
  readonly #fresh = h("p.drawer-fresh", { "data-testid": "drawer-freshness" });
  readonly #state = badge("waiting", "");
  readonly #body = h("div.drawer-body");
  readonly #events = h("div", { "data-testid": "timeline" });
  readonly #follow: HTMLButtonElement;
  #visit: Visit | null = null;
  #version = -1;
  #asked = 0;

  constructor(options: Options) {
    this.#options = options;
    const close = h(
      "button.button.plain.small.icon",
      { type: "button", "aria-label": "Close details" },
      icon("close", 18),
    );
    close.addEventListener("click", () => options.close());
    this.#follow = h(
      "button.chip",
      { type: "button", "aria-pressed": "true", "data-testid": "follow" },
      icon("locate", 16),
      "Follow",
    );
    this.#follow.addEventListener("click", () => options.follow(this.#follow.getAttribute("aria-pressed") !== "true"));
    this.element = h(
      "aside.drawer.panel",
      { "aria-label": "Visit", "data-testid": "drawer", tabindex: "-1", hidden: true },
      h("header.drawer-head", null, this.#state, h("span.spacer"), this.#follow, close),
      this.#body,
    );
  }

  get open(): boolean {
    return !this.element.hidden;
  }

  show(visit: Visit): void {
    const other = this.#visit?.id !== visit.id;
    this.#visit = visit;
    this.element.hidden = false;
    if (other) {
      this.#version = -1;
      fill(this.#events, h("p.skeleton", null, "…"), h("p.skeleton", null, "…"), h("p.skeleton", null, "…"));
    }
    this.update();
    if (other) this.element.scrollTop = 0;
  }

  hide(): void {
    this.element.hidden = true;
    this.#visit = null;
  }

  following(on: boolean): void {
    this.#follow.setAttribute("aria-pressed", String(on));
  }

  /** Brings what changes by the second up to date; the rest only when the booking changed. */
  update(): void {
    const visit = this.#visit;
    if (!visit) return;
    const { booking, mover } = visit;
    const { tone, words } = badgeOf(visit);
    setBadge(this.#state, tone, words);
    this.#follow.hidden = !mover;
    setText(this.#eta, headline(visit));
    setText(this.#fresh, mover ? freshWords(visit) : subline(visit));
    if (booking.version === this.#version) return;
    this.#version = booking.version;
    this.#fillBody(visit);
    void this.#loadEvents(booking.booking_id);
  }

  /** A visit that is over while its details are open: its last state stays to be read. */
  settle(state: keyof typeof STATE): void {
    setBadge(this.#state, toneOf(state), STATE[state]);
    setText(this.#eta, STATE[state]);
    setText(this.#fresh, "This visit is over.");
    this.#follow.hidden = true;
    if (this.#visit) void this.#loadEvents(this.#visit.id);
    this.#visit = null;
  }

  #fillBody(visit: Visit): void {
    const { booking } = visit;
    const { technician, customer, address, price } = booking;
    const who = technician?.display_name ?? "Nobody yet";
    const street = address?.line1 ?? address?.area ?? "Address hidden";
    const town = [address?.city, address?.postcode].filter(Boolean).join(" ");
    fill(
      this.#body,
      h(
        "div.drawer-who",
        null,
        face(who, technician?.photo_url, 48),
        h("div", null, h("h2", null, who), h("p.quiet", null, `${serviceName(booking.service)} · ${booking.number}`)),
      ),
      h("div.drawer-now", null, this.#eta, this.#fresh),
      h(
        "dl.facts",
        null,
        fact("Where", h("span", null, street), town ? h("span.quiet", null, town) : null),
        fact(
          "For",
          h("span", null, customer?.display_name ?? "Hidden"),
          address?.notes ? h("span.quiet", null, address.notes) : null,
        ),
        fact(
          "When",
          h("span", null, `${dayAndTime(booking.starts_at)} – ${time(booking.ends_at)}`),
          booking.expected_end_at ? h("span.quiet", null, `expected to end ${time(booking.expected_end_at)}`) : null,
        ),
        price
          ? fact(
              "Price",
              h("span.number", null, money(price.total)),
              booking.payment
                ? h("span.quiet", null, paymentWords(booking.payment.status))
                : null,
            )
          : null,
      ),
      h("h3", null, "What happened"),
      this.#events,
    );
  }

  async #loadEvents(bookingId: string): Promise<void> {
    const asked = (this.#asked += 1);
    try {
      const events = await this.#options.api.list<BookingEvent>(`/bookings/${bookingId}/events`, 200);
      if (asked === this.#asked) fill(this.#events, timeline(events));
    } catch (error) {
      if (asked === this.#asked) fill(this.#events, errorBox(error));
    }
  }
}

function fact(term: string, ...values: (Node | null)[]): HTMLElement {
  return h("div", null, h("dt", null, term), h("dd", null, ...values));
}

function headline(visit: Visit): string {
  const { booking, mover } = visit;
  if (booking.state === "en_route" && mover?.etaAt) {
    const left = Math.max(0, mover.etaAt - performance.now());
    return left === 0 ? "Any moment" : `${minutes(left / 1000)} · about ${time(Date.now() + left)}`;
  }
  return STATE[booking.state];
}

function freshWords(visit: Visit): string {
  const { mover } = visit;
  if (!mover) return "";
  const seen = ago(performance.now() - mover.at);
  if (mover.freshness !== "live") return `${FRESHNESS[mover.freshness]} · last seen ${seen}`;
  return mover.speedMps && mover.speedMps > 1 ? `Live · ${speed(mover.speedMps)}` : "Live · standing";
}

function subline(visit: Visit): string {
  const { booking } = visit;
  if (booking.state === "requested" && booking.deadline_at) return `Answer due by ${time(booking.deadline_at)}`;
  if (booking.state === "en_route") return "No position yet";
  if (booking.state === "in_service" && booking.expected_end_at) return `Until about ${time(booking.expected_end_at)}`;
  return `${dayAndTime(booking.starts_at)}`;
}
