/** The live map: every marker, the door of the chosen visit, and a camera that follows one until a hand takes it. */
import type { Map as Engine } from "maplibre-gl";
import type { Config } from "../api/config.ts";
import type { Mover } from "../live/fleet.ts";
import { coverZoom, createMap, frame, type Insets } from "../map/map_view.ts";
import { MarkerLayer } from "../map/marker_layer.ts";
import { inCity, largestGroup } from "../map/neighbours.ts";
import { Pin } from "../map/pin.ts";
import { minutes } from "../text/format.ts";
import { h, setText } from "../ui/dom.ts";
import { icon } from "../ui/icons.ts";
import type { Visit } from "./visits.ts";

interface Options {
  config: Config;
  choose(id: string | null): void;
  followChanged(on: boolean): void;
  hovered(id: string | null): void;
}

const CLOSEST = 15;
/** A name stays this far inside the map while its marker is on it. */
const HALF_TAG_PX = 92;
/** The camera leaves this much around what it frames. */
const MARGIN_PX = 64;
const PHONE_MARGIN_PX = 36;
/** Half a marker and a little air: all that is left around everybody where more would show ground beyond the city. */
const LEAST_MARGIN_PX = 20;
/** The map's own buttons stand on its right where the screen is wide. */
const BUTTONS_PX = 36;
/** The details lie over the right of a map at least this wide; on a phone they lie below it. */
const DRAWER_PX = 388;
const BESIDE_DRAWER_PX = 640;
/** The followed marker may wander in this middle part of the map before the camera moves after it. */
const CALM_SHARE = 0.5;

export class MapPane {
  readonly element = h("div.map-pane", null);
  readonly map: Engine | null;
  readonly layer: MarkerLayer | null;
  readonly #tag = h("span.tag", { hidden: true, "aria-hidden": "true" });
  readonly #options: Options;
  readonly #door: Pin | null;
  #tagged: Visit | null = null;
  #followed: Visit | null = null;
  #fitted = false;

