/** The card of an arrival: the answer to "when?" is its largest word. */
import type { Phase, Position, Share } from "../api/types.ts";
import { etaClock, etaRange, nothingKnown, type ArrivalState } from "../live/arrival_view.ts";
import type { Link } from "../live/link.ts";
import { ago, distance } from "../text/format.ts";
import { fill, h, setAttr, setText } from "../ui/dom.ts";
import { brand, face, linkState } from "../ui/parts.ts";
import { Steps } from "../ui/steps.ts";

const STEPS = [
  { key: "waiting", words: "Booked" },
  { key: "en_route", words: "On the way" },
  { key: "near", words: "Almost there" },
  { key: "arrived", words: "At the door" },
];

export class ArrivalCard {
  readonly element: HTMLElement;
  readonly #headline = h("h1.eta-headline", { "data-testid": "eta", "aria-live": "polite" });
  readonly #sub = h("p.eta-sub", { "data-testid": "eta-clock" });
  readonly #fresh = h("p.fresh", { "data-testid": "freshness" });
  readonly #who = h("div.track-who");
  readonly #steps = new Steps(STEPS);
  readonly #head = h("header.track-head", null, brand());
  #state: ArrivalState = nothingKnown;
  #name = "Your technician";
  #offline = false;
  /** This page's clock at which the newest position had age 0. */
  #seenAt: number | null = null;

  constructor(share: Share) {
    this.element = h(
      "section.track-card.panel",
      { "data-testid": "arrival-card" },
      this.#head,
      h("div.track-now", null, this.#headline, this.#sub),
      this.#steps.element,
      this.#who,
    );
    this.#state = { ...nothingKnown, phase: share.phase, freshness: share.freshness, eta: share.eta };
    this.share(share);
    setInterval(() => this.#say(), 1_000);
  }

  get current(): ArrivalState {
    return this.#state;
  }

  link(link: Link): void {
    this.#head.append(linkState(link));
  }

  share({ technician }: Share): void {
    this.#name = technician?.first_name ?? "Your technician";
    fill(
      this.#who,
      face(this.#name, technician?.photo_url, 52),
      h("div", null, h("strong", null, this.#name), this.#fresh),
    );
    this.#say();
  }

  phase(phase: Phase, freshness: ArrivalState["freshness"]): void {
    const moving = phase === "en_route" || phase === "near";
    this.#state = { ...this.#state, phase, freshness, ...(moving ? {} : { position: null, eta: null }) };
    this.#say();
  }

  position(position: Position): void {
    const { phase, freshness, eta } = position;
    this.#state = { ...this.#state, phase, freshness, eta, position };
    this.#seenAt = Date.now() - position.age_s * 1000;
    this.#say();
  }

  offline(offline: boolean): void {
    this.#offline = offline;
    this.#say();
  }

  #say(): void {
    const { phase, eta, position, freshness } = this.#state;
    const range = etaRange(eta);
    const coming = phase === "en_route" || phase === "near";
    this.#steps.at(phase === "ended" ? "arrived" : phase);
    setAttr(this.element, "data-phase", phase);
    setText(this.#headline, coming ? (range ?? "On the way") : (HEADLINES[phase] ?? ""));
    setText(this.#sub, coming ? this.#comingWords(position) : this.#restingWords(phase));
    const shown = this.#offline ? "delayed" : freshness;
    setAttr(this.#fresh, "data-freshness", coming ? shown : null);
    setText(this.#fresh, coming ? this.#freshWords(shown) : phase === "waiting" ? "Not on the way yet" : "Here");
    document.title = coming && range ? `${range} · Doorstep` : "Your arrival · Doorstep";
  }

  #comingWords(position: Position | null): string {
    const at = etaClock(this.#state.eta);
    const parts = [at ? `Arriving ${at}` : `${this.#name} is on the way`];
    if (position?.remaining_m) parts.push(`${distance(position.remaining_m)} away`);
    if (position?.precision === "area") parts.push("shown by area");
    return parts.join(" · ");
  }

  #restingWords(phase: Phase): string {
    if (phase === "waiting") return `This page wakes up by itself when ${this.#name} sets off.`;
    return `${this.#name} is at the door. The position is no longer shared.`;
  }

  #freshWords(freshness: ArrivalState["freshness"]): string {
    const seen = this.#seenAt === null ? "" : ago(Date.now() - this.#seenAt);
    if (this.#offline) return "You are offline. This is the last that was seen.";
    if (freshness === "lost") return `No signal from the phone; last seen ${seen}`;
    if (freshness === "delayed") return `Position is late; last seen ${seen}`;
    return seen ? `Live · seen ${seen}` : "Finding the position";
  }
}

const HEADLINES: Partial<Record<Phase, string>> = {
  waiting: "Not yet on the way",
  arrived: "At the door",
  ended: "At the door",
};
