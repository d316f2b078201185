/** Terms of the style language that several layers share. */
import type { ExpressionSpecification, FilterSpecification } from "maplibre-gl";

/** A size in px at each zoom, growing between them as the map does. */
export type Width = [zoom: number, px: number][];

export function ofClasses(classes: string[]): FilterSpecification {
  return [
    "all",
    ["==", ["get", "layer"], "road"],
    ["in", ["get", "class"], ["literal", classes]],
  ] as FilterSpecification;
}

export function byZoom(stops: Width): ExpressionSpecification {
  return ["interpolate", ["exponential", 1.5], ["zoom"], ...stops.flat()] as ExpressionSpecification;
}
