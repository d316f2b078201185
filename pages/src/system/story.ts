/** One story by its correlation id: everything that one request caused, in order, as a timeline. */
import type { Api } from "../api/client.ts";
import { count, dayAndTime, money, time } from "../text/format.ts";
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
  alert: "danger",
  job: "near",
  notification: "near",
  webhook: "near",
  socket: "arrived",
  outbox: "stale",
};

/** What an item is called, by the first of these fields that it has. */
const NAMES = ["type", "route", "action", "name", "template", "topic", "posting", "wanted", "url"];
/** Shown in its own way. */
const HIDDEN = new Set(["at", "kind", "id", "data", "amount", "currency", "actor_role", ...NAMES]);
const DEEPEST = 4;

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
    const form = h("form.story-form", null, this.#input, button);
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
      fill(this.#list, ...told(items));
    } catch (error) {
      fill(this.#list, errorBox(error));
    }
  }
}

function told(items: StoryItem[]): HTMLElement[] {
  const [first] = items;
  if (!first) return [h("p.hint", null, "Nothing carries this id, or it is older than what is kept.")];
  const depths = depthsOf(items);
  const began = `It began ${dayAndTime(first.at)}: ${count(items.length)} ${items.length === 1 ? "line" : "lines"}.`;
  return [
    h("p.hint", null, began),
    h("ol.story", null, ...items.map((item) => line(item, first.at, depths.get(item) ?? 0))),
  ];
}

/** How far each item is from what nothing here caused. */
function depthsOf(items: StoryItem[]): Map<StoryItem, number> {
  const byId = new Map(items.filter(({ id }) => id).map((item) => [item["id"], item]));
  const depths = new Map<StoryItem, number>();
  for (const item of items) {
    let depth = 0;
    for (let at = byId.get(item["caused_by"]); at && depth < DEEPEST; at = byId.get(at["caused_by"])) depth += 1;
    depths.set(item, depth);
  }
  return depths;
}

/** The name and what a reader asks for first; a press shows the ids, whole, to be copied. */
function line(item: StoryItem, began: string, depth: number): HTMLElement {
  const fields = Object.entries(item).filter(([field, value]) => !HIDDEN.has(field) && value !== null);
  const ids = fields.filter(([field, value]) => isId(field, value));
  const said = fields.filter(([field, value]) => !isId(field, value) && typeof value !== "object");
  const name = NAMES.map((field) => item[field]).find((value) => typeof value === "string");
  const words = [
    typeof item["actor_role"] === "string" ? `by ${item["actor_role"]}` : "",
    amountOf(item, item["amount"]),
    ...said.map(([field, value]) => `${field.replaceAll("_", " ")} ${valueWords(field, value)}`),
  ].filter(Boolean);
  return h(
    "li",
    { "data-kind": item.kind, style: { "--depth": String(depth) } },
    h("time", { datetime: item.at, title: dayAndTime(item.at) }, after(Date.parse(item.at) - Date.parse(began))),
    h("span.badge", { "data-tone": TONES[item.kind] ?? "stale" }, item.kind),
    h(
      "details",
      null,
      h("summary", null, h("strong", null, String(name ?? item.kind)), h("span", null, words.join(" · "))),
      h("dl", null, ...ids.flatMap(([field, value]) => [h("dt", null, field), h("dd", null, String(value))])),
    ),
    ...outcomes(item).map((each) => h("p", null, each)),
  );
}

/** How it went: each try of a job, each attempt of a message or a post, each entry of a posting. */
function outcomes(item: StoryItem): string[] {
  const entries = rows(item, "entries").map((entry) => {
    const side = entry["debit"] ? "debit" : "credit";
    return `${String(entry["code"]).split(":")[0]} ${side} ${amountOf(entry, entry[side])}`;
  });
  const runs = rows(item, "runs").map((run) => {
    const ms = Date.parse(String(run["ended_at"])) - Date.parse(String(run["started_at"]));
    return `try ${String(run["attempt"])}: ${[run["outcome"], run["error"], `${count(ms)} ms`].filter(Boolean).join(", ")}`;
  });
  const attempts = rows(item, "attempts").map((each) => {
    const how = [each["channel"], each["outcome"], each["code"], each["status"], each["error"]].filter(Boolean);
    return `${how.join(", ")}${typeof each["ms"] === "number" ? `, ${count(each["ms"])} ms` : ""}`;
  });
  return [...entries, ...runs, ...attempts];
}

function rows(item: StoryItem, field: string): Record<string, unknown>[] {
  const value = item[field];
  return Array.isArray(value) ? (value as Record<string, unknown>[]) : [];
}

function isId(field: string, value: unknown): boolean {
  return typeof value === "string" && (field.endsWith("_id") || field === "caused_by" || field === "reverses");
}

function valueWords(field: string, value: unknown): string {
  return field.endsWith("_at") && typeof value === "string" ? time(value) : String(value);
}

function amountOf({ currency }: Record<string, unknown>, amount: unknown): string {
  return typeof amount === "number" && typeof currency === "string" ? money({ amount, currency }) : "";
}

function after(ms: number): string {
  if (ms < 1000) return `+${ms} ms`;
  const seconds = ms / 1000;
  return seconds < 60 ? `+${seconds.toFixed(1)} s` : `+${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
}
