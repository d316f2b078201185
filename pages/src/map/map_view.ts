/**
 * The map of every page: flat, north up, the city's own streets, drawn in the reader's colour scheme. It has two states
 * beside the good one: no WebGL (the page goes on without a map and says so) and a basemap that did not load.
 */
import {
  AttributionControl,
  LngLat,
  Map as Engine,
  NavigationControl,
  setWorkerCount,
  setWorkerUrl,
} from "maplibre-gl";
import type { Config } from "../api/config.ts";
import type { Place } from "../api/types.ts";
import { h } from "../ui/dom.ts";
import { styleFor } from "./basemap_style.ts";
import { latLon, world } from "./mercator.ts";
import { onSchemeChange, palette } from "./palette.ts";

declare const MAP_WORKER_URL: string;

/** West, south, east, north. */
export type Box = [number, number, number, number];

/** The engine's world is this wide at zoom 0. */
const ENGINE_TILE_PX = 512;

/** A camera this near to where it should be stays. */
const STILL_PX = 24;

/** Where no basemap says what to show: the whole world that people live in. */
const WORLD: Box = [-130, -40, 150, 65];

export const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

export interface MapOptions {
  config: Config;
  label: string;
  zoomButtons?: boolean;
  /** A picture that no hand moves. */
  still?: boolean;
}

setWorkerUrl(MAP_WORKER_URL);
// One worker is plenty for one city of GeoJSON, and leaves the other cores to the page.
setWorkerCount(1);

/** A map in `holder`, or null with a kind sentence in its place where the browser cannot draw one. */
export function createMap(holder: HTMLElement, options: MapOptions): Engine | null {
  const { config } = options;
  const styled = () => styleFor(palette(), config);
  let map: Engine;
  try {
    map = new Engine({
      container: holder,
      style: styled(),
      bounds: config.bounds ?? WORLD,
      minZoom: config.bounds && !config.tiles_url ? 8 : 2,
      maxZoom: 18.5,
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
      rollEnabled: false,
      attributionControl: false,
      fadeDuration: reducedMotion.matches ? 0 : 150,
      refreshExpiredTiles: false,
      renderWorldCopies: false,
      interactive: !options.still,
    });
  } catch {
    holder.classList.add("map-missing");
    holder.replaceChildren(
      h("p", { role: "status" }, "This browser cannot draw the map (WebGL is off). Everything else works."),
    );
    return null;
  }
  if (config.bounds) coverWhenLaidOut(map, config.bounds);
  map.touchZoomRotate.disableRotation();
  map.keyboard.disableRotation();
  map.addControl(new AttributionControl({ compact: false }), "bottom-right");
  if (options.zoomButtons) map.addControl(new NavigationControl({ showCompass: false }), "bottom-right");
  map.getCanvas().setAttribute("aria-label", options.label);
  map.on("error", ({ error }) => console.warn(`map: ${error.message}`));
  onSchemeChange(() => map.setStyle(styled(), { diff: true }));
  return map;
}

/** Made before its page is laid out, a map has no size; it opens, once it has one, with the city from edge to edge. */
function coverWhenLaidOut(map: Engine, city: Box): void {
  const cover = (): boolean => {
    if (!map.getContainer().clientWidth) return false;
    map.jumpTo({ center: [(city[0] + city[2]) / 2, (city[1] + city[3]) / 2], zoom: coverZoom(map, city) });
    return true;
  };
  if (cover()) return;
  // Not `once`: the engine calls those last, and would undo what the page frames at the same moment.
  const first = (): void => {
    if (cover()) map.off("resize", first);
  };
  map.on("resize", first);
}

/** The zoom at which the city fills the map and nothing beyond it is seen. */
export function coverZoom(map: Engine, [w, s, e, n]: Box): number {
  const [nw, se] = [world(n, w), world(s, e)];
  const { clientWidth, clientHeight } = map.getContainer();
  return Math.log2(Math.max(clientWidth / (se.x - nw.x), clientHeight / (se.y - nw.y)) / ENGINE_TILE_PX);
}

export interface Insets {
  top: number;
  right: number;
  bottom: number;
  left: number;
}

interface Framing {
  /** Room that the places leave to the edges of the map, and to what lies over it. */
  padding: Insets;
  /** The least of it, for where more would show ground beyond the city. */
  tight?: Insets;
  maxZoom: number;
  /** The city, of which the map shows as much as it can instead of the ground beyond it. */
  city: Box | null;
  atOnce?: boolean;
}

/** Shows all these places, and around them rather the city than the ground beyond it. */
export function frame(map: Engine, places: Place[], { padding, tight, maxZoom, city, atOnce }: Framing): void {
  const box = boundsOf(places);
  let room = padding;
  let camera = box && map.cameraForBounds(box, { padding, maxZoom });
  const covers = city ? coverZoom(map, city) : 0;
  if (box && tight && camera?.zoom !== undefined && camera.zoom < covers) {
    room = tight;
    camera = map.cameraForBounds(box, { padding: tight, maxZoom: Math.min(maxZoom, covers) });
  }
  if (!box || !camera?.center || camera.zoom === undefined) return;
  let { lng, lat } = LngLat.convert(camera.center);
  if (city) {
    const scale = ENGINE_TILE_PX * 2 ** camera.zoom;
    const [nw, se] = [world(city[3], city[0]), world(city[1], city[2])];
    const [first, last] = [world(box[3], box[0]), world(box[1], box[2])];
    const across: [number, number] = [
      Math.min(nw.x, first.x - room.left / scale),
      Math.max(se.x, last.x + room.right / scale),
    ];
    const down: [number, number] = [
      Math.min(nw.y, first.y - room.top / scale),
      Math.max(se.y, last.y + room.bottom / scale),
    ];
    const { clientWidth, clientHeight } = map.getContainer();
    const at = world(lat, lng);
    const x = within(at.x, across, clientWidth / scale / 2);
    const y = within(at.y, down, clientHeight / scale / 2);
    ({ lat, lon: lng } = latLon(x, y));
  }
  const there = map.project([lng, lat]);
  const here = map.project(map.getCenter());
  if (camera.zoom === map.getZoom() && Math.hypot(there.x - here.x, there.y - here.y) < STILL_PX) return;
  const duration = atOnce || reducedMotion.matches ? 0 : 700;
  map.easeTo({ center: [lng, lat], zoom: camera.zoom, duration, essential: false });
}

/** The middle nearest to `at` whose `reach` to both sides stays inside, or the middle of all where it cannot. */
function within(at: number, [from, to]: [number, number], reach: number): number {
  return to - from <= 2 * reach ? (from + to) / 2 : Math.min(to - reach, Math.max(from + reach, at));
}

/** Moves the camera as far as the reader's taste for motion allows. */
export function glideTo(
  map: Engine,
  place: Place,
  zoom?: number,
  insets: Insets = { top: 0, right: 0, bottom: 0, left: 0 },
): void {
  map.easeTo({
    center: [place.lon, place.lat],
    ...(zoom === undefined ? {} : { zoom }),
    // An offset, not a padding: the engine would keep that, and add it to the next one.
    offset: [(insets.left - insets.right) / 2, (insets.top - insets.bottom) / 2],
    duration: reducedMotion.matches ? 0 : 700,
    essential: false,
  });
}

/** The smallest box around all places, or null for none. */
function boundsOf(places: Place[]): Box | null {
  if (!places.length) return null;
  const lons = places.map((place) => place.lon);
  const lats = places.map((place) => place.lat);
  return [Math.min(...lons), Math.min(...lats), Math.max(...lons), Math.max(...lats)];
}
