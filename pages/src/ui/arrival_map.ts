/** The map of one arrival: a door, and whoever comes to it. It frames both, and lets a hand take over. */
import type { Map as Engine } from "maplibre-gl";
import type { Config } from "../api/config.ts";
import type { Freshness, Phase, Place, Position } from "../api/types.ts";
import { createMap, frame, glideTo, type Insets } from "../map/map_view.ts";
import { MarkerLayer, type Marker } from "../map/marker_layer.ts";
import { Pin } from "../map/pin.ts";
import { h } from "./dom.ts";
import { icon } from "./icons.ts";

const ID = "technician";
/** The camera frames door and technician anew at most this often. */
const REFRAME_MS = 4_000;

export class ArrivalMap {
  readonly element = h("div.arrival-map");
  readonly #map: Engine | null;
  readonly #layer: MarkerLayer | null;
  readonly #door: Pin | null;
  readonly #back: HTMLButtonElement;
  readonly #insets: () => Insets;
  #held = false;
  #framedAt = 0;

  constructor(config: Config, insets: () => Insets) {
    this.#insets = insets;
    const holder = h("div.map", { "data-testid": "map" });
    this.#back = h("button.button.small.recentre", { type: "button", hidden: true }, icon("locate", 16), "Re-centre");
    this.element.append(holder, this.#back);
    this.#map = createMap(holder, { config, label: "Map of the arrival" });
    this.#layer = this.#map ? new MarkerLayer(this.#map) : null;
    this.#door = this.#map ? new Pin(this.#map, this.element) : null;
    this.#back.addEventListener("click", () => {
      this.#hold(false);
      this.#frame(true);
    });
    for (const event of ["dragstart", "wheel"] as const) this.#map?.on(event, () => this.#hold(true));
    this.#map?.on("resize", () => this.#frame(true));
  }

  get markers(): ReadonlyMap<string, Marker> {
    return this.#layer?.markers ?? new Map<string, Marker>();
  }

  door(place: Place | null): void {
    if (place) this.#door?.show(place);
    else this.#door?.hide();
    this.#frame(true);
  }

  move(position: Position): void {
    if (position.lat === null || position.lon === null) return this.clear();
    const isNew = !this.markers.has(ID);
    this.#layer?.put({
      id: ID,
      lat: position.lat,
      lon: position.lon,
      headingDeg: position.hdg_deg,
      speedMps: position.spd_mps,
      phase: position.phase,
      freshness: position.freshness,
      live: position.freshness === "live",
    });
    this.#layer?.select(ID);
    this.#frame(isNew);
  }

  /** The last position is old: it stays, grey and still. */
  fade(freshness: Freshness): void {
    this.#layer?.freezeAll(freshness);
  }

  settle(phase: Phase): void {
    if (phase === "arrived" || phase === "ended" || phase === "waiting") this.clear();
  }

  clear(): void {
    this.#layer?.remove(ID);
  }

  #hold(held: boolean): void {
    this.#held = held;
    this.#back.hidden = !held;
  }

  #frame(now: boolean): void {
    const at = performance.now();
    if (!this.#map || this.#held || (!now && at - this.#framedAt < REFRAME_MS)) return;
    const places = [...this.markers.values()].map((marker) => marker.motion.place);
    const door = this.#door?.place;
    if (door) places.push(door);
    if (!places.length) return;
    this.#framedAt = at;
    if (places.length === 1) glideTo(this.#map, places[0] as Place, 15, this.#insets());
    else frame(this.#map, places, { padding: this.#insets(), maxZoom: 16, city: null });
  }
}
