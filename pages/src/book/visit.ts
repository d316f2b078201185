/** One visit from "asked" to "rated": the map while somebody is on the way, words and what can be done in every state. */
import type { Api } from "../api/client.ts";
import type { Config } from "../api/config.ts";
import type { Booking, BookingEvent } from "../api/types.ts";
import { Arrival } from "../live/arrival.ts";
import { nothingKnown, type ArrivalState } from "../live/arrival_view.ts";
import type { Link } from "../live/link.ts";
import type { Marker } from "../map/marker_layer.ts";
import { ago } from "../text/format.ts";
import { serviceName } from "../text/service_names.ts";
import { ArrivalMap } from "../ui/arrival_map.ts";
import { fill, h, setAttr, setText } from "../ui/dom.ts";
import { icon } from "../ui/icons.ts";
import { errorBox, face } from "../ui/parts.ts";
import { Steps } from "../ui/steps.ts";
import { timeline } from "../ui/timeline.ts";
import { visitActions } from "./visit_actions.ts";
import { visitWords } from "./visit_words.ts";

interface Options {
  api: Api;
  config: Config;
  link: Link;
  booking: Booking;
  leave(): void;
}

const STEPS = [
  { key: "requested", words: "Asked" },
  { key: "accepted", words: "Accepted" },
  { key: "en_route", words: "On the way" },
  { key: "arrived", words: "At the door" },
  { key: "completed", words: "Done" },
];
const WIDE = matchMedia("(min-width: 861px)");

export class VisitView {
  readonly element: HTMLElement;
  readonly #options: Options;
  readonly #map: ArrivalMap;
  readonly #arrival: Arrival;
  readonly #steps = new Steps(STEPS);
  readonly #headline = h("h1.eta-headline", { "data-testid": "visit-headline", "aria-live": "polite" });
  readonly #sub = h("p.eta-sub");
  readonly #fresh = h("p.fresh", { "data-testid": "freshness" });
  readonly #who = h("div.track-who");
  readonly #actions = h("div.visit-actions");
  readonly #events = h("section.visit-events", { "aria-label": "What happened" });
  readonly #clock: ReturnType<typeof setInterval>;
  #booking: Booking;
  #arrivalState: ArrivalState = nothingKnown;
  #seenAt: number | null = null;
  #drawn = "";
  #rated = false;

  constructor(options: Options) {
    this.#options = options;
    this.#booking = options.booking;
    this.#map = new ArrivalMap(options.config, () =>
      WIDE.matches ? { top: 70, right: 70, bottom: 70, left: 70 } : { top: 50, right: 40, bottom: 40, left: 40 },
    );
    const back = h("button.button.plain.small", { type: "button" }, icon("back", 16), "All visits");
    back.addEventListener("click", () => options.leave());
    this.element = h(
      "div.visit-view",
      { "data-testid": "visit" },
      h(
        "section.visit-card",
        null,
        back,
        h("div.track-now", null, this.#headline, this.#sub),
        this.#steps.element,
        this.#who,
        this.#actions,
        this.#events,
      ),
      h("div.visit-map", null, this.#map.element),
    );
    this.#arrival = new Arrival(options.link, this.#booking.booking_id, {
      phase: (phase, freshness) => {
        this.#arrivalState = { ...this.#arrivalState, phase, freshness };
        this.#map.settle(phase);
        this.#say();
      },
      position: (position) => {
        this.#arrivalState = { ...this.#arrivalState, ...position, position };
        this.#seenAt = Date.now() - position.age_s * 1000;
        this.#map.move(position);
        this.#say();
      },
      ended: () => {
        this.#arrivalState = nothingKnown;
        this.#map.clear();
        this.#say();
      },
    });
    options.link.onState((state) => {
      if (state === "offline") this.#map.fade("delayed");
    });
    this.#clock = setInterval(() => this.#say(), 1_000);
    this.#draw();
  }

  get bookingId(): string {
    return this.#booking.booking_id;
  }

  get markers(): ReadonlyMap<string, Marker> {
    return this.#map.markers;
  }

  get facts(): Record<string, unknown> {
    const { phase, freshness, eta } = this.#arrivalState;
    return { booking_id: this.bookingId, state: this.#booking.state, phase, freshness, eta };
  }

  take(booking: Booking): void {
    if (booking.version < this.#booking.version) return;
    const departed = booking.state === "en_route" && this.#booking.gps_session_id !== booking.gps_session_id;
    this.#booking = booking;
    if (departed) this.#arrival.refresh();
    this.#draw();
  }

  close(): void {
    clearInterval(this.#clock);
    this.#arrival.stop();
  }

  #draw(): void {
    const { booking_id, state, version, address } = this.#booking;
    this.#say();
    const drawn = `${booking_id} ${version}`;
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    const who = this.#booking.technician;
    const name = who?.display_name ?? "Looking for somebody else";
    fill(
      this.#who,
      face(name, who?.photo_url, 52),
      h(
        "div",
        null,
        h("strong", null, name),
        h("p.quiet", null, `${serviceName(this.#booking.service)} · ${this.#booking.number}`),
        this.#fresh,
      ),
    );
    this.#map.door(
      address?.lat !== undefined && address.lon !== undefined ? { lat: address.lat, lon: address.lon } : null,
    );
    if (state !== "en_route") this.#map.clear();
    fill(
      this.#actions,
      ...visitActions(this.#options.api, this.#booking, {
        rated: this.#rated,
        onRated: () => this.#afterRating(),
        changed: (booking) => this.take(booking),
      }),
    );
    void this.#loadEvents();
  }

  #afterRating(): void {
    this.#rated = true;
    this.#drawn = "";
    this.#draw();
  }

  async #loadEvents(): Promise<void> {
    try {
      const { items } = await this.#options.api.get<{ items: BookingEvent[] }>(
        `/bookings/${this.bookingId}/events?limit=100`,
      );
      if (items.some((event) => event.type === "booking.rated") && !this.#rated) this.#afterRating();
      fill(this.#events, h("h2", null, "What happened"), timeline(items));
    } catch (error) {
      fill(this.#events, errorBox(error));
    }
  }

  #say(): void {
    const { state } = this.#booking;
    const [headline, sub] = visitWords(this.#booking, this.#arrivalState);
    setText(this.#headline, headline);
    setText(this.#sub, sub);
    this.#steps.at(STEP_OF[state] ?? state);
    setAttr(this.element, "data-state", state);
    const { freshness } = this.#arrivalState;
    const moving = state === "en_route";
    this.#fresh.hidden = !moving;
    setAttr(this.#fresh, "data-freshness", moving ? freshness : null);
    const seen = this.#seenAt === null ? "" : ago(Date.now() - this.#seenAt);
    setText(
      this.#fresh,
      freshness === "live" ? `Live · seen ${seen}` : freshness ? `Last seen ${seen}` : "Finding the position",
    );
  }
}

const STEP_OF: Record<string, string> = {
  in_service: "arrived",
  cancelled: "completed",
  declined: "completed",
  expired: "completed",
  no_show: "completed",
};
