/**
 * The map of every page: flat, north up, the city's own streets, drawn in the reader's colour scheme. It has two states
 * beside the good one: no WebGL (the page goes on without a map and says so) and a basemap that did not load.
 */
import { AttributionControl, Map as Engine, NavigationControl, setWorkerCount, setWorkerUrl, type LngLatBoundsLike } from "maplibre-gl";
import type { Config } from "../api/config.ts";
import type { Place } from "../api/types.ts";
import { h } from "../ui/dom.ts";
import { styleFor } from "./basemap_style.ts";
import { onSchemeChange, palette } from "./palette.ts";

declare const MAP_WORKER_URL: string;

/** The demo city, until the page knows better. */
const FIRST_VIEW: [number, number, number, number] = [-76.6195, 39.2627, -76.5426, 39.3172];

export const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

export interface MapOptions {
  config: Config;
  label: string;
  bounds?: LngLatBoundsLike;
  zoomButtons?: boolean;
}

setWorkerUrl(MAP_WORKER_URL);
// One worker is plenty for one city of GeoJSON, and leaves the other cores to the page.
setWorkerCount(1);

/** A map in `holder`, or null with a kind sentence in its place where the browser cannot draw one. */
export function createMap(holder: HTMLElement, options: MapOptions): Engine | null {
  const { config } = options;
  const styled = () => styleFor(palette(), config.basemap_url, config.tiles_url);
  let map: Engine;
  try {
    map = new Engine({
      container: holder,
      style: styled(),
      bounds: options.bounds ?? FIRST_VIEW,
      minZoom: 8,
      maxZoom: 18.5,
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
      rollEnabled: false,
      attributionControl: false,
      fadeDuration: reducedMotion.matches ? 0 : 150,
      refreshExpiredTiles: false,
      renderWorldCopies: false,
    });
  } catch {
    holder.classList.add("map-missing");
    holder.replaceChildren(h("p", { role: "status" }, "This browser cannot draw the map (WebGL is off). Everything else works."));
    return null;
  }
  map.touchZoomRotate.disableRotation();
  map.keyboard.disableRotation();
  map.addControl(new AttributionControl({ compact: false }), "bottom-right");
  if (options.zoomButtons) map.addControl(new NavigationControl({ showCompass: false }), "bottom-right");
  map.getCanvas().setAttribute("aria-label", options.label);
  map.on("error", ({ error }) => console.warn(`map: ${error.message}`));
  onSchemeChange(() => map.setStyle(styled(), { diff: true }));
  return map;
}

/** Moves the camera as far as the reader's taste for motion allows. */
export function glideTo(map: Engine, place: Place, zoom?: number, padding?: { top: number; bottom: number; left: number; right: number }): void {
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
