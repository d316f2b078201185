/**
 * Markers painted once for each kind, size and scheme, then copied: two thousand of them cost two thousand small
 * copies a frame. Shape carries what colour carries: a beak shows a heading, a hollow ring is not live.
 */
import type { Freshness, Phase } from "../api/types.ts";
import { isDark } from "./palette.ts";

export interface Look {
  phase: Phase;
  freshness: Freshness;
  beak: boolean;
  selected: boolean;
}

interface Ink {
  fill: string;
  ring: string;
}

const LIVE: Record<"light" | "dark", Partial<Record<Phase, string>>> = {
  light: { waiting: "#5f6b76", en_route: "#1f62d0", near: "#c2680a", arrived: "#13795b" },
  dark: { waiting: "#8c98a3", en_route: "#5b9bff", near: "#f5a742", arrived: "#45c497" },
};

const cache = new Map<string, HTMLCanvasElement>();

/** A sprite whose middle is the marker's place and whose heading is north; `radius` in CSS px. */
export function sprite(look: Look, radius: number, ratio: number): HTMLCanvasElement {
  const key = `${isDark()} ${look.phase} ${look.freshness} ${look.beak} ${look.selected} ${radius} ${ratio}`;
  let canvas = cache.get(key);
  if (!canvas) {
    if (cache.size > 400) cache.clear();
    canvas = paint(look, radius, ratio);
    cache.set(key, canvas);
  }
  return canvas;
}

function inkOf(look: Look): Ink {
  const scheme = isDark() ? "dark" : "light";
  const ring = isDark() ? "#0d1110" : "#ffffff";
  return { fill: LIVE[scheme][look.phase] ?? LIVE[scheme].en_route ?? "#1f62d0", ring };
}

function paint(look: Look, radius: number, ratio: number): HTMLCanvasElement {
  const reach = radius * (look.selected ? 2.6 : 2.2) + 3;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = Math.ceil(reach * 2 * ratio);
  const draw = canvas.getContext("2d") as CanvasRenderingContext2D;
  draw.scale(ratio, ratio);
  draw.translate(canvas.width / ratio / 2, canvas.width / ratio / 2);
  const ink = inkOf(look);
  if (look.selected) halo(draw, radius, ink.fill);
  if (look.freshness === "live") solid(draw, radius, look.beak, ink);
  else hollow(draw, radius, look.freshness);
  return canvas;
}

function halo(draw: CanvasRenderingContext2D, radius: number, colour: string): void {
  draw.globalAlpha = 0.2;
  draw.fillStyle = colour;
  disc(draw, radius * 2.4);
  draw.fill();
  draw.globalAlpha = 1;
}

function solid(draw: CanvasRenderingContext2D, radius: number, beak: boolean, ink: Ink): void {
  draw.shadowColor = "rgb(0 0 0 / 28%)";
  draw.shadowBlur = radius > 6 ? 4 : 2;
  draw.shadowOffsetY = 1;
  draw.lineJoin = "round";
  const outline = new Path2D();
  outline.arc(0, 0, radius, 0, Math.PI * 2);
  if (beak) {
    const arrow = new Path2D();
    arrow.moveTo(0, -radius * 1.75);
    arrow.lineTo(radius * 0.72, -radius * 0.55);
    arrow.lineTo(-radius * 0.72, -radius * 0.55);
    arrow.closePath();
    outline.addPath(arrow);
  }
  draw.lineWidth = Math.max(2, radius * 0.42);
  draw.strokeStyle = ink.ring;
  draw.stroke(outline);
  draw.shadowColor = "transparent";
  draw.fillStyle = ink.fill;
  draw.fill(outline);
}

function hollow(draw: CanvasRenderingContext2D, radius: number, freshness: Freshness): void {
  const grey = isDark() ? "#8b9490" : "#7b827f";
  draw.globalAlpha = freshness === "lost" ? 0.75 : 1;
  draw.fillStyle = isDark() ? "#171c1b" : "#ffffff";
  disc(draw, radius);
  draw.fill();
  draw.strokeStyle = grey;
  draw.lineWidth = Math.max(1.5, radius * 0.3);
  if (freshness === "lost") draw.setLineDash([radius * 0.55, radius * 0.4]);
  disc(draw, radius - 0.5);
  draw.stroke();
  draw.setLineDash([]);
  draw.globalAlpha = 1;
}

function disc(draw: CanvasRenderingContext2D, radius: number): void {
  draw.beginPath();
  draw.arc(0, 0, radius, 0, Math.PI * 2);
}
