/** Who belongs in one picture: a map that must show two cities at once shows the ocean between them. */
import type { Place } from "../api/types.ts";
import type { Box } from "./map_view.ts";

/** A city does not end where its drawn streets do: this share of its width and height beyond them is still it. */
const OUTSKIRTS = 0.1;
/** Places within this many degrees of one of them are a group: some 50 km, a city and its surroundings. */
const GROUP_DEG = 0.5;

export function inCity(places: Place[], [west, south, east, north]: Box): Place[] {
  const [beside, above] = [(east - west) * OUTSKIRTS, (north - south) * OUTSKIRTS];
  return places.filter(
    ({ lat, lon }) => lon >= west - beside && lon <= east + beside && lat >= south - above && lat <= north + above,
  );
}

/** The most places that lie around one of them. */
export function largestGroup(places: Place[]): Place[] {
  let largest: Place[] = [];
  const left = new Set(places);
  for (const place of places) {
    if (!left.has(place)) continue;
    const group = places.filter(
      ({ lat, lon }) => Math.abs(lat - place.lat) <= GROUP_DEG && Math.abs(lon - place.lon) <= GROUP_DEG,
    );
    // Whoever is in a group makes none of their own: two thousand in one city are looked at once, not each by each.
    for (const member of group) left.delete(member);
    if (group.length > largest.length) largest = group;
  }
  return largest;
}
