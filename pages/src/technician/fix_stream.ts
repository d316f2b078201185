/**
 * This phone's position on its way to the server: taken as often as the server asks, kept until durable, sent again
 * after every reconnection from the last durable fix. Exactly one tab and one device send; the others know it.
 */
import type { Socket } from "socket.io-client";
import { Problem } from "../api/problem.ts";
import { ask, type Link } from "../live/link.ts";
import { FixBuffer, type Fix } from "./fix_buffer.ts";

export type Signal = "off" | "asking" | "denied" | "searching" | "good" | "weak" | "superseded" | "other_tab";

export interface StreamState {
  signal: Signal;
  accuracyM: number | null;
  /** Fixes that the server has not made durable yet. */
  waiting: number;
  sent: number;
  place: { lat: number; lon: number; headingDeg: number | null; speedMps: number | null } | null;
}

interface FixAck {
  acked_seq: number;
  durable_seq: number;
  rejected: { seq: number; reason: string }[];
  next_interval_s: number;
  min_move_m: number;
}

const BATCH = 200;
const WEAK_M = 60;
const FLUSH_MS = 1_000;
const RETRY_MS = 3_000;

export class FixStream {
  readonly #socket: Socket;
  readonly #changed: (state: StreamState) => void;
  readonly #deviceId = deviceId();
  #state: StreamState = { signal: "off", accuracyM: null, waiting: 0, sent: 0, place: null };
  #session: string | null = null;
  #buffer: FixBuffer | null = null;
  #watch: number | null = null;
  #flushing: ReturnType<typeof setInterval> | null = null;
  #release: (() => void) | null = null;
  #lock: WakeLockSentinel | null = null;
  #busy = false;
  #sentSeq = 0;
  #pausedUntil = 0;
  #intervalS = 1;
  #lastAt = 0;

  constructor(link: Link, changed: (state: StreamState) => void) {
    this.#changed = changed;
    // After a reconnection everything that is not durable goes again: the server counts each fix once.
    this.#socket = link.open("/gps", () => (this.#sentSeq = 0));
    this.#socket.on("superseded", () => this.#supersede());
  }

  get state(): StreamState {
    return this.#state;
  }

