/**
 * One technician on the way to one door, as the customer or the holder of a link sees it: `/gps` `watch`, newest only.
 * Within a session an older `n` than the last is dropped; a new session (after a reassignment) starts over.
 */
import type { Socket } from "socket.io-client";
import { Problem } from "../api/problem.ts";
import type { Freshness, Phase, Position } from "../api/types.ts";
import { ask, type Link } from "./link.ts";

interface WatchReply {
  phase: Phase;
  position: Position | null;
  freshness: Freshness | null;
}

interface Handlers {
  phase(phase: Phase, freshness: Freshness | null): void;
  position(position: Position): void;
  ended(reason: string): void;
  refused?(problem: Problem): void;
}

export class Arrival {
  readonly #socket: Socket;
  readonly #handlers: Handlers;
  readonly #bookingId: string | null;
  readonly #onPosition = (position: Position): void => this.#take(position);
  readonly #onEnded = (end: { booking_id: string; reason: string }): void => {
    if (!this.#bookingId || end.booking_id === this.#bookingId) this.#handlers.ended(end.reason);
  };
  #stopped = false;
  #session: string | null = null;
  #n = -1;

  /** `bookingId` is null for a share link, whose token says which booking it is. */
  constructor(link: Link, bookingId: string | null, handlers: Handlers) {
    this.#handlers = handlers;
    this.#bookingId = bookingId;
    this.#socket = link.open("/gps", () => void this.#watch());
    this.#socket.on("position", this.#onPosition);
    this.#socket.on("ended", this.#onEnded);
  }

  /** Asks again, as after a new leg began. */
  refresh(): void {
    if (this.#socket.connected) void this.#watch();
  }

  stop(): void {
    this.#stopped = true;
    if (this.#socket.connected && this.#bookingId) {
      this.#socket.emit("unwatch", { booking_id: this.#bookingId }, () => undefined);
    }
    this.#socket.off("position", this.#onPosition);
    this.#socket.off("ended", this.#onEnded);
  }

  async #watch(): Promise<void> {
    if (this.#stopped) return;
    try {
      const reply = await ask<WatchReply>(
        this.#socket,
        "watch",
        this.#bookingId ? { booking_id: this.#bookingId } : {},
      );
      this.#handlers.phase(reply.phase, reply.freshness);
      if (reply.position) this.#take(reply.position);
    } catch (error) {
      const problem = Problem.of(error);
      if (problem.code === "offline") setTimeout(() => this.refresh(), 2_000);
      else this.#handlers.refused?.(problem);
    }
  }

  #take(position: Position): void {
    if (this.#bookingId && position.booking_id !== this.#bookingId) return;
    if (position.session_id === this.#session && position.n <= this.#n) return;
    this.#session = position.session_id;
    this.#n = position.n;
    this.#handlers.position(position);
  }
}
