/** Where: a street by name, or a pin on the map; each moves the other. */
import type { Map as Engine } from "maplibre-gl";
import type { Api } from "../api/client.ts";
import type { Config } from "../api/config.ts";
import type { GeocodeHit, Place } from "../api/types.ts";
import { createMap, glideTo } from "../map/map_view.ts";
import { Pin } from "../map/pin.ts";
import { fill, h, setAttr } from "../ui/dom.ts";
import { icon } from "../ui/icons.ts";

export interface ChosenPlace extends Place {
  line1: string;
  city: string;
  postcode: string;
}

const TYPING_MS = 220;

export class PlacePicker {
  readonly field: HTMLElement;
  readonly map = h("div.pick-map");
  readonly #api: Api;
  readonly #input: HTMLInputElement;
  readonly #options = h("ul.hits.panel", { id: "hits", role: "listbox", hidden: true });
  readonly #engine: Engine | null;
  readonly #pin: Pin | null;
  #value: ChosenPlace | null = null;
  #hits: GeocodeHit[] = [];
  #active = -1;
  #typing: ReturnType<typeof setTimeout> | undefined;
  #asking: AbortController | null = null;

  constructor(api: Api, config: Config) {
    this.#api = api;
    this.#input = h("input.input", {
      id: "street",
      type: "text",
      role: "combobox",
      autocomplete: "off",
      "aria-autocomplete": "list",
      "aria-controls": "hits",
      "aria-expanded": "false",
      "aria-label": "Street and number",
      placeholder: "Street and number",
      "data-testid": "street",
      spellcheck: "false",
    });
    this.field = h(
      "div.search.place",
      null,
      icon("pin", 18),
      this.#input,
      this.#options,
      h("p.hint", null, "Or tap the map to put the pin on your door."),
    );
    this.#input.addEventListener("input", () => this.#typed());
    this.#input.addEventListener("keydown", (event) => this.#key(event));
    this.#input.addEventListener("blur", () => setTimeout(() => this.#open(false), 150));
    const holder = h("div.map", { "data-testid": "pick-map" });
    this.map.append(holder);
    this.#engine = createMap(holder, { config, label: "Map to put the pin on your door", zoomButtons: true });
    this.#pin = this.#engine ? new Pin(this.#engine, this.map) : null;
    this.#engine?.on("click", ({ lngLat }) => this.#drop({ lat: lngLat.lat, lon: lngLat.lng }));
  }

  get value(): ChosenPlace | null {
    return this.#value;
  }

  focus(): void {
    this.#input.focus();
  }

  #drop({ lat, lon }: Place): void {
    const typed = this.#input.value.trim();
    this.#value = {
      lat: round(lat),
      lon: round(lon),
      line1: this.#value?.line1 ?? typed,
      city: this.#value?.city ?? "",
      postcode: this.#value?.postcode ?? "",
    };
    if (!typed) this.#input.placeholder = "Pin on the map";
    this.#pin?.show({ lat, lon });
  }

  #choose(hit: GeocodeHit): void {
    const { lat, lon, line1, city, postcode, label } = hit;
    this.#value = { lat, lon, line1, city, postcode };
    this.#input.value = label;
    this.#pin?.show(hit);
    if (this.#engine) glideTo(this.#engine, hit, Math.max(15.5, this.#engine.getZoom()));
    this.#open(false);
  }

  #typed(): void {
    clearTimeout(this.#typing);
    this.#asking?.abort();
    const query = this.#input.value.trim();
    if (query.length < 2) return this.#open(false);
    this.#typing = setTimeout(() => void this.#ask(query), TYPING_MS);
  }

  async #ask(query: string): Promise<void> {
    this.#asking = new AbortController();
    try {
      const { items } = await this.#api.get<{ items: GeocodeHit[] }>(
        `/geocode?q=${encodeURIComponent(query)}`,
        this.#asking.signal,
      );
      this.#hits = items.slice(0, 6);
    } catch {
      if (this.#asking.signal.aborted) return;
      this.#hits = [];
    }
    this.#active = -1;
    this.#draw();
    this.#open(true);
  }

  #draw(): void {
    const none = h(
      "li.none",
      { role: "option", "aria-disabled": "true" },
      "No such street here. The pin on the map works too.",
    );
    const items = this.#hits.map((hit, index) => {
      const item = h(
        "li",
        { role: "option", id: `hit-${index}`, "aria-selected": String(index === this.#active), "data-testid": "hit" },
        icon("pin", 16),
        hit.label,
      );
      item.addEventListener("mousedown", (event) => event.preventDefault());
      item.addEventListener("click", () => this.#choose(hit));
      return item;
    });
    fill(this.#options, ...(items.length ? items : [none]));
    setAttr(this.#input, "aria-activedescendant", this.#active >= 0 ? `hit-${this.#active}` : null);
  }

  #open(open: boolean): void {
    this.#options.hidden = !open;
    setAttr(this.#input, "aria-expanded", String(open));
  }

  #key(event: KeyboardEvent): void {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && this.#hits.length) {
      event.preventDefault();
      this.#active = (this.#active + step + this.#hits.length) % this.#hits.length;
      this.#draw();
    } else if (event.key === "Enter") {
      event.preventDefault();
      const hit = this.#hits[Math.max(0, this.#active)];
      if (hit && !this.#options.hidden) this.#choose(hit);
    } else if (event.key === "Escape") {
      this.#open(false);
    }
  }
}

/** A door is found with five decimals (1 m); more would only pretend. */
function round(degrees: number): number {
  return Math.round(degrees * 1e5) / 1e5;
}
