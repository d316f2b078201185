/** How many technicians are available, busy and away, for dispatch. */
import type { Socket } from "socket.io-client";
import { ask, type Link } from "./link.ts";

export type PresenceState = "available" | "busy" | "offline";
export type PresenceCounts = Record<PresenceState, number>;

interface WatchReply {
  technicians: { technician_id: string; state: PresenceState }[];
}

export class PresenceWatch {
  readonly #states = new Map<string, PresenceState>();

  constructor(
    link: Link,
    readonly changed: (counts: PresenceCounts) => void,
  ) {
    const socket = link.open("/presence", (connected) => void this.#watch(connected));
    socket.on("changed", ({ technician_id, state }: { technician_id: string; state: PresenceState }) => {
      this.#states.set(technician_id, state);
      changed(this.counts);
    });
  }

  get counts(): PresenceCounts {
    const counts = { available: 0, busy: 0, offline: 0 };
    for (const state of this.#states.values()) counts[state] += 1;
    return counts;
  }

  async #watch(socket: Socket): Promise<void> {
    try {
      const { technicians } = await ask<WatchReply>(socket, "watch", {});
      this.#states.clear();
      for (const { technician_id, state } of technicians) this.#states.set(technician_id, state);
      this.changed(this.counts);
    } catch {
      if (socket.connected) setTimeout(() => void this.#watch(socket), 3_000);
    }
  }
}
