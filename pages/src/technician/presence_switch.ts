/** Available, busy or offline: said again before it runs out, and after every reconnection. */
import type { Socket } from "socket.io-client";
import { Problem } from "../api/problem.ts";
import { ask, type Link } from "../live/link.ts";
import type { PresenceState } from "../live/presence.ts";
import { h, setAttr } from "../ui/dom.ts";
import { toast } from "../ui/parts.ts";

const STATES: [PresenceState, string][] = [
  ["available", "Available"],
  ["busy", "Busy"],
  ["offline", "Off"],
];
const KEY = "doorstep.presence";

export class PresenceSwitch {
  readonly element: HTMLElement;
  readonly #socket: Socket;
  #wanted: PresenceState;
  #effective: PresenceState | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(link: Link) {
    this.#wanted = (localStorage.getItem(KEY) as PresenceState | null) ?? "available";
    this.element = h(
      "div.presence-switch",
      { role: "radiogroup", "aria-label": "You are", "data-testid": "presence" },
      ...STATES.map(([state, words]) => {
        const input = h("input.unseen", {
          type: "radio",
          name: "presence",
          value: state,
          checked: state === this.#wanted,
        });
        input.addEventListener("change", () => this.#want(state));
        return h("label", { "data-state": state }, input, words);
      }),
    );
    this.#socket = link.open("/presence", () => void this.#tell());
  }

  get effective(): PresenceState | null {
    return this.#effective;
  }

  #want(state: PresenceState): void {
    this.#wanted = state;
    localStorage.setItem(KEY, state);
    void this.#tell(true);
  }

  async #tell(byHand = false): Promise<void> {
    clearTimeout(this.#timer);
    try {
      const reply = await ask<{ state: PresenceState; expires_at: string | null }>(this.#socket, "set", {
        state: this.#wanted,
      });
      this.#effective = reply.state;
      setAttr(this.element, "data-effective", reply.state);
      const left = reply.expires_at ? Date.parse(reply.expires_at) - Date.now() : 60_000;
      this.#timer = setTimeout(() => void this.#tell(), Math.min(60_000, Math.max(3_000, left / 2)));
    } catch (error) {
      if (byHand) toast(Problem.of(error).words);
      this.#timer = setTimeout(() => void this.#tell(), 5_000);
    }
  }
}
