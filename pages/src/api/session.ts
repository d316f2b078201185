/**
 * Who is signed in on this page. Each page keeps its own session ("dispatch", "book", "technician"), so that one
 * browser can be dispatcher, customer and technician at once. Tokens rotate: the Web Lock makes the tabs of one page
 * refresh one after another, so that none of them presents a refresh token that another has just spent.
 */
import { Problem } from "./problem.ts";

interface Stored {
  email: string;
  access: string;
  refresh: string;
  /** ms since the epoch by this device's clock, counted from when the answer came. */
  expiresAt: number;
  /** Seconds the access token lives, as the server said. */
  ttlS: number;
}

interface TokenReply {
  access_token: string;
  refresh_token: string;
  expires_in: number;
}

export interface Credentials {
  email: string;
  password: string;
}

export class Session {
  readonly #key: string;
  #refreshing: Promise<string> | null = null;
  /** Called once when the session can no longer be refreshed. */
  onEnd: ((problem: Problem) => void) | null = null;

  /** `store` is where it is kept: for good, or (sessionStorage) as long as this tab lives. */
  constructor(
    page: string,
    readonly store: Storage = localStorage,
  ) {
    this.#key = `doorstep.session.${page}`;
  }

  get email(): string | null {
    return this.#read()?.email ?? null;
  }

  get signedIn(): boolean {
    return this.#read() !== null;
  }

  async signIn({ email, password }: Credentials): Promise<void> {
    const reply = await post<TokenReply>("/v1/auth/token", { email, password });
    this.#write(email, reply);
  }

  /** Drops the tokens here; the server is not asked. */
  forget(): void {
    this.store.removeItem(this.#key);
  }

  async signOut(): Promise<void> {
    const stored = this.#read();
    this.forget();
    if (stored) await post("/v1/auth/logout", { refresh_token: stored.refresh }, stored.access).catch(() => undefined);
  }

  /** A token good for at least `marginS` more seconds. Fails with `token_expired` when the session is over. */
  async token(marginS = 30): Promise<string> {
    const stored = this.#read();
    if (!stored) throw new Problem(401, { code: "token_expired" });
    const margin = Math.min(marginS, stored.ttlS / 4) * 1000;
    if (stored.expiresAt - Date.now() > margin) return stored.access;
    return this.renewed(stored.access);
  }

  /** A token other than `stale`, which the server has refused or which is about to expire. */
  async renewed(stale: string): Promise<string> {
    this.#refreshing ??= this.#refresh(stale).finally(() => (this.#refreshing = null));
    return this.#refreshing;
  }

  async #refresh(stale: string): Promise<string> {
    const work = async (): Promise<string> => {
      const stored = this.#read();
      if (!stored) throw new Problem(401, { code: "token_expired" });
      if (stored.access !== stale) return stored.access;
      try {
        const reply = await post<TokenReply>("/v1/auth/refresh", { refresh_token: stored.refresh });
        this.#write(stored.email, reply);
        return reply.access_token;
      } catch (error) {
        if (error instanceof Problem && error.status >= 400 && error.status < 429) {
          this.forget();
          this.onEnd?.(error);
        }
        throw error;
      }
    };
    if (!("locks" in navigator)) return work();
    return navigator.locks.request(this.#key, work);
  }

  /** Milliseconds until a socket should renew: three quarters of what is left. */
  get renewInMs(): number {
    const stored = this.#read();
    return stored ? Math.max(1000, (stored.expiresAt - Date.now()) * 0.75) : 60_000;
  }

  #read(): Stored | null {
    const text = this.store.getItem(this.#key);
    return text ? (JSON.parse(text) as Stored) : null;
  }

  #write(email: string, reply: TokenReply): void {
    const stored: Stored = {
      email,
      access: reply.access_token,
      refresh: reply.refresh_token,
      expiresAt: Date.now() + reply.expires_in * 1000,
      ttlS: reply.expires_in,
    };
    this.store.setItem(this.#key, JSON.stringify(stored));
  }
}

async function post<T>(path: string, body: unknown, bearer?: string): Promise<T> {
  const headers: Record<string, string> = { "content-type": "application/json" };
  if (bearer) headers["authorization"] = `Bearer ${bearer}`;
  const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) }).catch(() => {
    throw Problem.offline();
  });
  return readReply<T>(response);
}

/** The body of a good answer, or a `Problem`. */
export async function readReply<T>(response: Response): Promise<T> {
  const text = await response.text();
  let body: unknown = null;
  try {
    body = text ? JSON.parse(text) : null;
  } catch {
    // A proxy's HTML page: the status says enough.
  }
  if (!response.ok) throw new Problem(response.status, (body ?? { code: gatewayCode(response.status) }) as object);
  return body as T;
}

function gatewayCode(status: number): string {
  return status >= 502 && status <= 504 ? "not_ready" : `http_${status}`;
}
