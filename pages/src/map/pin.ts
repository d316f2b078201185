/** A place that stands still on a moving map: the door of a visit, or a pin that a hand may put down. */
import type { Map as Engine } from "maplibre-gl";
import type { Place } from "../api/types.ts";
import { h } from "../ui/dom.ts";
import { doorPin } from "../ui/icons.ts";

export class Pin {
  readonly #map: Engine;
  readonly #element = h("span.pin", { hidden: true, "aria-hidden": "true" }, doorPin());
  #place: Place | null = null;

  constructor(map: Engine, holder: Element) {
    this.#map = map;
    holder.append(this.#element);
    map.on("move", () => this.#put());
    map.on("resize", () => this.#put());
  }

  get place(): Place | null {
    return this.#place;
  }

  show(place: Place): void {
    this.#place = place;
    this.#element.hidden = false;
    this.#put();
  }

  hide(): void {
    this.#place = null;
    this.#element.hidden = true;
  }

  #put(): void {
    if (!this.#place) return;
    const { x, y } = this.#map.project([this.#place.lon, this.#place.lat]);
    this.#element.style.setProperty("transform", `translate(${x.toFixed(1)}px, ${y.toFixed(1)}px)`);
  }
}