  /** Streams for this GPS session until `stop`. Calling it again for the same session changes nothing. */
  async start(sessionId: string): Promise<void> {
    if (this.#session === sessionId) return;
    this.stop();
    this.#session = sessionId;
    this.#set({ signal: "asking", waiting: 0, sent: 0 });
    if (!(await this.#onlyTab())) return;
    this.#buffer = await FixBuffer.open(sessionId);
    if (this.#session !== sessionId) return;
    this.#sentSeq = 0;
    this.#watchPosition();
    this.#flushing = setInterval(() => void this.#beat(), FLUSH_MS);
    this.#lock = (await navigator.wakeLock?.request("screen").catch(() => null)) ?? null;
  }

  /** Stops taking fixes; what is not durable yet is still sent once. */
  stop(): void {
    if (this.#watch !== null) navigator.geolocation.clearWatch(this.#watch);
    this.#watch = null;
    if (this.#flushing) clearInterval(this.#flushing);
    this.#flushing = null;
    void this.#flush();
    void this.#lock?.release().catch(() => undefined);
    this.#release?.();
    this.#release = null;
    this.#session = null;
    this.#set({ signal: "off", place: null });
  }

  /** Makes this device the one that sends, after another took over. */
  takeOver(): void {
    const session = this.#session;
    if (!session) return;
    this.stop();
    void this.start(session);
  }

  #watchPosition(): void {
    if (!("geolocation" in navigator)) return this.#set({ signal: "denied" });
    this.#set({ signal: "searching" });
    this.#watch = navigator.geolocation.watchPosition(
      (position) => this.#take(position),
      (error) => this.#failed(error),
      {
        enableHighAccuracy: true,
        maximumAge: 0,
        timeout: 20_000,
      },
    );
  }

  #take({ coords, timestamp }: GeolocationPosition): void {
    if (!this.#buffer) return;
    const place = {
      lat: coords.latitude,
      lon: coords.longitude,
      headingDeg: finite(coords.heading),
      speedMps: finite(coords.speed),
    };
    this.#set({ signal: coords.accuracy > WEAK_M ? "weak" : "good", accuracyM: coords.accuracy, place });
    // A little early is fine: clocks of phones tick unevenly.
    if (timestamp - this.#lastAt < this.#intervalS * 800) return;
    this.#lastAt = timestamp;
    const fix: Omit<Fix, "seq"> = {
      t: Math.round(timestamp),
      lat: place.lat,
      lon: place.lon,
      acc_m: Math.round(coords.accuracy * 10) / 10,
    };
    if (place.speedMps !== null) fix.spd_mps = place.speedMps;
    if (place.headingDeg !== null) fix.hdg_deg = place.headingDeg % 360;
    this.#buffer.add(fix);
    this.#set({ waiting: this.#buffer.waiting });
    void this.#flush();
  }

  #failed(error: GeolocationPositionError): void {
    if (error.code === error.PERMISSION_DENIED) this.#set({ signal: "denied" });
    else if (this.#state.signal !== "good") this.#set({ signal: "searching" });
  }

  /** Once a second: send what waits; a phone that stands still is asked where it is, so that it does not look lost. */
  async #beat(): Promise<void> {
    const silentS = (Date.now() - this.#lastAt) / 1000;
    if (this.#state.signal !== "denied" && silentS > Math.max(5, this.#intervalS * 2)) {
      navigator.geolocation.getCurrentPosition(
        (position) => this.#take(position),
        () => undefined,
        { enableHighAccuracy: true, timeout: 4_000 },
      );
    }
    await this.#flush();
  }

  async #flush(): Promise<void> {
    const buffer = this.#buffer;
    const session = this.#session;
    if (this.#busy || !buffer || !session || !this.#socket.connected || Date.now() < this.#pausedUntil) return;
    const fixes = buffer.after(this.#sentSeq, BATCH);
    if (!fixes.length) return;
    this.#busy = true;
    try {
      const ack = await ask<FixAck>(this.#socket, "fix", { session_id: session, device_id: this.#deviceId, fixes });
      this.#sentSeq = Math.max(this.#sentSeq, (fixes.at(-1) as Fix).seq);
      buffer.forgetUpTo(ack.durable_seq);
      this.#intervalS = ack.next_interval_s;
      this.#set({ waiting: buffer.waiting, sent: this.#state.sent + fixes.length });
      if (ack.rejected.some(({ reason }) => reason === "superseded")) this.#supersede();
    } catch (error) {
      this.#pausedUntil = Date.now() + RETRY_MS;
      if (Problem.of(error).code === "superseded") this.#supersede();
    } finally {
      this.#busy = false;
    }
  }

  #supersede(): void {
    if (this.#watch !== null) navigator.geolocation.clearWatch(this.#watch);
    if (this.#flushing) clearInterval(this.#flushing);
    this.#watch = null;
    this.#flushing = null;
    this.#set({ signal: "superseded" });
  }

  async #onlyTab(): Promise<boolean> {
    if (!("locks" in navigator)) return true;
    return new Promise((resolve) => {
      void navigator.locks.request("doorstep.gps", { ifAvailable: true }, (lock) => {
        if (!lock) {
          this.#set({ signal: "other_tab" });
          return resolve(false);
        }
        resolve(true);
        return new Promise<void>((release) => (this.#release = release));
      });
    });
  }

  #set(change: Partial<StreamState>): void {
    this.#state = { ...this.#state, ...change };
    this.#changed(this.#state);
  }
}

function deviceId(): string {
  const known = localStorage.getItem("doorstep.device");
  if (known) return known;
  const made = crypto.randomUUID();
  localStorage.setItem("doorstep.device", made);
  return made;
}

function finite(value: number | null): number | null {
  return value !== null && Number.isFinite(value) ? value : null;
}
