/**
 * All moving markers on one canvas above the map. The map stays flat and north up, so a place on the screen is one
 * multiplication away, and nothing is re-tiled when something moves. It draws only when something changed: with every
 * marker at rest the page is at rest.
 */
import type { Map as Engine } from "maplibre-gl";
import type { Freshness, Phase } from "../api/types.ts";
import { world } from "./mercator.ts";
import { reducedMotion } from "./map_view.ts";
import { Motion, type Sample } from "./motion.ts";
import { onSchemeChange } from "./palette.ts";
import { sprite } from "./sprites.ts";

export interface MarkerUpdate extends Sample {
  id: string;
  phase: Phase;
  freshness: Freshness;
}

export interface Marker {
  id: string;
  motion: Motion;
  phase: Phase;
  freshness: Freshness;
  dimmed: boolean;
}

interface View {
  scale: number;
  left: number;
  top: number;
  width: number;
  height: number;
}

/** Above this many markers, 30 frames a second are smooth enough and half the work. */
const MANY = 400;

export class MarkerLayer {
  readonly #map: Engine;
  readonly #canvas: HTMLCanvasElement;
  readonly #draw: CanvasRenderingContext2D;
  readonly #markers = new Map<string, Marker>();
  #selected: string | null = null;
  #hovered: string | null = null;
  #frame = 0;
  #lastDrawn = 0;
  /** Called after each drawing, for what has to stay beside a marker. */
  onDraw: (() => void) | null = null;

