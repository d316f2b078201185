/**
 * The list beside the map: only the rows in sight exist, so two thousand visits scroll like twenty. Rows keep their
 * places while a pointer or the keyboard is among them, so that nobody clicks what has just slid under the hand.
 */
import { fill, h, setAttr, setText } from "../ui/dom.ts";
import { badge, face, setBadge } from "../ui/parts.ts";
import { minutes, time } from "../text/format.ts";
import { serviceName } from "../text/service_names.ts";
import { badgeOf, inOrder, placeOf, type Visit } from "./visits.ts";

const ROW_PX = 72;
const OVERSCAN = 6;
const REORDER_MS = 3_000;

interface Row {
  element: HTMLElement;
  update(visit: Visit, index: number, selected: boolean, total: number): void;
}

export class VisitList {
  readonly element: HTMLElement;
  readonly #canvas = h("div.rows", { role: "presentation" });
  readonly #rows = new Map<string, Row>();
  #visits: Visit[] = [];
  #orderedAt = 0;
  #selected: string | null = null;
  #active: string | null = null;
  #busy = false;
  #painting = false;

  constructor(
    readonly choose: (id: string) => void,
    readonly point: (id: string | null) => void,
  ) {
    this.element = h(
      "div.visit-list",
      { role: "listbox", tabindex: "0", "aria-label": "Active visits", "data-testid": "visit-list" },
      this.#canvas,
    );
    this.element.addEventListener("scroll", () => this.#paintSoon(), { passive: true });
    this.element.addEventListener("pointerenter", () => (this.#busy = true));
    this.element.addEventListener("pointerleave", () => {
      this.#busy = false;
      this.point(null);
    });
    this.element.addEventListener("keydown", (event) => this.#key(event));
    this.element.addEventListener("blur", () => this.#activate(null));
    new ResizeObserver(() => this.#paintSoon()).observe(this.element);
  }

  /** Shows exactly these; their order changes at most every few seconds, and never under a hand. */
  show(visits: Visit[]): void {
    const now = performance.now();
    const same = visits.length === this.#visits.length && this.#sameMembers(visits);
    if (!same && (this.#busy || this.#active) && this.#visits.length) {
      const wanted = new Set(visits);
      const kept = this.#visits.filter((visit) => wanted.has(visit));
      const old = new Set(kept);
      this.#visits = [...kept, ...inOrder(visits.filter((visit) => !old.has(visit)))];
    } else if (!same || (now - this.#orderedAt > REORDER_MS && !this.#busy && !this.#active)) {
      this.#visits = inOrder(visits);
      this.#orderedAt = now;
    }
    this.#paint();
  }

  select(id: string | null): void {
    this.#selected = id;
    const index = this.#visits.findIndex((visit) => visit.id === id);
    if (index >= 0) this.#reveal(index);
    this.#paint();
  }

  #sameMembers(visits: Visit[]): boolean {
    const members = new Set(this.#visits);
    return visits.every((visit) => members.has(visit));
  }

  #paintSoon(): void {
    if (this.#painting) return;
    this.#painting = true;
    requestAnimationFrame(() => {
      this.#painting = false;
      this.#paint();
    });
  }

  #paint(): void {
    const total = this.#visits.length;
    this.#canvas.style.setProperty("height", `${total * ROW_PX}px`);
    const first = Math.max(0, Math.floor(this.element.scrollTop / ROW_PX) - OVERSCAN);
    const last = Math.min(total, Math.ceil((this.element.scrollTop + this.element.clientHeight) / ROW_PX) + OVERSCAN);
    const wanted = new Set<string>();
    for (let index = first; index < last; index += 1) {
      const visit = this.#visits[index] as Visit;
      wanted.add(visit.id);
      let row = this.#rows.get(visit.id);
      if (!row) {
        row = this.#row(visit.id);
        this.#rows.set(visit.id, row);
        this.#canvas.append(row.element);
      }
      row.update(visit, index, visit.id === this.#selected, total);
    }
    for (const [id, row] of this.#rows) {
      if (wanted.has(id)) continue;
      row.element.remove();
      this.#rows.delete(id);
    }
  }

  #row(id: string): Row {
    const name = h("span.name");
    const about = h("span.about");
    const eta = h("span.eta.number");
    const state = badge("waiting", "");
    const picture = h("span.picture");
    const element = h(
      "div.visit",
      { role: "option", id: `visit-${id}`, "data-testid": "visit-row", "data-booking-id": id },
      picture,
      h("span.what", null, name, about),
      h("span.when", null, eta, state),
    );
    element.addEventListener("click", () => this.choose(id));
    element.addEventListener("pointerenter", () => this.point(id));
    let pictured = "";
    return {
      element,
      update: (visit, index, selected, total) => {
        const { booking } = visit;
        const who = booking.technician?.display_name ?? "Nobody yet";
        if (pictured !== who) fill(picture, face(who, booking.technician?.photo_url));
        pictured = who;
        setText(name, who);
        setText(about, [placeOf(booking), serviceName(booking.service)].filter(Boolean).join(" · "));
        setText(eta, etaWords(visit));
        const { tone, words } = badgeOf(visit);
        setBadge(state, tone, words);
        element.style.setProperty("transform", `translateY(${index * ROW_PX}px)`);
        setAttr(element, "aria-selected", String(selected));
        setAttr(element, "aria-setsize", String(total));
        setAttr(element, "aria-posinset", String(index + 1));
        setAttr(element, "data-state", booking.state);
        setAttr(element, "data-freshness", visit.mover?.freshness ?? null);
        element.classList.toggle("active", visit.id === this.#active);
      },
    };
  }

  #key(event: KeyboardEvent): void {
    const index = this.#visits.findIndex((visit) => visit.id === (this.#active ?? this.#selected));
    const page = Math.max(1, Math.floor(this.element.clientHeight / ROW_PX) - 1);
    const steps: Record<string, number> = {
      ArrowDown: 1,
      ArrowUp: -1,
      PageDown: page,
      PageUp: -page,
      Home: -Infinity,
      End: Infinity,
    };
    const step = steps[event.key];
    if (step !== undefined) {
      event.preventDefault();
      const next = Math.min(this.#visits.length - 1, Math.max(0, index + step));
      this.#activate(this.#visits[next]?.id ?? null);
      this.#reveal(next);
    } else if ((event.key === "Enter" || event.key === " ") && this.#active) {
      event.preventDefault();
      this.choose(this.#active);
    }
  }

  #activate(id: string | null): void {
    this.#active = id;
    this.point(id);
    this.#paint();
    setAttr(this.element, "aria-activedescendant", id ? `visit-${id}` : null);
  }

  #reveal(index: number): void {
    const top = index * ROW_PX;
    if (top < this.element.scrollTop) this.element.scrollTop = top;
    const bottom = top + ROW_PX - this.element.clientHeight;
    if (bottom > this.element.scrollTop) this.element.scrollTop = bottom;
    this.#paint();
  }
}

/** "6 min" on the way; the time of the visit before; the planned end after. */
export function etaWords(visit: Visit): string {
  const { booking, mover } = visit;
  if (booking.state === "en_route" && mover?.etaAt)
    return minutes(Math.max(0, (mover.etaAt - performance.now()) / 1000));
  if (booking.state === "in_service" && booking.expected_end_at) return `until ${time(booking.expected_end_at)}`;
  return ["requested", "accepted"].includes(booking.state) ? time(booking.starts_at) : "";
}
