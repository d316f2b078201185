/**
 * Everything that moves, for dispatch: `/gps` `watch_map` gives all rows once, then frames with what moved and what is
 * gone. A gap in `n` means that a frame was lost; the whole picture is then asked for again.
 */
import type { Socket } from "socket.io-client";
import { Problem } from "../api/problem.ts";
import type { Freshness, Phase } from "../api/types.ts";
import { ask, type Link } from "./link.ts";

/** One moving visit; `at` is this page's clock at which its age was 0. */
export interface Mover {
  bookingId: string;
  technicianId: string;
  lat: number;
  lon: number;
  headingDeg: number | null;
  speedMps: number | null;
  /** This page's clock at which the technician should be at the door. */
  etaAt: number | null;
  phase: Phase;
  freshness: Freshness;
  at: number;
}

type Row = (string | number | null)[];

interface Snapshot {
  columns: string[];
  rows: Row[];
  t: number;
  n: number;
}

interface Frame {
  t: number;
  n: number;
  moved: Row[];
  gone: string[];
}

interface Handlers {
  /** All there is; everything not in it is gone. */
  all(movers: Mover[]): void;
  moved(movers: Mover[]): void;
  gone(bookingIds: string[]): void;
  /** This account may not watch the map. */
  refused?(problem: Problem): void;
}

/** A tab out of sight for this long stops the stream, and asks anew when it is looked at again. */
const HIDDEN_MS = 60_000;
const RETRY_MS = 2_000;

export class Fleet {
  readonly #socket: Socket;
  readonly #handlers: Handlers;
  #read: (row: Row) => Mover = () => {
    throw new Error("a frame came before its columns");
  };
  #n: number | null = null;
  #asking = false;
  #paused = false;
  /** How often a gap made us ask again: for tests, and for the curious. */
  gaps = 0;

  constructor(link: Link, handlers: Handlers) {
    this.#handlers = handlers;
    this.#socket = link.open("/gps", () => void this.#watch());
    this.#socket.on("frame", (frame: Frame) => this.#frame(frame));
    this.#socket.on("disconnect", () => (this.#n = null));
    let hidden: ReturnType<typeof setTimeout> | undefined;
    document.addEventListener("visibilitychange", () => {
      clearTimeout(hidden);
      if (document.visibilityState === "hidden") hidden = setTimeout(() => this.#pause(), HIDDEN_MS);
      else if (this.#paused) void this.#watch();
    });
  }

  async #watch(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    this.#paused = false;
    this.#n = null;
    try {
      const snapshot = await ask<Snapshot>(this.#socket, "watch_map", { all: true });
      this.#read = reader(snapshot.columns);
      this.#n = snapshot.n;
      this.#handlers.all(snapshot.rows.map(this.#read));
    } catch (error) {
      const problem = Problem.of(error);
      if (problem.code === "forbidden") this.#handlers.refused?.(problem);
      else if (this.#socket.connected) setTimeout(() => void this.#watch(), RETRY_MS);
    } finally {
      this.#asking = false;
    }
  }

  #pause(): void {
    this.#paused = true;
    this.#n = null;
    if (this.#socket.connected) this.#socket.emit("unwatch_map", {}, () => undefined);
  }

  #frame(frame: Frame): void {
    if (this.#n === null || frame.n <= this.#n) return;
    if (frame.n !== this.#n + 1) {
      this.gaps += 1;
      void this.#watch();
      return;
    }
    this.#n = frame.n;
    if (frame.moved.length) this.#handlers.moved(frame.moved.map(this.#read));
    if (frame.gone.length) this.#handlers.gone(frame.gone);
  }
}

function reader(columns: string[]): (row: Row) => Mover {
  const index = (name: string): number => columns.indexOf(name);
  const [booking, technician, lat, lon, heading, speed, age, eta, phase, fresh] = [
    "booking_id",
    "technician_id",
    "lat",
    "lon",
    "hdg_deg",
    "spd_mps",
    "age_s",
    "eta_s",
    "phase",
    "freshness",
  ].map(index) as [number, number, number, number, number, number, number, number, number, number];
  return (row) => ({
    etaAt: typeof row[eta] === "number" ? performance.now() + row[eta] * 1000 : null,
    bookingId: row[booking] as string,
    technicianId: row[technician] as string,
    lat: row[lat] as number,
    lon: row[lon] as number,
    headingDeg: (row[heading] ?? null) as number | null,
    speedMps: (row[speed] ?? null) as number | null,
    phase: row[phase] as Phase,
    freshness: row[fresh] as Freshness,
    at: performance.now() - ((row[age] as number | null) ?? 0) * 1000,
  });
}
