/** Names on the map: streets along their lines, parks, waters and neighbourhoods where they lie. */
import type { ExpressionSpecification, LayerSpecification } from "maplibre-gl";
import { ofClasses } from "./basemap_terms.ts";
import type { Palette } from "./palette.ts";

/** The first of these that this machine has; the engine draws the glyphs itself. */
const FONTS = ["Inter", "Segoe UI", "Helvetica Neue", "Roboto", "Noto Sans", "sans-serif"];

export function labels(palette: Palette): LayerSpecification[] {
  const road = (id: string, classes: string[], minzoom: number, size: number): LayerSpecification => ({
    id,
    type: "symbol",
    source: "city",
    minzoom,
    filter: ["all", ofClasses(classes) as ExpressionSpecification, ["has", "name"]],
    layout: {
      "symbol-placement": "line",
      "symbol-spacing": 320,
      "text-field": ["get", "name"],
      "text-font": FONTS,
      "text-size": size,
      "text-max-angle": 30,
      "text-padding": 8,
      "text-letter-spacing": 0.01,
    },
    paint: { "text-color": palette.label, "text-halo-color": palette.labelHalo, "text-halo-width": 1.4 },
  });
  const area = (id: string, layer: string, colour: string): LayerSpecification => ({
    id,
    type: "symbol",
    source: "city",
    minzoom: 12,
    filter: ["all", ["==", ["get", "layer"], layer], ["has", "name"]],
    layout: {
      "text-field": ["get", "name"],
      "text-font": FONTS,
      "text-size": 11,
      "text-max-width": 8,
      "text-padding": 12,
    },
    paint: { "text-color": colour, "text-halo-color": palette.labelHalo, "text-halo-width": 1.2 },
  });
  return [
    road("street-name", ["residential", "unclassified", "living_street"], 15, 11),
    road("tertiary-name", ["tertiary"], 14, 11),
    road("main-name", ["secondary", "primary", "trunk"], 12.5, 11.5),
    area("park-name", "park", palette.label),
    area("water-name", "water", palette.waterLabel),
    area("place-name", "place", palette.place),
  ];
}
