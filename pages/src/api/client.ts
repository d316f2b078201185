/** HTTP to `/v1`: bearer tokens that renew themselves, an idempotency key on every command, and `Problem`s. */
import { Problem } from "./problem.ts";
import { readReply, type Session } from "./session.ts";
import type { Page } from "./types.ts";

interface Options {
  method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  body?: unknown;
  /** A command's key: the same key for every try of one press of a button. */
  key?: string;
  signal?: AbortSignal;
}

const RETRIES = 3;

export class Api {
  constructor(readonly session: Session | null) {}

  get<T>(path: string, signal?: AbortSignal): Promise<T> {
    return this.#send<T>(path, signal ? { signal } : {});
  }

  /** A command: it is sent again with the same key while the network, not the server, is the one that fails. */
  async command<T>(path: string, body: unknown = {}): Promise<T> {
    const key = crypto.randomUUID();
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#send<T>(path, { method: "POST", body, key });
      } catch (error) {
        const problem = Problem.of(error);
        const again = problem.code === "offline" || problem.code === "idempotency_in_progress";
        if (!again || attempt >= RETRIES) throw problem;
        await pause(400 * attempt);
      }
    }
  }

  /** A request that answers with something new but changes no booking (discovery, shares, views). */
  post<T>(path: string, body: unknown = {}): Promise<T> {
    return this.#send<T>(path, { method: "POST", body });
  }

  /** Every page of a list, up to `most` items. */
  async list<T>(path: string, most = 2000): Promise<T[]> {
    const items: T[] = [];
    let cursor: string | null = null;
    do {
      const joint: string = path.includes("?") ? "&" : "?";
      const page: Page<T> = await this.get<Page<T>>(
        `${path}${joint}limit=200${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`,
      );
      items.push(...page.items);
      cursor = page.next_cursor;
    } while (cursor && items.length < most);
    return items;
  }

  async #send<T>(path: string, options: Options, retried = false): Promise<T> {
    const token = this.session?.signedIn ? await this.session.token() : null;
    const headers: Record<string, string> = { accept: "application/json" };
    if (token) headers["authorization"] = `Bearer ${token}`;
    if (options.body !== undefined) headers["content-type"] = "application/json";
    if (options.key) headers["idempotency-key"] = options.key;
    const init: RequestInit = { method: options.method ?? "GET", headers };
    if (options.body !== undefined) init.body = JSON.stringify(options.body);
    if (options.signal) init.signal = options.signal;
    let response: Response;
    try {
      response = await fetch(`/v1${path}`, init);
    } catch (error) {
      if (options.signal?.aborted) throw error;
      throw Problem.offline();
    }
    if (response.status === 401 && token && this.session && !retried) {
      await this.session.renewed(token);
      return this.#send<T>(path, options, true);
    }
    return readReply<T>(response);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
