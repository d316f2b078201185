/** What `/v1/system`, `/v1/dead-letters` and `/v1/correlations` answer, as far as this page reads it. */
export interface Subscriber {
  name: string;
  lag_rows: number;
  lag_s: number;
  attempts: number;
  next_try_at: string | null;
  last_error: string | null;
  dead_letters: number;
}

export interface Job {
  name: string;
  waiting: number;
  running: number;
  failed: number;
  oldest_s: number | null;
}

export interface Task {
  name: string;
  running: boolean;
  restarts: number;
  last_error: string | null;
  failed_at: string | null;
}

export interface System {
  version: string;
  node: string;
  started_at: string;
  uptime_s: number;
  stores: {
    postgresql: { version: string; started_at: string; bytes: number; wal_bytes_per_day: number | null; nodes: number };
    hot_state: { kind: string; ok: boolean; since: string };
    telemetry: { waiting_rows: number; refused_rows: number };
  };
  pool: { size: number; idle: number; most: number };
  sockets: Record<string, number>;
  listen: { up: boolean; made: number };
  tasks: Task[];
  horizon_age_s: number;
  outbox: { epoch: string | null; rows: number; oldest_at: string; rows_per_day: number } | null;
  subscribers: Subscriber[];
  jobs: Job[];
  audit: { last_seal: number | null; sealed_upto: string | null; unsealed: number };
  fixes_per_s: number;
  tables: { name: string; bytes: number; rows: number | null }[];
}

export interface DeadLetter {
  dead_letter_id: string;
  source: "outbox" | "job";
  name: string;
  topic: string | null;
  correlation_id: string;
  attempts: number;
  error: string;
  at: string;
  state: "open" | "done";
}

export interface StoryItem {
  at: string;
  kind: string;
  [field: string]: unknown;
}
