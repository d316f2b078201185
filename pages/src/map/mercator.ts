/** Web Mercator with the whole world from 0 to 1, as the map engine draws it. */

export interface World {
  x: number;
  y: number;
}

export function world(lat: number, lon: number): World {
  const sin = Math.sin((lat * Math.PI) / 180);
  return { x: lon / 360 + 0.5, y: 0.5 - Math.log((1 + sin) / (1 - sin)) / (4 * Math.PI) };
}

export function latLon(x: number, y: number): { lat: number; lon: number } {
  return { lat: (Math.atan(Math.sinh(Math.PI * (1 - 2 * y))) * 180) / Math.PI, lon: (x - 0.5) * 360 };
}

/** World units of one metre at this latitude. */
export function worldPerMetre(lat: number): number {
  return 1 / (40_075_016.686 * Math.cos((lat * Math.PI) / 180));
}

/** Metres between two places, on a sphere. */
export function metresBetween(a: { lat: number; lon: number }, b: { lat: number; lon: number }): number {
  const rad = Math.PI / 180;
  const dLat = (b.lat - a.lat) * rad;
  const dLon = (b.lon - a.lon) * rad;
  const q = Math.sin(dLat / 2) ** 2 + Math.cos(a.lat * rad) * Math.cos(b.lat * rad) * Math.sin(dLon / 2) ** 2;
  return 2 * 6_371_008.8 * Math.asin(Math.sqrt(q));
}
