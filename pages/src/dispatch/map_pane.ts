/** The live map: every marker, the door of the chosen visit, and a camera that follows one until a hand takes it. */
import type { Map as Engine } from "maplibre-gl";
import type { Config } from "../api/config.ts";
import type { Mover } from "../live/fleet.ts";
import { boundsOf, createMap, glideTo, reducedMotion } from "../map/map_view.ts";
import { MarkerLayer } from "../map/marker_layer.ts";
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

const FOLLOW_ZOOM = 15;
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
    if (!this.#fitted && movers.length && this.map) {
      this.#fitted = true;
      this.fitAll(true);
    }
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

  fitAll(atOnce = false): void {
    const places = [...(this.layer?.markers.values() ?? [])].map((marker) => marker.motion.place);
    const bounds = boundsOf(places);
    if (bounds && this.map) {
      this.map.fitBounds(bounds, {
        padding: this.map.getContainer().clientWidth < 600 ? 36 : 72,
        maxZoom: 15,
        duration: atOnce || reducedMotion.matches ? 0 : 600,
      });
    }
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

  follow(visit: Visit | null): void {
    const was = this.#followed;
    this.#followed = visit;
    if ((was === null) !== (visit === null)) this.#options.followChanged(visit !== null);
    if (!visit || !this.map) return;
    const marker = this.layer?.markers.get(visit.id);
    const address = visit.booking.address;
    const place =
      marker?.motion.place ??
      (address?.lat !== undefined && address.lon !== undefined ? { lat: address.lat, lon: address.lon } : null);
    if (place) glideTo(this.map, place, Math.max(FOLLOW_ZOOM, this.map.getZoom()));
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
    const far =
      Math.abs(at.x - clientWidth / 2) > (clientWidth * CALM_SHARE) / 2 ||
      Math.abs(at.y - clientHeight / 2) > (clientHeight * CALM_SHARE) / 2;
    if (far) glideTo(map, place);
  }

  #placeTag(): void {
    const visit = this.#tagged;
    const at = visit ? this.layer?.screen(visit.id) : null;
    this.#tag.hidden = !at;
    if (!visit || !at) return;
    const left = visit.mover?.etaAt ? ` · ${minutes(Math.max(0, (visit.mover.etaAt - performance.now()) / 1000))}` : "";
    setText(this.#tag, `${visit.booking.technician?.display_name ?? ""}${left}`);
    this.#tag.style.setProperty(
      "transform",
      `translate(${Math.round(at.x)}px, ${Math.round(at.y)}px) translate(-50%, -240%)`,
    );
  }
}
