/** Line icons on a 20 px grid. Decorative: whoever uses one gives it words. */

const PATHS = {
  search: "M9 15a6 6 0 1 0 0-12 6 6 0 0 0 0 12Zm8 2-3.8-3.8",
  close: "M5 5l10 10M15 5 5 15",
  back: "M12 4 6 10l6 6",
  forward: "M8 4l6 6-6 6",
  check: "M4 10.5 8 14.5 16 6",
  clock: "M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14Zm0-11v4l2.5 2",
  pin: "M10 17.5s5.5-4.6 5.5-9a5.5 5.5 0 0 0-11 0c0 4.4 5.5 9 5.5 9Zm0-7a2 2 0 1 0 0-4 2 2 0 0 0 0 4Z",
  shield: "M10 2.8 16 5v5c0 4-2.7 6.3-6 7.4C6.7 16.3 4 14 4 10V5l6-2.2ZM7.3 10l2 2 3.5-4",
  star: "m10 3 2.2 4.5 4.9.7-3.6 3.5.9 4.9-4.4-2.3-4.4 2.3.9-4.9L2.9 8.2l4.9-.7L10 3Z",
  share:
    "M12.5 6.5 7.5 9m0 2 5 2.5M14.5 7.5a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM5.5 12a2 2 0 1 0 0-4 2 2 0 0 0 0 4Zm9 4.5a2 2 0 1 0 0-4 2 2 0 0 0 0 4Z",
  alert:
    "M10 7v3.5m0 2.8v.2M8.7 3.6 2.4 14.5a1.5 1.5 0 0 0 1.3 2.3h12.6a1.5 1.5 0 0 0 1.3-2.3L11.3 3.6a1.5 1.5 0 0 0-2.6 0Z",
  signal: "M4 16v-3m4 3v-6m4 6V7m4 9V4",
  map: "m3 5 4.7-2 4.6 2L17 3v12l-4.7 2-4.6-2L3 17V5Zm4.7-2v12m4.6-10v12",
  wrench:
    "M12.2 3.3a4.2 4.2 0 0 0-3.8 5.8L3.3 14.2a1.770 1.770 0 0 0 2.5 2.5l5.1-5.1a4.2 4.2 0 0 0 5.4-5.3l-2.5 2.5-2.3-.3-.3-2.3 2.5-2.5a4.2 4.2 0 0 0-1.5-.4Z",
  out: "M8 17H4V3h4m4 3 4 4-4 4m4-4H8",
  layers: "m10 3 7 4-7 4-7-4 7-4Zm-7 7 7 4 7-4m-14 3 7 4 7-4",
  book: "M4 4.5A1.5 1.5 0 0 1 5.5 3H16v11H5.5A1.5 1.5 0 0 0 4 15.5m0-11v11A1.5 1.5 0 0 0 5.5 17H16v-3",
  people:
    "M7.5 9.5a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM2 16.5c0-3 2.3-4.8 5.5-4.8s5.5 1.8 5.5 4.8m0-12.8a3 3 0 0 1 0 5.6m2 2.7c1.9.7 3 2.3 3 4.5",
  locate: "M10 6.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7ZM10 2v2.5M10 15.5V18M2 10h2.5M15.5 10H18",
  note: "M4 4h12v9l-3.5 3.5H4V4Zm3 4h6M7 11h4",
} as const;

export type IconName = keyof typeof PATHS;

const SVG = "http://www.w3.org/2000/svg";

export function icon(name: IconName, size = 20): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({
    viewBox: "0 0 20 20",
    width: size,
    height: size,
    fill: "none",
    stroke: "currentColor",
    "stroke-width": 1.6,
    "stroke-linecap": "round",
    "stroke-linejoin": "round",
    "aria-hidden": "true",
    focusable: "false",
  })) {
    svg.setAttribute(key, String(value));
  }
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** The mark: a door, its light and its step. */
export function mark(size = 28): SVGSVGElement {
  const svg = drawn("0 0 32 32", size, size, [
    ["rect", { width: 32, height: 32, rx: 8, fill: "#0b6b57" }],
    [
      "path",
      { d: "M9.5 23.5V14a6.5 6.5 0 0 1 13 0v9.5", stroke: "#fff", "stroke-width": 2.6, "stroke-linecap": "round" },
    ],
    ["path", { d: "M6.5 23.5h19", stroke: "#ffd27a", "stroke-width": 2.6, "stroke-linecap": "round" }],
    ["circle", { cx: 19, cy: 17, r: 1.5, fill: "#ffd27a" }],
  ]);
  return svg;
}

/** The door on the map. */
export function doorPin(): SVGSVGElement {
  return drawn("0 0 30 38", 30, 38, [
    [
      "path",
      {
        d: "M15 37S28 25 28 14.5a13 13 0 0 0-26 0C2 25 15 37 15 37Z",
        fill: "#0b6b57",
        stroke: "#fff",
        "stroke-width": 2,
      },
    ],
    [
      "path",
      { d: "M10.5 20.5V13.5a4.5 4.5 0 0 1 9 0v7", stroke: "#fff", "stroke-width": 2, "stroke-linecap": "round" },
    ],
    ["path", { d: "M8.5 20.5h13", stroke: "#ffd27a", "stroke-width": 2, "stroke-linecap": "round" }],
  ]);
}

function drawn(
  viewBox: string,
  width: number,
  height: number,
  shapes: [string, Record<string, string | number>][],
): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({ viewBox, width, height, fill: "none", "aria-hidden": "true" })) {
    svg.setAttribute(key, String(value));
  }
  for (const [name, attributes] of shapes) {
    const shape = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) shape.setAttribute(key, String(value));
    svg.append(shape);
  }
  return svg;
}
