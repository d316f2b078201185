/**
 * Booking events without a gap: after every connection `sync` from the last cursor until nothing is missing, then live
 * events; what came twice is dropped by `event_id`; a cursor too old means that the page must read its list again.
 */
import type { Socket } from "socket.io-client";
import { Problem } from "../api/problem.ts";
import type { Alert, BookingEvent } from "../api/types.ts";
import { ask, type Link } from "./link.ts";

interface SyncReply {
  events: BookingEvent[];
  cursor: string;
  more: boolean;
}

interface Handlers {
  /** Read the whole list again: called before the first event, and when the cursor was too old. */
  refetch(): Promise<void>;
  event(event: BookingEvent): void;
  alert?(alert: Alert): void;
  /** After every connection, once nothing of the bookings is missing: what is no part of `sync` is read anew. */
  caughtUp?(): Promise<void>;
}

/** More than can repeat in one reconnection; older ids cannot come again, since the cursor is past them. */
const REMEMBERED = 4_096;
const RETRY_MS = 2_000;

export class BookingFeed {
  readonly #handlers: Handlers;
  readonly #seen = new Set<string>();
  #cursor: string | null = null;
  #syncing = false;
  /** Set when the connection changed under a running sync: the sync starts over. */
  #again = false;

  constructor(link: Link, handlers: Handlers) {
    this.#handlers = handlers;
    const socket = link.open("/bookings", (connected) => void this.#sync(connected));
    socket.on("event", (event: BookingEvent) => this.#take(event));
    if (handlers.alert) socket.on("alert", (alert: Alert) => handlers.alert?.(alert));
  }

  get cursor(): string | null {
    return this.#cursor;
  }

  async #sync(socket: Socket): Promise<void> {
    this.#again = this.#syncing;
    if (this.#syncing) return;
    this.#syncing = true;
    try {
      await this.#catchUp(socket);
    } catch (error) {
      const problem = Problem.of(error);
      if (problem.code === "cursor_expired") this.#cursor = null;
      if (socket.connected) setTimeout(() => void this.#sync(socket), problem.code === "cursor_expired" ? 0 : RETRY_MS);
    } finally {
      this.#syncing = false;
      if (this.#again && socket.connected) void this.#sync(socket);
    }
  }

  async #catchUp(socket: Socket): Promise<void> {
    const fresh = this.#cursor === null;
    for (let more = true; more; ) {
      const reply: SyncReply = await ask<SyncReply>(socket, "sync", { cursor: this.#cursor });
      for (const event of reply.events) this.#take(event);
      this.#cursor = reply.cursor;
      more = reply.more;
    }
    // The head is taken first, the list read after it: what happens between the two comes as an event.
    if (fresh) await this.#handlers.refetch();
    await this.#handlers.caughtUp?.();
  }

  #take(event: BookingEvent): void {
    if (this.#seen.has(event.event_id)) return;
    this.#seen.add(event.event_id);
    if (this.#seen.size > REMEMBERED) this.#seen.delete(this.#seen.values().next().value as string);
    this.#cursor = event.cursor;
    this.#handlers.event(event);
  }
}
