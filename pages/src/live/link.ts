/**
 * One connection to the server for one page: its namespaces share a WebSocket, and its state is one word that the page
 * shows. Tokens are renewed on every namespace before they run out; a refused token is refreshed once, then the page
 * is told that its session is over.
 */
import { io, type Socket } from "socket.io-client";
import { Problem } from "../api/problem.ts";
import type { Session } from "../api/session.ts";

export type LinkState = "connecting" | "online" | "offline";
export type Namespace = "/bookings" | "/gps" | "/presence";

interface BadAck {
  ok: false;
  error: { code: string; title?: string; detail?: string; correlation_id?: string };
}

const ACK_TIMEOUT_MS = 10_000;
/** A blink of the network is not worth a word; longer than this is. */
const OFFLINE_AFTER_MS = 1_500;

export class Link {
  readonly #sockets = new Map<Namespace, Socket>();
  readonly #listeners = new Set<(state: LinkState) => void>();
  #state: LinkState = "connecting";
  #offlineTimer: ReturnType<typeof setTimeout> | null = null;
  #renewTimer: ReturnType<typeof setTimeout> | null = null;
  #closed = false;
  /** The server refused us for good (a revoked session, an unknown or ended share). */
  onRefused: ((problem: Problem) => void) | null = null;

  /** `who` is a signed-in session, or a share token (which opens `/gps` alone). */
  constructor(readonly who: Session | { share: string }) {
    addEventListener("offline", () => this.#later());
    addEventListener("online", () => this.#wake());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.#wake();
    });
  }

  get state(): LinkState {
    return this.#state;
  }

  onState(listener: (state: LinkState) => void): void {
    this.#listeners.add(listener);
    listener(this.#state);
  }

  /** The socket of a namespace; `joined` runs at the first connection and again after every reconnection. */
  open(namespace: Namespace, joined: (socket: Socket) => void): Socket {
    const opened = this.#sockets.get(namespace);
    if (opened) {
      opened.on("connect", () => joined(opened));
      // Not before `open` has returned: its caller still waits for the socket.
      if (opened.connected) queueMicrotask(() => joined(opened));
      return opened;
    }
    const socket = io(namespace, {
      path: "/socket.io/",
      transports: ["websocket", "polling"],
      tryAllTransports: true,
      auth: (give) => void this.#auth(give),
      reconnectionDelay: 500,
      reconnectionDelayMax: 5_000,
      randomizationFactor: 0.5,
    });
    this.#sockets.set(namespace, socket);
    let renewedOnce = false;
    socket.on("connect", () => {
      renewedOnce = false;
      this.#settle();
      this.#scheduleRenew();
      joined(socket);
    });
    socket.on("disconnect", (reason) => {
      this.#later();
      // After a disconnect by the server the client does not come back by itself.
      if (reason === "io server disconnect" && !this.#closed) setTimeout(() => socket.connect(), 800);
    });
    socket.on("connect_error", (error: Error & { data?: BadAck["error"] }) => {
      this.#later();
      const code = error.data?.code ?? (socket.active ? null : error.message);
      if (!code || this.#closed) return;
      const mayHeal = ["token_expired", "unauthenticated"].includes(code) && !("share" in this.who) && !renewedOnce;
      if (mayHeal) {
        renewedOnce = true;
        void this.#renewedToken().then(
          () => socket.connect(),
          (e: unknown) => this.#refuse(Problem.of(e)),
        );
      } else if (["not_ready", "rate_limited"].includes(code)) {
        setTimeout(() => socket.connect(), 2_000 + Math.random() * 2_000);
      } else {
        this.#refuse(new Problem(0, error.data ?? { code }));
      }
    });
    socket.on("closing", ({ retry_after_ms }: { reason: string; retry_after_ms?: number }) => {
      if (retry_after_ms) socket.io.reconnectionDelay(retry_after_ms);
    });
    return socket;
  }

  close(): void {
    this.#closed = true;
    if (this.#renewTimer) clearTimeout(this.#renewTimer);
    for (const socket of this.#sockets.values()) socket.disconnect();
    this.#sockets.clear();
  }

  async #auth(give: (data: object) => void): Promise<void> {
    if ("share" in this.who) return give({ token: undefined, share: this.who.share });
    try {
      give({ token: await this.who.token() });
    } catch (error) {
      const problem = Problem.of(error);
      if (problem.code === "offline" || problem.status >= 500) give({ token: "" });
      else this.#refuse(problem);
    }
  }

  async #renewedToken(): Promise<string> {
    if ("share" in this.who) throw new Problem(401, { code: "token_expired" });
    return this.who.renewed(await this.who.token(0));
  }

  #scheduleRenew(): void {
    if ("share" in this.who || this.#closed) return;
    const session = this.who;
    if (this.#renewTimer) clearTimeout(this.#renewTimer);
    this.#renewTimer = setTimeout(() => {
      void this.#renewedToken()
        .then((token) => {
          for (const socket of this.#sockets.values())
            if (socket.connected) socket.emit("renew", { token }, () => undefined);
        })
        .catch((error: unknown) => {
          if (Problem.of(error).status === 401) this.#refuse(Problem.of(error));
        })
        .finally(() => this.#scheduleRenew());
    }, session.renewInMs);
  }

  #refuse(problem: Problem): void {
    if (this.#closed) return;
    this.close();
    this.onRefused?.(problem);
  }

  #wake(): void {
    for (const socket of this.#sockets.values()) if (!socket.connected && !this.#closed) socket.connect();
  }

  #later(): void {
    this.#offlineTimer ??= setTimeout(() => {
      this.#offlineTimer = null;
      if (!this.#allConnected()) this.#tell("offline");
    }, OFFLINE_AFTER_MS);
  }

  #settle(): void {
    if (!this.#allConnected()) return;
    if (this.#offlineTimer) clearTimeout(this.#offlineTimer);
    this.#offlineTimer = null;
    this.#tell("online");
  }

  #allConnected(): boolean {
    return [...this.#sockets.values()].every((socket) => socket.connected);
  }

  #tell(state: LinkState): void {
    if (this.#state === state) return;
    this.#state = state;
    for (const listener of this.#listeners) listener(state);
  }
}

/** Emits and waits for the ack: its fields, or the refusal as a `Problem`. */
export async function ask<T>(socket: Socket, event: string, payload: object): Promise<T> {
  let reply: ({ ok: true } & T) | BadAck;
  try {
    reply = (await socket.timeout(ACK_TIMEOUT_MS).emitWithAck(event, payload)) as ({ ok: true } & T) | BadAck;
  } catch {
    throw Problem.offline();
  }
  if (!reply.ok) throw new Problem(0, reply.error);
  return reply;
}