  constructor(options: Options) {
    this.#options = options;
    const holder = h("div.map", { "data-testid": "map" });
    this.element.append(holder, this.#tag);
    this.map = createMap(holder, { config: options.config, label: "Live map of active visits", zoomButtons: true });
    this.layer = this.map ? new MarkerLayer(this.map) : null;
    this.#door = this.map ? new Pin(this.map, this.element) : null;
    if (!this.map || !this.layer) return;
    this.#handle(this.map, this.layer);
    const all = h(
      "button.button.small.icon.fit-all",
      { type: "button", "aria-label": "Show everyone", title: "Show everyone" },
      icon("layers", 18),
    );
    all.addEventListener("click", () => {
      this.follow(null);
      this.fitAll();
    });
    this.element.append(all);
  }

  all(movers: Mover[]): void {
    this.layer?.keepOnly(new Set(movers.map((mover) => mover.bookingId)));
    this.moved(movers);
    if (this.#fitted || !movers.length || !this.map) return;
    this.#fitted = true;
    const { bounds } = this.#options.config;
    if (!this.#followed) this.fitAll(true, bounds ? coverZoom(this.map, bounds) : CLOSEST);
  }

  moved(movers: Mover[]): void {
    for (const mover of movers) {
      this.layer?.put({
        id: mover.bookingId,
        lat: mover.lat,
        lon: mover.lon,
        headingDeg: mover.headingDeg,
        speedMps: mover.speedMps,
        phase: mover.phase,
        freshness: mover.freshness,
        live: mover.freshness === "live",
      });
    }
  }

  gone(ids: string[]): void {
    for (const id of ids) this.layer?.remove(id);
  }

  /** Shows everybody in the city; if nobody is there, as many as one picture of another can hold. */
  fitAll(atOnce = false, maxZoom = CLOSEST): void {
    if (!this.map) return;
    const everybody = [...(this.layer?.markers.values() ?? [])].map((marker) => marker.motion.place);
    const { bounds } = this.#options.config;
    const here = bounds ? inCity(everybody, bounds) : [];
    const places = here.length ? here : largestGroup(everybody);
    const tight = this.#insets(LEAST_MARGIN_PX);
    if (this.map.getContainer().clientWidth >= BESIDE_DRAWER_PX) tight.right += BUTTONS_PX;
    const padding = this.#insets(MARGIN_PX);
    frame(this.map, places, { padding, tight, maxZoom, city: here.length ? bounds : null, atOnce });
  }

  /** Shows one visit as chosen: its door, its name, its marker on top. */
  choose(visit: Visit | null): void {
    this.#tagged = visit;
    this.layer?.select(visit?.id ?? null);
    const address = visit?.booking.address;
    if (address?.lat !== undefined && address.lon !== undefined)
      this.#door?.show({ lat: address.lat, lon: address.lon });
    else this.#door?.hide();
    this.#placeTag();
  }

  /** Frames whoever is on the way together with the door, and stays with them from then on. */
  follow(visit: Visit | null): void {
    const was = this.#followed;
    this.#followed = visit;
    if ((was === null) !== (visit === null)) this.#options.followChanged(visit !== null);
    if (!visit || !this.map) return;
    const marker = this.layer?.markers.get(visit.id);
    const address = visit.booking.address;
    const places = marker ? [marker.motion.place] : [];
    if (address?.lat !== undefined && address.lon !== undefined) places.push({ lat: address.lat, lon: address.lon });
    const maxZoom = Math.max(CLOSEST, this.map.getZoom());
    frame(this.map, places, { padding: this.#insets(MARGIN_PX * 1.5), maxZoom, city: this.#options.config.bounds });
  }

  /** How many markers are neither off the map nor under the details. */
  get inSight(): number {
    const { right } = this.#insets(0);
    const { clientWidth, clientHeight } = this.element;
    const places = [...(this.layer?.markers.keys() ?? [])].map((id) => this.layer?.screen(id));
    return places.filter((at) => at && at.x > 0 && at.y > 0 && at.x < clientWidth - right && at.y < clientHeight).length;
  }

  /** `margin` on each side, and what the details cover. */
  #insets(margin: number): Insets {
    const width = this.map?.getContainer().clientWidth ?? 0;
    const room = width < 600 ? Math.min(margin, PHONE_MARGIN_PX) : margin;
    const drawer = this.#tagged && width >= BESIDE_DRAWER_PX ? DRAWER_PX : 0;
    return { top: room, right: room + drawer, bottom: room, left: room };
  }

  #handle(map: Engine, layer: MarkerLayer): void {
    map.on("mousemove", ({ point }) => {
      const marker = layer.at(point.x, point.y);
      map.getCanvas().style.setProperty("cursor", marker ? "pointer" : "");
      layer.hover(marker?.id ?? null);
      this.#options.hovered(marker?.id ?? null);
    });
    map.on("click", ({ point }) => this.#options.choose(layer.at(point.x, point.y, 22)?.id ?? null));
    for (const event of ["dragstart", "wheel", "boxzoomstart"] as const) map.on(event, () => this.follow(null));
    layer.onDraw = () => {
      this.#placeTag();
      this.#keepInSight(map, layer);
    };
  }

  #keepInSight(map: Engine, layer: MarkerLayer): void {
    if (!this.#followed || map.isMoving()) return;
    const at = layer.screen(this.#followed.id);
    const place = layer.markers.get(this.#followed.id)?.motion.place;
    if (!at || !place) return;
    const { clientWidth, clientHeight } = map.getContainer();
    const insets = this.#insets(0);
    const width = clientWidth - insets.right;
    const far =
      Math.abs(at.x - width / 2) > (width * CALM_SHARE) / 2 ||
      Math.abs(at.y - clientHeight / 2) > (clientHeight * CALM_SHARE) / 2;
    if (!far) return;
    const padding = this.#insets(MARGIN_PX * 1.5);
    frame(map, [place], { padding, maxZoom: map.getZoom(), city: this.#options.config.bounds });
  }

  #placeTag(): void {
    const visit = this.#tagged;
    const at = visit ? this.layer?.screen(visit.id) : null;
    this.#tag.hidden = !at;
    if (!visit || !at) return;
    const left = visit.mover?.etaAt ? ` · ${minutes(Math.max(0, (visit.mover.etaAt - performance.now()) / 1000))}` : "";
    setText(this.#tag, `${visit.booking.technician?.display_name ?? ""}${left}`);
    const edge = this.element.clientWidth - this.#insets(0).right - HALF_TAG_PX;
    const x = at.x > 0 && at.x < edge + HALF_TAG_PX ? Math.min(edge, Math.max(HALF_TAG_PX, at.x)) : at.x;
    this.#tag.style.setProperty(
      "transform",
      `translate(${Math.round(x)}px, ${Math.round(at.y)}px) translate(-50%, -240%)`,
    );
  }
}
