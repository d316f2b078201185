/** What, where, when: four short questions, and the people who could come. */
import type { Api } from "../api/client.ts";
import type { Config } from "../api/config.ts";
import type { Booking, Card, Discovery, Experience, Service } from "../api/types.ts";
import { reducedMotion } from "../map/map_view.ts";
import { money } from "../text/format.ts";
import { noCards } from "../text/words.ts";
import { fill, h } from "../ui/dom.ts";
import { icon } from "../ui/icons.ts";
import { actionButton, errorBox } from "../ui/parts.ts";
import { cardList } from "./cards.ts";
import { confirmBooking } from "./confirm.ts";
import type { OwnVisits } from "./own_visits.ts";
import { PlacePicker } from "./place_picker.ts";

interface Options {
  api: Api;
  config: Config;
  own: OwnVisits;
  booked(booking: Booking): void;
}

const CARDS = 10;
/** Room for the map in a column of its own; else it stands under the question "Where?". */
const WIDE = matchMedia("(min-width: 861px)");

export class FindView {
  readonly element: HTMLElement;
  readonly #options: Options;
  readonly #place: PlacePicker;
  readonly #services = h("div.tiles", { role: "radiogroup", "aria-label": "Service" });
  readonly #wishes = h("div.chips");
  readonly #wishField = h(
    "fieldset.field",
    { hidden: true },
    h("legend", null, "Anything that would make it better?"),
    this.#wishes,
  );
  readonly #when = h("input.input", {
    type: "datetime-local",
    "aria-label": "Date and time",
    hidden: true,
    "data-testid": "when",
  });
  readonly #results = h("section.results", {
    "aria-live": "polite",
    "aria-label": "Who can come",
    "data-testid": "results",
  });
  readonly #errors = h("div.errors");
  readonly #search: HTMLButtonElement;
  #discovery: Discovery | null = null;

  constructor(options: Options) {
    this.#options = options;
    const { api, config } = options;
    this.#place = new PlacePicker(api, config);
    this.#search = actionButton("primary wide", "See who can come", () => this.#discover(), this.#errors);
    this.#search.dataset["testid"] = "discover";
    const where = h("section.question", null, h("h2", null, "Where?"), this.#place.field);
    const column = h("div.find-map");
    const settle = (): void => (WIDE.matches ? column : where).append(this.#place.map);
    WIDE.addEventListener("change", settle);
    settle();
    this.#place.field.addEventListener("focusin", () => {
      // On a phone the answers to what is typed would lie below the keyboard.
      if (!WIDE.matches) where.scrollIntoView({ behavior: reducedMotion.matches ? "auto" : "smooth" });
    });
    this.element = h(
      "div.find",
      null,
      h(
        "div.find-form",
        null,
        options.own.element,
        h("section.question", null, h("h2", null, "What do you need?"), this.#services),
        where,
        h("section.question", null, h("h2", null, "When?"), this.#whenChoice()),
        this.#wishField,
        this.#errors,
        this.#search,
        this.#results,
      ),
      column,
    );
    void this.#loadCatalogue();
  }

  get facts(): Record<string, unknown> {
    return { cards: this.#discovery?.cards.length ?? null, match_id: this.#discovery?.match_id ?? null };
  }

  async #loadCatalogue(): Promise<void> {
    const { api } = this.#options;
    fill(this.#services, ...Array.from({ length: 4 }, () => h("div.tile.skeleton", { "aria-hidden": "true" })));
    try {
      const [services, experiences] = await Promise.all([
        api.get<{ items: Service[] }>("/services"),
        api.get<{ items: Experience[] }>("/experiences"),
      ]);
      fill(this.#services, ...services.items.map((service, index) => tile(service, index === 0)));
      fill(this.#wishes, ...experiences.items.map(wish));
      this.#wishField.hidden = experiences.items.length === 0;
    } catch (error) {
      fill(this.#services, errorBox(error));
    }
  }

  #whenChoice(): HTMLElement {
    const choose = (later: boolean): void => {
      this.#when.hidden = !later;
      if (later && !this.#when.value) this.#when.value = localInput(tomorrowMorning());
    };
    const option = (value: string, words: string, checked: boolean): HTMLElement => {
      const input = h("input.unseen", { type: "radio", name: "when", value, checked });
      input.addEventListener("change", () => choose(value === "later"));
      return h("label.chip", null, input, words);
    };
    this.#when.min = localInput(new Date());
    return h(
      "div.when",
      null,
      h("div.chips", null, option("now", "As soon as possible", true), option("later", "Choose a time", false)),
      this.#when,
    );
  }

  async #discover(): Promise<void> {
    const place = this.#place.value;
    if (!place) {
      fill(
        this.#errors,
        h("p.error", { role: "alert" }, icon("alert"), "Say where: type a street, or put the pin on the map."),
      );
      this.#place.focus();
      return;
    }
    const service = this.#services.querySelector<HTMLInputElement>("input:checked")?.value ?? "";
    const experience = [...this.#wishes.querySelectorAll<HTMLInputElement>("input:checked")].map(
      (input) => input.value,
    );
    const when = this.#when.hidden ? "now" : new Date(this.#when.value).toISOString();
    fill(
      this.#results,
      h("p.unseen", null, "Looking for technicians"),
      ...Array.from({ length: 3 }, () => h("div.card-ghost.skeleton", { "aria-hidden": "true" })),
    );
    this.#discovery = null;
    try {
      this.#discovery = await this.#options.api.post<Discovery>("/discovery", {
        service,
        lat: place.lat,
        lon: place.lon,
        when,
        experience,
        limit: CARDS,
      });
    } catch (error) {
      fill(this.#results);
      throw error;
    }
    this.#show(this.#discovery, service);
    this.#results.scrollIntoView({ behavior: reducedMotion.matches ? "auto" : "smooth", block: "start" });
  }

  #show(discovery: Discovery, service: string): void {
    if (!discovery.cards.length) {
      const [title, text] = noCards(discovery.reason);
      fill(
        this.#results,
        h(
          "div.empty.panel",
          { "data-testid": "no-cards", "data-reason": discovery.reason ?? "" },
          icon("people", 24),
          h("h3", null, title),
          h("p", null, text),
        ),
      );
      return;
    }
    const { api } = this.#options;
    const choose = (card: Card): void => {
      confirmBooking({ api, discovery, card, place: this.#place, booked: this.#options.booked });
    };
    const many = discovery.cards.length === 1 ? "One person can come" : `${discovery.cards.length} people can come`;
    fill(this.#results, h("h2", null, many), cardList({ api, discovery, service, choose }));
  }
}

function tile({ service, name, description, base_price }: Service, checked: boolean): HTMLElement {
  const input = h("input.unseen", { type: "radio", name: "service", value: service, checked });
  return h(
    "label.tile",
    { "data-testid": "service" },
    input,
    h("strong", null, name),
    h("span.quiet", null, description ?? ""),
    h("span.tile-price.number", null, `from ${money(base_price)}`),
  );
}

function wish({ experience, name, description }: Experience): HTMLElement {
  return h(
    "label.chip",
    { title: description ?? null },
    h("input.unseen", { type: "checkbox", value: experience }),
    name,
  );
}

function tomorrowMorning(): Date {
  const at = new Date();
  at.setDate(at.getDate() + 1);
  at.setHours(10, 0, 0, 0);
  return at;
}

/** The form of a datetime-local input: this device's own clock, without a zone. */
function localInput(at: Date): string {
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
