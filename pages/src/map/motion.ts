/**
 * How one marker glides from what it showed to what is newest. It never goes back in time, never runs further than the
 * last speed would carry it in COAST_S, and a marker that is not live stands still: what moves here has moved there.
 */
import { latLon, world, worldPerMetre } from "./mercator.ts";

/** Further than this between two updates is not a drive to show but a correction: the marker is simply there. */
const JUMP_M = 600;
const COAST_S = 2.5;
const SHORTEST_GLIDE_S = 0.25;
const LONGEST_GLIDE_S = 4;

export interface Sample {
  lat: number;
  lon: number;
  headingDeg: number | null;
  speedMps: number | null;
  live: boolean;
}

export class Motion {
  x: number;
  y: number;
  headingDeg: number | null;
  live: boolean;
  #from: { x: number; y: number; heading: number | null };
  #to: { x: number; y: number; heading: number | null };
  #startedAt: number;
  #glideS = 0;
  #intervalS = 1;
  #sampledAt: number;
  /** World units a second beyond the target, while nothing newer has come. */
  #coast = { x: 0, y: 0 };

  constructor(sample: Sample, now: number) {
    const at = world(sample.lat, sample.lon);
    this.x = at.x;
    this.y = at.y;
    this.headingDeg = sample.headingDeg;
    this.live = sample.live;
    this.#from = this.#to = { ...at, heading: sample.headingDeg };
    this.#startedAt = this.#sampledAt = now;
  }

  /** Takes a newer place. `still` (reduced motion) shows it at once. Times are ms of one monotonic clock. */
  moveTo(sample: Sample, now: number, still: boolean): void {
    this.step(now);
    const at = world(sample.lat, sample.lon);
    const perMetre = worldPerMetre(sample.lat);
    const jump = Math.hypot(at.x - this.x, at.y - this.y) / perMetre;
    const sinceLastS = (now - this.#sampledAt) / 1000;
    this.#sampledAt = now;
    this.#intervalS += 0.4 * (Math.min(LONGEST_GLIDE_S, Math.max(SHORTEST_GLIDE_S, sinceLastS)) - this.#intervalS);
    const heading = sample.headingDeg ?? this.headingDeg;
    this.live = sample.live;
    this.#to = { ...at, heading };
    this.#startedAt = now;
    this.#coast = { x: 0, y: 0 };
    if (still || !sample.live || jump > JUMP_M) {
      this.#glideS = 0;
      this.#from = this.#to;
      this.#show(this.#to.x, this.#to.y, heading);
      return;
    }
    this.#from = { x: this.x, y: this.y, heading: this.headingDeg };
    this.#glideS = this.#intervalS * 1.1;
    if (sample.speedMps && sample.speedMps > 1.5 && heading !== null) {
      const reach = sample.speedMps * perMetre;
      const angle = (heading * Math.PI) / 180;
      this.#coast = { x: Math.sin(angle) * reach * 0.5, y: -Math.cos(angle) * reach * 0.5 };
    }
  }

  /** Marks the marker as no longer live: it stays where it is shown. */
  freeze(): void {
    this.live = false;
    this.#to = this.#from = { x: this.x, y: this.y, heading: this.headingDeg };
    this.#glideS = 0;
    this.#coast = { x: 0, y: 0 };
  }

  /** Moves what is shown to `now`; true while there is more to come. */
  step(now: number): boolean {
    const elapsed = (now - this.#startedAt) / 1000;
    if (this.#glideS > 0 && elapsed < this.#glideS) {
      const share = elapsed / this.#glideS;
      this.#show(
        this.#from.x + (this.#to.x - this.#from.x) * share,
        this.#from.y + (this.#to.y - this.#from.y) * share,
        turn(this.#from.heading, this.#to.heading, Math.min(1, share * 2)),
      );
      return true;
    }
    const coasting = this.#coast.x !== 0 || this.#coast.y !== 0;
    const beyond = Math.min(COAST_S, Math.max(0, elapsed - this.#glideS));
    // Slows to a stop over COAST_S: the integral of a speed that falls linearly to zero.
    const share = coasting ? beyond - beyond ** 2 / (2 * COAST_S) : 0;
    this.#show(this.#to.x + this.#coast.x * share, this.#to.y + this.#coast.y * share, this.#to.heading);
    return coasting && beyond < COAST_S;
  }

  get place(): { lat: number; lon: number } {
    return latLon(this.x, this.y);
  }

  #show(x: number, y: number, heading: number | null): void {
    this.x = x;
    this.y = y;
    this.headingDeg = heading;
  }
}

/** The heading `share` of the way from one to the other, the short way round. */
function turn(from: number | null, to: number | null, share: number): number | null {
  if (from === null || to === null) return to;
  const delta = ((to - from + 540) % 360) - 180;
  return (from + delta * share + 360) % 360;
}
