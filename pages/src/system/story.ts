/** One story by its correlation id: everything that one request caused, in order, as a timeline. */
import type { Api } from "../api/client.ts";
import { dayAndTime } from "../text/format.ts";
import { fill, h } from "../ui/dom.ts";
import { errorBox, runBusy } from "../ui/parts.ts";
import { section } from "./sections.ts";
import type { StoryItem } from "./types.ts";

const TONES: Record<string, string> = {
  request: "waiting",
  event: "en_route",
  ledger: "completed",
  payment: "completed",
  audit: "in_service",
  job: "near",
  notification: "near",
  webhook: "near",
  socket: "arrived",
  outbox: "stale",
};

/** What an item is called, by the first of these fields that it has. */
const NAMES = ["type", "route", "action", "name", "template", "topic", "url", "node"];
/** Shown elsewhere, or of no use to a reader. */
const HIDDEN = new Set(["at", "kind", "id", "data", "caused_by", ...NAMES]);

export class Story {
  readonly element: HTMLElement;
  readonly #input = h("input.input", {
    id: "story",
    name: "story",
    placeholder: "X-Correlation-ID",
    "aria-label": "Correlation id",
    autocomplete: "off",
    spellcheck: "false",
    "data-testid": "story-id",
  });
  readonly #list = h("div", { "data-testid": "story" });

  constructor(readonly api: Api) {
    const button = h("button.button", { type: "submit" }, "Tell");
    const form = h(
      "form.story-form",
      null,
      this.#input,
      button,
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void runBusy(button, () => this.tell(this.#input.value.trim()));
    });
    this.element = section(
      "stories",
      "One story",
      "Every answer carries an X-Correlation-ID. Here is all that it caused, to the last message.",
      form,
      this.#list,
    );
  }

  async tell(id: string): Promise<void> {
    if (!id) return;
    this.#input.value = id;
    try {
      const { items } = await this.api.get<{ items: StoryItem[] }>(`/correlations/${encodeURIComponent(id)}`);
      fill(
        this.#list,
        items.length
          ? h("ol.story", null, ...items.map((item) => line(item, items[0]?.at ?? item.at)))
          : h("p.hint", null, "Nothing carries this id, or it is older than what is kept."),
      );
    } catch (error) {
      fill(this.#list, errorBox(error));
    }
  }
}

function line(item: StoryItem, began: string): HTMLElement {
  const name = NAMES.map((field) => item[field]).find((value) => typeof value === "string");
  const rest = Object.entries(item)
    .filter(([field, value]) => !HIDDEN.has(field) && value !== null && typeof value !== "object")
    .map(([field, value]) => `${field} ${String(value)}`);
  const after = Date.parse(item.at) - Date.parse(began);
  return h(
    "li",
    { "data-tone": TONES[item.kind] ?? "stale", "data-kind": item.kind },
    h("time", { datetime: item.at, title: dayAndTime(item.at) }, after < 10_000 ? `+${after} ms` : `+${(after / 1000).toFixed(1)} s`),
    h("span.badge", null, item.kind),
    h("strong", null, String(name ?? "")),
    rest.length ? h("p", null, rest.join(" · ")) : null,
  );
}
