/** The shapes of the wire contract, as far as the pages read them. Names are the contract's own. */

export interface Money {
  amount: number;
  currency: string;
}

export interface Place {
  lat: number;
  lon: number;
}

export type BookingState =
  | "requested"
  | "accepted"
  | "en_route"
  | "arrived"
  | "in_service"
  | "completed"
  | "declined"
  | "expired"
  | "cancelled"
  | "no_show";

/** What a watcher may know of the way to the door; `ended` is ours, for a leg that is over. */
export type Phase = "waiting" | "en_route" | "near" | "arrived" | "ended";
export type Freshness = "live" | "delayed" | "lost";

/** In full for the visit's own people, the area alone for others. */
export interface Address extends Partial<Place> {
  area_id?: string;
  area?: string | null;
  line1?: string;
  city?: string;
  postcode?: string;
  notes?: string | null;
}

export interface TechnicianFace {
  technician_id: string;
  display_name: string;
  photo_url: string | null;
}

export interface Price {
  base: Money;
  travel: Money;
  tax: Money;
  total: Money;
}

export interface Booking {
  booking_id: string;
  number: string;
  state: BookingState;
  version: number;
  service: string;
  experience: string[] | string | null;
  customer: { customer_id: string; display_name: string } | null;
  technician: TechnicianFace | null;
  address: Address | null;
  starts_at: string;
  ends_at: string;
  expected_end_at: string | null;
  deadline_at: string | null;
  price: Price | null;
  payment: { status: string } | null;
  gps_session_id: string | null;
  match_id: string | null;
  card_id: string | null;
  fallback: "none" | "next_card";
}

export interface BookingEvent {
  cursor: string;
  event_id: string;
  booking_id: string;
  seq: number;
  type: string;
  at: string;
  correlation_id: string;
  booking: Booking;
  data: Record<string, unknown>;
}

export interface Page<T> {
  items: T[];
  next_cursor: string | null;
}

export interface Service {
  service: string;
  name: string;
  description: string | null;
  duration_s: number;
  base_price: Money;
}

export interface Experience {
  experience: string;
  name: string;
  description?: string | null;
}

export interface GeocodeHit extends Place {
  label: string;
  line1: string;
  city: string;
  postcode: string;
}

export interface Card {
  card_id: string;
  position: number;
  technician: TechnicianFace & {
    rating: number | null;
    rating_count: number;
    jobs_completed: number;
    member_since: string;
  };
  experience_fit: { matched: string[]; score: number };
  trust: { status: "active" | "expiring"; expires_on: string | null; verified_on: string | null; signals: string[] };
  distance_m: number;
  eta_s: number;
  earliest_start: string;
  price: Price;
  why: string[];
}

export interface Discovery {
  match_id: string;
  jurisdiction: string | null;
  area_id: string | null;
  ranking_version: string;
  expires_at: string;
  cards: Card[];
  reason?: "outside_service_area" | "nobody_qualified" | "nobody_free" | null;
}

/** One licence rule of a place, and how it stands for one technician. */
export interface CredentialItem {
  credential_type: string;
  title: string;
  required: boolean;
  status: string;
  level: string;
  jurisdiction_name: string;
  issuing_board: string | null;
  lookup_url: string | null;
  complaint_contact: string | null;
  notice: string | null;
  number: string | null;
  issued_on: string | null;
  expires_on: string | null;
  verified_on: string | null;
  verified_how: string | null;
  next_check_on: string | null;
}

export interface CredentialView {
  technician: TechnicianFace;
  jurisdiction_name: string;
  service: string;
  qualified: boolean;
  rules_known: boolean;
  complaint_contact: string | null;
  items: CredentialItem[];
}

export interface ShareLink {
  url: string;
  token: string;
  expires_at: string;
}

/** A moment as REST (RFC 3339), as `/gps` (ms since the epoch), or as seconds from now. */
export type WireMoment = string | number;

export interface Eta {
  at: WireMoment;
  low: WireMoment;
  high: WireMoment;
  method: string;
}

/** `/gps` `position`, what the customer and a share link may see now. */
export interface Position {
  booking_id: string;
  session_id: string;
  n: number;
  t: number;
  age_s: number;
  lat: number | null;
  lon: number | null;
  acc_m: number | null;
  hdg_deg: number | null;
  spd_mps: number | null;
  precision: "exact" | "area" | "hidden";
  freshness: Freshness;
  phase: Phase;
  remaining_m: number | null;
  eta: Eta | null;
}

export interface Share {
  technician: { first_name: string | null; photo_url: string | null } | null;
  phase: Phase;
  freshness: Freshness | null;
  eta: Eta | null;
  destination: (Partial<Place> & { label?: string; area?: string; name?: string }) | null;
  ended: boolean;
}

export interface Alert {
  alert_id: string;
  kind: string;
  booking_id: string | null;
  state: "raised" | "cleared" | "acknowledged";
  at: string;
  data: Record<string, unknown>;
}

/** What cancelling a visit costs now. */
export interface CancellationCost {
  fee: Money;
  free_until: string | null;
  policy_version: number;
}

/** Basis points of the price without tax, by state and by the time left. */
export interface CancellationPolicy {
  version: number;
  free_until_s: number;
  tiers: { state: BookingState; fee_bp: number; lead_under_s: number | null }[];
  no_show_fee_bp: number;
}

export interface Me {
  display_name?: string;
  email?: string;
  role?: string;
  roles?: string[];
}
