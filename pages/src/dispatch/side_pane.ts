/** The left side of dispatch: who is connected, what to look for, and the list. On a phone it is a sheet over the map. */
import type { Session } from "../api/session.ts";
import type { Link } from "../live/link.ts";
import type { PresenceCounts } from "../live/presence.ts";
import { count } from "../text/format.ts";
import { fill, h, setAttr, setText } from "../ui/dom.ts";
import { icon } from "../ui/icons.ts";
import { brand, linkState } from "../ui/parts.ts";
import { VisitList } from "./list.ts";
import { FILTERS, matches, type Filter, type Visit, type Visits } from "./visits.ts";

interface Options {
  session: Session;
  link: Link;
  choose(id: string): void;
  point(id: string | null): void;
  /** The visits that search and filter leave, or null for all. */
  filtered(ids: Set<string> | null): void;
}

export class SidePane {
  readonly element: HTMLElement;
  readonly list: VisitList;
  readonly #options: Options;
  readonly #search: HTMLInputElement;
  readonly #chips = new Map<Filter, { button: HTMLButtonElement; number: HTMLElement }>();
  readonly #presence = h("p.presence", { "data-testid": "presence" });
  readonly #notice = h("div.notice");
  #filter: Filter = "all";
  #isLoaded = false;
  #emphasised = "";

  constructor(options: Options) {
    this.#options = options;
    this.list = new VisitList(options.choose, options.point);
    this.#search = h("input.input", {
      type: "search",
      placeholder: "Name, street, number",
      "aria-label": "Search visits",
      "data-testid": "search",
      spellcheck: "false",
    });
    this.#search.addEventListener("input", () => this.element.dispatchEvent(new Event("refilter")));
    const handle = h("button.sheet-handle", {
      type: "button",
      "aria-expanded": "false",
      "aria-label": "Show the whole list",
    });
    handle.addEventListener("click", () => {
      const open = document.body.classList.toggle("list-open");
      setAttr(handle, "aria-expanded", String(open));
    });
    this.element = h(
      "section.side",
      { "aria-label": "Visits" },
      handle,
      h("header.side-head", null, brand("Dispatch"), linkState(options.link), this.#account()),
      h(
        "div.side-tools",
        null,
        h("div.search", null, icon("search", 18), this.#search),
        this.#filterBar(),
        this.#presence,
      ),
      this.#notice,
      this.list.element,
    );
    this.#skeleton();
  }

  focusSearch(): void {
    this.#search.focus();
  }

  /** The list was read, or `problem` says why it was not. */
  loaded(problem: HTMLElement | null): void {
    this.#isLoaded = problem === null;
    fill(this.#notice, problem);
  }

  show(visits: Visits): void {
    if (!this.#isLoaded) return;
    const query = this.#search.value.trim();
    const found = [...visits.byId.values()].filter((visit) => matches(visit, query));
    for (const [filter, { button, number }] of this.#chips) {
      const taken = found.filter(FILTERS[filter].takes).length;
      setText(number, count(taken));
      if (filter === "trouble") button.hidden = taken === 0 && this.#filter !== filter;
    }
    const shown = found.filter(FILTERS[this.#filter].takes);
    this.list.show(shown);
    this.#tellMap(shown, query);
    fill(this.#notice, shown.length ? null : this.#nothing(visits.byId.size > 0));
  }

  presence(counts: PresenceCounts): void {
    const parts = [
      `${count(counts.available)} available`,
      `${count(counts.busy)} busy`,
      `${count(counts.offline)} offline`,
    ];
    setText(this.#presence, parts.join(" · "));
  }

  pointAt(id: string | null): void {
    for (const row of this.list.element.querySelectorAll(".visit.pointed")) row.classList.remove("pointed");
    if (id) document.getElementById(`visit-${id}`)?.classList.add("pointed");
  }

  #tellMap(shown: Visit[], query: string): void {
    const narrowed = query !== "" || this.#filter !== "all";
    const key = narrowed
      ? shown
          .map((visit) => visit.id)
          .sort()
          .join()
      : "";
    if (key === this.#emphasised && !narrowed) return;
    this.#emphasised = key;
    this.#options.filtered(narrowed ? new Set(shown.map((visit) => visit.id)) : null);
  }

  #filterBar(): HTMLElement {
    const bar = h("div.filters", { role: "group", "aria-label": "Show" });
    for (const filter of Object.keys(FILTERS) as Filter[]) {
      const number = h("span.number.quiet", null, "0");
      const pressed = String(filter === this.#filter);
      const button = h(
        "button.chip",
        { type: "button", "aria-pressed": pressed, "data-testid": `filter-${filter}` },
        FILTERS[filter].words,
        number,
      );
      button.addEventListener("click", () => {
        this.#filter = filter;
        for (const [other, chip] of this.#chips) setAttr(chip.button, "aria-pressed", String(other === filter));
        this.element.dispatchEvent(new Event("refilter"));
      });
      this.#chips.set(filter, { button, number });
      bar.append(button);
    }
    return bar;
  }

  #account(): HTMLElement {
    const { session } = this.#options;
    const button = h(
      "button.button.plain.small.icon",
      { type: "button", "aria-label": `Sign out ${session.email ?? ""}`, title: `Sign out ${session.email ?? ""}` },
      icon("out", 18),
    );
    button.addEventListener("click", () => void session.signOut().then(() => location.reload()));
    return button;
  }

  #skeleton(): void {
    const row = (): HTMLElement =>
      h("div.visit-ghost", { "aria-hidden": "true" }, h("span.skeleton.face"), h("span.skeleton"));
    fill(this.#notice, h("p.unseen", { role: "status" }, "Loading the visits"), ...Array.from({ length: 6 }, row));
  }

  #nothing(others: boolean): HTMLElement {
    return others
      ? h(
          "div.empty",
          { "data-testid": "empty" },
          icon("search", 24),
          h("h3", null, "Nothing matches"),
          h("p", null, "Try another word, or show all visits."),
        )
      : h(
          "div.empty",
          { "data-testid": "empty" },
          icon("map", 24),
          h("h3", null, "All quiet"),
          h("p", null, "No active visits. The next request appears here by itself."),
        );
  }
}