  constructor(map: Engine) {
    this.#map = map;
    this.#canvas = document.createElement("canvas");
    this.#canvas.className = "marker-canvas";
    this.#canvas.setAttribute("aria-hidden", "true");
    map.getCanvasContainer().append(this.#canvas);
    this.#draw = this.#canvas.getContext("2d") as CanvasRenderingContext2D;
    map.on("render", () => this.#paint());
    map.on("resize", () => this.wake());
    onSchemeChange(() => this.wake());
  }

  get markers(): ReadonlyMap<string, Marker> {
    return this.#markers;
  }

  put(update: MarkerUpdate): void {
    const now = performance.now();
    const known = this.#markers.get(update.id);
    if (known) {
      known.motion.moveTo(update, now, reducedMotion.matches);
      known.phase = update.phase;
      known.freshness = update.freshness;
    } else {
      const { id, phase, freshness } = update;
      this.#markers.set(id, { id, phase, freshness, dimmed: false, motion: new Motion(update, now) });
    }
    this.wake();
  }

  remove(id: string): void {
    if (this.#markers.delete(id)) this.wake();
  }

  /** Everything that is not in `ids` goes. */
  keepOnly(ids: Set<string>): void {
    for (const id of this.#markers.keys()) if (!ids.has(id)) this.#markers.delete(id);
    this.wake();
  }

  /** The stream stopped: what stands here is where it was, not where it is. */
  freezeAll(freshness: Freshness): void {
    for (const marker of this.#markers.values()) {
      marker.motion.freeze();
      marker.freshness = freshness;
    }
    this.wake();
  }

  select(id: string | null): void {
    this.#selected = id;
    this.wake();
  }

  hover(id: string | null): void {
    if (this.#hovered === id) return;
    this.#hovered = id;
    this.wake();
  }

  /** Only these stay in full colour; null: all of them. */
  emphasise(ids: Set<string> | null): void {
    for (const marker of this.#markers.values()) marker.dimmed = ids !== null && !ids.has(marker.id);
    this.wake();
  }

  /** Where a marker is shown now, in px of the map. */
  screen(id: string): { x: number; y: number } | null {
    const marker = this.#markers.get(id);
    if (!marker) return null;
    const view = this.#view();
    return { x: marker.motion.x * view.scale - view.left, y: marker.motion.y * view.scale - view.top };
  }

  /** The marker nearest to a point of the map, within a finger's reach. */
  at(x: number, y: number, reach = 18): Marker | null {
    const view = this.#view();
    let best: Marker | null = null;
    let bestSquared = reach * reach;
    for (const marker of this.#markers.values()) {
      const dx = marker.motion.x * view.scale - view.left - x;
      const dy = marker.motion.y * view.scale - view.top - y;
      const squared = dx * dx + dy * dy;
      if (squared < bestSquared) {
        best = marker;
        bestSquared = squared;
      }
    }
    return best;
  }

  wake(): void {
    if (!this.#frame) this.#frame = requestAnimationFrame((now) => this.#tick(now));
  }

  #tick(now: number): void {
    this.#frame = 0;
    if (this.#markers.size > MANY && now - this.#lastDrawn < 30) return this.wake();
    if (this.#paint(now)) this.wake();
  }

  /** Draws all markers where they are at `now`; true while any of them still moves. */
  #paint(now = performance.now()): boolean {
    this.#lastDrawn = now;
    const ratio = Math.min(2, devicePixelRatio || 1);
    const view = this.#view();
    this.#fit(view, ratio);
    this.#draw.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    const radius = markerRadius(this.#map.getZoom(), this.#markers.size);
    let moving = false;
    const last: Marker[] = [];
    for (const marker of this.#markers.values()) {
      if (marker.motion.live && marker.motion.step(now)) moving = true;
      if (marker.id === this.#selected || marker.id === this.#hovered) last.push(marker);
      else this.#stamp(marker, view, radius, ratio, false);
    }
    for (const marker of last) this.#stamp(marker, view, Math.max(8, radius * 1.25), ratio, true);
    this.onDraw?.();
    return moving;
  }

  #stamp(marker: Marker, view: View, radius: number, ratio: number, selected: boolean): void {
    const x = marker.motion.x * view.scale - view.left;
    const y = marker.motion.y * view.scale - view.top;
    if (x < -40 || y < -40 || x > view.width + 40 || y > view.height + 40) return;
    const heading = marker.motion.headingDeg;
    const beak = heading !== null && marker.freshness === "live" && radius >= 5;
    const image = sprite({ phase: marker.phase, freshness: marker.freshness, beak, selected }, radius, ratio);
    const half = image.width / 2;
    this.#draw.globalAlpha = marker.dimmed && !selected ? 0.22 : 1;
    if (beak) {
      const angle = (heading * Math.PI) / 180;
      const cos = Math.cos(angle);
      const sin = Math.sin(angle);
      this.#draw.setTransform(cos, sin, -sin, cos, x * ratio, y * ratio);
      this.#draw.drawImage(image, -half, -half);
      this.#draw.setTransform(1, 0, 0, 1, 0, 0);
    } else {
      this.#draw.drawImage(image, x * ratio - half, y * ratio - half);
    }
    this.#draw.globalAlpha = 1;
  }

  #view(): View {
    const { clientWidth: width, clientHeight: height } = this.#map.getContainer();
    const scale = 512 * 2 ** this.#map.getZoom();
    // The engine's camera may be padded; where it puts a known place gives the offset without guessing.
    const { lng, lat } = this.#map.getCenter();
    const at = this.#map.project([lng, lat]);
    const middle = world(lat, lng);
    return { scale, left: middle.x * scale - at.x, top: middle.y * scale - at.y, width, height };
  }

  #fit(view: View, ratio: number): void {
    const width = Math.round(view.width * ratio);
    const height = Math.round(view.height * ratio);
    if (this.#canvas.width !== width || this.#canvas.height !== height) {
      this.#canvas.width = width;
      this.#canvas.height = height;
    }
  }
}

/** Small on a full city, a thumb's width on one street; whole pixels, so that few sprites are painted. */
function markerRadius(zoom: number, count: number): number {
  const roomy = Math.min(11, Math.max(4, (zoom - 9) * 1.35));
  return Math.round(count > MANY ? Math.max(3, roomy - 2) : roomy);
}
