/**
 * The phone's own memory of where it was: a fix leaves it only when the server says that it is durable (in PostgreSQL).
 * It survives a reload and a flat battery (IndexedDB); where that is not allowed, it is only as long-lived as the page.
 */

export interface Fix {
  seq: number;
  /** ms since the epoch. */
  t: number;
  lat: number;
  lon: number;
  acc_m?: number;
  spd_mps?: number;
  hdg_deg?: number;
}

interface Kept extends Fix {
  session_id: string;
}

const STORE = "fixes";
/** About a working day at one fix a second; beyond it the oldest are forgotten, so that a phone never fills up. */
const MOST = 30_000;

export class FixBuffer {
  readonly #database: IDBDatabase | null;
  readonly #sessionId: string;
  #fixes: Fix[];

  private constructor(database: IDBDatabase | null, sessionId: string, fixes: Fix[]) {
    this.#database = database;
    this.#sessionId = sessionId;
    this.#fixes = fixes;
  }

  static async open(sessionId: string): Promise<FixBuffer> {
    const database = await openDatabase().catch(() => null);
    const kept = database ? await readSession(database, sessionId).catch(() => []) : [];
    return new FixBuffer(
      database,
      sessionId,
      kept.sort((a, b) => a.seq - b.seq),
    );
  }

  get waiting(): number {
    return this.#fixes.length;
  }

  add(fix: Omit<Fix, "seq">): Fix {
    const kept: Fix = { seq: this.#nextSeq(), ...fix };
    this.#fixes.push(kept);
    this.#write((store) => store.put({ ...kept, session_id: this.#sessionId } satisfies Kept));
    if (this.#fixes.length > MOST) this.forgetUpTo((this.#fixes[0] as Fix).seq);
    return kept;
  }

  /** The oldest fixes after `seq`, at most `limit`. */
  after(seq: number, limit: number): Fix[] {
    const first = this.#fixes.findIndex((fix) => fix.seq > seq);
    return first < 0 ? [] : this.#fixes.slice(first, first + limit);
  }

  forgetUpTo(seq: number): void {
    if (!this.#fixes.length || (this.#fixes[0] as Fix).seq > seq) return;
    this.#fixes = this.#fixes.filter((fix) => fix.seq > seq);
    this.#write((store) => store.delete(IDBKeyRange.bound([this.#sessionId, 0], [this.#sessionId, seq])));
  }

  /** Counts on across reloads, so that no two fixes of a session share a number. */
  #nextSeq(): number {
    const key = `doorstep.seq.${this.#sessionId}`;
    const next = Math.max(Number(localStorage.getItem(key) ?? 0), this.#fixes.at(-1)?.seq ?? 0) + 1;
    localStorage.setItem(key, String(next));
    return next;
  }

  #write(change: (store: IDBObjectStore) => IDBRequest): void {
    if (!this.#database) return;
    change(this.#database.transaction(STORE, "readwrite").objectStore(STORE));
  }
}

function openDatabase(): Promise<IDBDatabase> {
  const request = indexedDB.open("doorstep", 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: ["session_id", "seq"] });
  return settled(request);
}

function readSession(database: IDBDatabase, sessionId: string): Promise<Kept[]> {
  const range = IDBKeyRange.bound([sessionId, 0], [sessionId, Number.MAX_SAFE_INTEGER]);
  return settled(database.transaction(STORE).objectStore(STORE).getAll(range)) as Promise<Kept[]>;
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("IndexedDB"));
  });
}
