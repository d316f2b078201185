/**
 * One kind of failure for the whole page: RFC 9457 problems, socket refusals and a network that is away all become a
 * `Problem`, whose `words` a person can read and whose `code` a person can quote.
 */
import { dayAndTime } from "../text/format.ts";

interface Refusal {
  code?: string;
  title?: string;
  detail?: string | null;
  correlation_id?: string;
  errors?: { pointer?: string; code?: string; detail?: string }[];
  missing?: unknown[];
}

const SIGNED_OUT = "You have been signed out. Please sign in again.";
const MOVED_ON = "That is not possible any more: the visit has moved on.";

/** Of all refusals of a state the one that names states and commands, which nobody but a programmer reads. */
const STATES_ALONE = /^A booking that is /;
const RFC_3339 = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)/g;

const WORDS: Record<string, string> = {
  unauthenticated: SIGNED_OUT,
  token_expired: SIGNED_OUT,
  token_revoked: SIGNED_OUT,
  forbidden: "This account may not do that.",
  not_found: "It is not here, or not yours to see.",
  validation: "Something in the form is not right.",
  version_conflict: "This visit changed a moment ago. Look again, then decide.",
  slot_taken: "That time has just been taken. Choose another technician or time.",
  match_expired: "This list is too old. Search again for fresh times.",
  quote_expired: "This price is too old. Search again for a fresh one.",
  already_rated: "This visit is rated already. Thank you.",
  not_qualified: "This technician may not take this visit now.",
  outside_service_area: "We do not come to this address yet.",
  card_mismatch: "That technician is not part of this search any more. Search again.",
  payment_declined: "The payment was declined. Nothing was booked; try another method.",
  rate_limited: "A little slower, please. Try again in a moment.",
  not_ready: "The service is starting or catching its breath. Trying again helps.",
  idempotency_in_progress: "Your last press is still being worked on.",
  offline: "No connection. Nothing was changed.",
};

export class Problem extends Error {
  readonly code: string;
  readonly status: number;
  readonly detail: string;
  readonly correlationId: string | null;
  readonly fields: { pointer: string; detail: string }[];
  #said: string | null = null;

  constructor(status: number, refusal: Refusal) {
    super(refusal.title ?? `That did not work (${refusal.code ?? status}).`);
    this.name = "Problem";
    this.status = status;
    this.code = refusal.code ?? `http_${status}`;
    this.detail = refusal.detail ?? "";
    this.correlationId = refusal.correlation_id ?? null;
    this.fields = (refusal.errors ?? []).map((e) => ({ pointer: e.pointer ?? "", detail: e.detail ?? e.code ?? "" }));
  }

  /** What a person should read: our words for what we know, the server's for what we do not. */
  get words(): string {
    if (this.#said) return this.#said;
    if (this.code === "validation" && this.fields[0]) {
      return `${fieldName(this.fields[0].pointer)}: ${this.fields[0].detail}`;
    }
    if (this.code === "booking_state" && (!this.detail || STATES_ALONE.test(this.detail))) return MOVED_ON;
    return WORDS[this.code] ?? (this.detail.replace(RFC_3339, (at) => dayAndTime(at)) || this.message);
  }

  /** The same refusal in the words of a place that knows what was being tried. */
  saying(words: string): this {
    this.#said = words;
    return this;
  }

  /** Nothing went wrong that a person could quote: the session is over. */
  get signedOut(): boolean {
    return this.words === SIGNED_OUT;
  }

  static of(error: unknown): Problem {
    if (error instanceof Problem) return error;
    return new Problem(0, { code: "page", title: error instanceof Error ? error.message : String(error) });
  }

  static offline(): Problem {
    return new Problem(0, { code: "offline", title: "No connection" });
  }
}

function fieldName(pointer: string): string {
  const name = pointer.split("/").filter(Boolean).at(-1) ?? "Form";
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}
