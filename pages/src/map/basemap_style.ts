/**
 * The map's style over the city's own GeoJSON: water, parks and roads in order of weight. There is no glyph server:
 * without `glyphs` the engine draws labels from the fonts of this machine. With a raster tile server the same map shows
 * its tiles instead.
 */
import type { ExpressionSpecification, LayerSpecification, StyleSpecification } from "maplibre-gl";
import type { Config } from "../api/config.ts";
import { labels } from "./basemap_labels.ts";
import { byZoom, ofClasses, type Width } from "./basemap_terms.ts";
import type { Palette } from "./palette.ts";

const ATTRIBUTION = "© OpenStreetMap contributors";

interface Road {
  id: string;
  classes: string[];
  width: Width;
  colour: keyof Palette;
  casing: keyof Palette;
  minzoom?: number;
}

/** Lightest first: heavier roads are drawn over them. */
const ROADS: Road[] = [
  {
    id: "path",
    classes: ["service", "path"],
    minzoom: 15,
    width: [
      [15, 0.8],
      [18, 6],
    ],
    colour: "street",
    casing: "streetCase",
  },
  {
    id: "street",
    classes: ["residential", "unclassified"],
    minzoom: 12,
    width: [
      [12, 0.5],
      [13, 1.4],
      [16, 7],
      [19, 26],
    ],
    colour: "street",
    casing: "streetCase",
  },
  {
    id: "tertiary",
    classes: ["tertiary", "tertiary_link"],
    width: [
      [10, 0.6],
      [13, 2.4],
      [16, 9],
      [19, 32],
    ],
    colour: "street",
    casing: "mainCase",
  },
  {
    id: "main",
    classes: ["secondary", "primary", "trunk", "secondary_link", "primary_link", "trunk_link"],
    width: [
      [9, 0.8],
      [13, 3.4],
      [16, 11],
      [19, 40],
    ],
    colour: "main",
    casing: "mainCase",
  },
  {
    id: "motorway",
    classes: ["motorway", "motorway_link"],
    width: [
      [8, 0.8],
      [13, 4],
      [16, 12],
      [19, 42],
    ],
    colour: "motorway",
    casing: "motorwayCase",
  },
];

export function styleFor(palette: Palette, { basemap_url, bounds, tiles_url }: Config): StyleSpecification {
  if (tiles_url) return rasterStyle(palette, tiles_url);
  const style: StyleSpecification = {
    version: 8,
    sources: {},
    layers: [{ id: "land", type: "background", paint: { "background-color": palette.land } }],
  };
  if (!basemap_url) return style;
  const data = new URL(basemap_url, location.href).href;
  style.sources["city"] = { type: "geojson", data, attribution: ATTRIBUTION, tolerance: 0.3, maxzoom: 15 };
  style.layers.push(...ground(palette), ...ROADS.flatMap((road) => roadCasing(road, palette)));
  style.layers.push(...ROADS.flatMap((road) => roadFill(road, palette)), ...labels(palette));
  if (bounds) fadeEdge(style, palette, bounds);
  return style;
}

/** Where the basemap ends, the city fades into the ground instead of being cut. */
function fadeEdge(style: StyleSpecification, palette: Palette, [w, s, e, n]: NonNullable<Config["bounds"]>): void {
  const box = [
    [w, s],
    [e, s],
    [e, n],
    [w, n],
    [w, s],
  ];
  const far = [
    [w - 1, s - 1],
    [e + 1, s - 1],
    [e + 1, n + 1],
    [w - 1, n + 1],
    [w - 1, s - 1],
  ];
  style.sources["edge"] = {
    type: "geojson",
    data: { type: "Feature", properties: {}, geometry: { type: "Polygon", coordinates: [far, box] } },
  };
  style.layers.push(
    { id: "beyond", type: "fill", source: "edge", paint: { "fill-color": palette.land } },
    {
      id: "edge",
      type: "line",
      source: "edge",
      paint: {
        "line-color": palette.land,
        // Blurred by half its width, so that on the edge itself nothing shines through.
        "line-width": byZoom([
          [10, 40],
          [14, 240],
        ]),
        "line-blur": byZoom([
          [10, 20],
          [14, 120],
        ]),
      },
    },
  );
}

function rasterStyle(palette: Palette, tilesUrl: string): StyleSpecification {
  return {
    version: 8,
    sources: { tiles: { type: "raster", tiles: [tilesUrl], tileSize: 256, maxzoom: 19, attribution: ATTRIBUTION } },
    layers: [
      { id: "land", type: "background", paint: { "background-color": palette.land } },
      { id: "tiles", type: "raster", source: "tiles", paint: { "raster-fade-duration": 150 } },
    ],
  };
}

function ground(palette: Palette): LayerSpecification[] {
  const layer = (name: string): ExpressionSpecification => ["==", ["get", "layer"], name];
  const polygon: ExpressionSpecification = ["==", ["geometry-type"], "Polygon"];
  const line: ExpressionSpecification = ["==", ["geometry-type"], "LineString"];
  const fill = (id: string, colour: string, minzoom = 0): LayerSpecification => ({
    id,
    type: "fill",
    source: "city",
    minzoom,
    filter: ["all", layer(id), polygon],
    paint: { "fill-color": colour },
  });
  return [
    fill("landuse", palette.landuse),
    fill("park", palette.park),
    fill("water", palette.water),
    fill("pier", palette.land),
    fill("building", palette.building, 15),
    {
      id: "waterway",
      type: "line",
      source: "city",
      filter: ["all", layer("water"), line],
      layout: { "line-cap": "round", "line-join": "round" },
      paint: {
        "line-color": palette.water,
        "line-width": byZoom([
          [10, 1],
          [14, 2.4],
          [18, 8],
        ]),
      },
    },
    {
      id: "rail",
      type: "line",
      source: "city",
      minzoom: 13,
      filter: ["all", layer("rail"), line],
      paint: { "line-color": palette.rail, "line-width": 1, "line-dasharray": [4, 3] },
    },
  ];
}

function roadCasing(road: Road, palette: Palette): LayerSpecification[] {
  return [
    {
      id: `${road.id}-case`,
      type: "line",
      source: "city",
      filter: ofClasses(road.classes),
      minzoom: road.minzoom ?? 12,
      layout: { "line-cap": "round", "line-join": "round" },
      paint: { "line-color": palette[road.casing], "line-width": byZoom(road.width.map(([z, px]) => [z, px + 1.4])) },
    },
  ];
}

function roadFill(road: Road, palette: Palette): LayerSpecification[] {
  return [
    {
      id: `${road.id}-fill`,
      type: "line",
      source: "city",
      filter: ofClasses(road.classes),
      minzoom: road.minzoom ?? 0,
      layout: { "line-cap": "round", "line-join": "round" },
      paint: { "line-color": palette[road.colour], "line-width": byZoom(road.width) },
    },
  ];
}
