/**
 * The map of every page: flat, north up, the city's own streets, drawn in the reader's colour scheme. It has two states
 * beside the good one: no WebGL (the page goes on without a map and says so) and a basemap that did not load.
 */
import {
  AttributionControl,
  Map as Engine,
  NavigationControl,
  setWorkerCount,
  setWorkerUrl,
  type LngLatBoundsLike,
} from "maplibre-gl";
import type { Config } from "../api/config.ts";
import type { Place } from "../api/types.ts";
import { h } from "../ui/dom.ts";
import { styleFor } from "./basemap_style.ts";
import { onSchemeChange, palette } from "./palette.ts";

declare const MAP_WORKER_URL: string;

/** Where no basemap says what to show: the whole world that people live in. */
const WORLD: [number, number, number, number] = [-130, -40, 150, 65];

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
  const covered = config.bounds ?? WORLD;
  const bounds = options.still ? middleOf(covered) : covered;
  let map: Engine;
  try {
    map = new Engine({
      container: holder,
      style: styled(),
      bounds,
      minZoom: 2,
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
  fitWhenLaidOut(map, bounds);
  map.touchZoomRotate.disableRotation();
  map.keyboard.disableRotation();
  map.addControl(new AttributionControl({ compact: false }), "bottom-right");
  if (options.zoomButtons) map.addControl(new NavigationControl({ showCompass: false }), "bottom-right");
  map.getCanvas().setAttribute("aria-label", options.label);
  map.on("error", ({ error }) => console.warn(`map: ${error.message}`));
  onSchemeChange(() => map.setStyle(styled(), { diff: true }));
  return map;
}

/** Made before its page is laid out, a map fits its bounds to a box that nobody sees; the first real size fits anew. */
function fitWhenLaidOut(map: Engine, bounds: LngLatBoundsLike): void {
  // Not `once`: the engine calls those last, and would undo what the page frames at the same moment.
  const fit = (): void => {
    if (!map.getContainer().clientWidth) return;
    map.off("resize", fit);
    map.fitBounds(bounds, { duration: 0 });
  };
  map.on("resize", fit);
}

/** The middle of what a basemap covers, for a picture that fills its frame. */
function middleOf([w, s, e, n]: [number, number, number, number], share = 0.78): [number, number, number, number] {
  const [dx, dy] = [((e - w) * (1 - share)) / 2, ((n - s) * (1 - share)) / 2];
  return [w + dx, s + dy, e - dx, n - dy];
}

/** Moves the camera as far as the reader's taste for motion allows. */
export function glideTo(
  map: Engine,
  place: Place,
  zoom?: number,
  padding?: { top: number; bottom: number; left: number; right: number },
): void {
  map.easeTo({
    center: [place.lon, place.lat],
    ...(zoom === undefined ? {} : { zoom }),
    ...(padding ? { padding } : {}),
    duration: reducedMotion.matches ? 0 : 700,
    essential: false,
  });
}

/** The smallest box around all places, or null for none. */
export function boundsOf(places: Place[]): [number, number, number, number] | null {
  if (!places.length) return null;
  const lons = places.map((place) => place.lon);
  const lats = places.map((place) => place.lat);
  return [Math.min(...lons), Math.min(...lats), Math.max(...lons), Math.max(...lats)];
}
