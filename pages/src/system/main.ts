/** System: how the house stands, what needs a person, and the story of any request. Asked anew every few seconds. */
import "../styles/tokens.css";
import "../styles/base.css";
import "../styles/parts.css";
import "./system.css";
import { Api } from "../api/client.ts";
import { config as loadConfig } from "../api/config.ts";
import { Problem } from "../api/problem.ts";
import { Session } from "../api/session.ts";
import { count, dayAndTime, time } from "../text/format.ts";
import { byId, fill, h, morph, setText } from "../ui/dom.ts";
import { expose } from "../ui/expose.ts";
import { icon } from "../ui/icons.ts";
import { actionButton, brand, errorBox, ready, toast } from "../ui/parts.ts";
import { endSession, signedIn } from "../ui/sign_in.ts";
import { concernsOf } from "./concerns.ts";
import { Letters } from "./letters.ts";
import { facts, growth, jobs, queues, section, span, stores, tasks } from "./sections.ts";
import { Story } from "./story.ts";
import type { DeadLetter, System } from "./types.ts";

const EVERY_MS = 3_000;
const LETTERS = 50;

interface Page {
  items: DeadLetter[];
  next_cursor: string | null;
}

interface Verified {
  ok: boolean;
  events: number;
  head: string | null;
}

async function start(): Promise<void> {
  const root = byId("app");
  const config = await loadConfig();
  const session = new Session("system");
  await signedIn(root, {
    session,
    config,
    role: "founder",
    title: "System",
    text: "How the house stands, and what needs a person.",
  });
  session.onEnd = (problem) => endSession(session, problem);
  run(root, new Api(session));
}

function run(root: HTMLElement, api: Api): void {
  let newest: System | null = null;
  let newestAt = 0;
  const verdict = h("div.verdict", { role: "status", "data-testid": "verdict" });
  const about = h("p.quiet", { "data-testid": "about" });
  const left = h("div.stack");
  const right = h("div.stack");
  const story = new Story(api);
  const letters = new Letters(
    api,
    (id) => {
      story.element.scrollIntoView({ block: "start" });
      void story.tell(id);
    },
    async () => {
      await looking;
      await look();
    },
  );
  const audit = new Audit(api);
  ready(
    root,
    h(
      "main.system",
      null,
      h("header.system-head", null, brand("System"), about),
      verdict,
      letters.element,
      story.element,
      h("div.grid", null, left, h("div.stack", null, right, audit.element)),
    ),
  );

  let looking: Promise<void> | null = null;
  let refusedAt: number | null = null;
  const look = (): Promise<void> => (looking ??= ask().finally(() => (looking = null)));
  const ask = async (): Promise<void> => {
    try {
      const [system, waiting] = await Promise.all([
        api.get<System>("/system"),
        api.get<Page>(`/dead-letters?limit=${LETTERS}`),
      ]);
      const now = Date.now();
      if (newest?.node === system.node && refused(system) > refused(newest)) refusedAt = now;
      newest = system;
      newestAt = now;
      setText(about, `Doorstep ${system.version}, up ${span(system.uptime_s * 1000)}. As of ${time(now)}.`);
      const concerns = concernsOf(system, lettersWords(waiting), refusedAt, now);
      const found = concerns.length
        ? h("ul", null, ...concerns.map((each) => h("li", { "data-grade": each.grade }, icon("alert"), each.words)))
        : h("p", null, icon("check"), "All is well. Nothing waits for a person.");
      become(verdict, found);
      verdict.dataset["grade"] = concerns[0]?.grade ?? "good";
      root.firstElementChild?.classList.remove("old");
      letters.show(waiting.items, now);
      audit.show(system);
      become(left, queues(system), stores(system, now), growth(system));
      become(right, jobs(system), tasks(system, now));
    } catch (error) {
      const problem = Problem.of(error);
      if (problem.signedOut) return;
      const since = newest ? `${problem.words} Below is how it stood at ${time(newestAt)}.` : problem.words;
      become(verdict, h("p", null, icon("alert"), since));
      verdict.dataset["grade"] = "bad";
      root.firstElementChild?.classList.add("old");
    }
  };
  void look();
  setInterval(() => {
    if (!document.hidden) void look();
  }, EVERY_MS);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) void look();
  });
  expose("system", { more: () => ({ system: newest }) });
}

/** What only shows takes its new words in place, so that eyes, selections and scroll positions keep theirs. */
function become(element: Element, ...children: Node[]): void {
  const fresh = element.cloneNode() as Element;
  fresh.append(...children);
  morph(element, fresh);
}

function refused({ stores: { telemetry } }: System): number {
  return telemetry.refused_rows;
}

function lettersWords({ items, next_cursor }: Page): string | null {
  const more = next_cursor ? "More than " : "";
  return items.length ? `${more}${count(items.length)} dead ${items.length === 1 ? "letter waits" : "letters wait"}` : null;
}

/** The chain of decisions: how far it is sealed, and the walk that proves it whole. */
class Audit {
  readonly #facts = h("div");
  readonly element: HTMLElement;

  constructor(readonly api: Api) {
    const button = actionButton("small", "Verify the chain", () => this.#verify());
    button.dataset["testid"] = "verify";
    this.element = section(
      "audit",
      "Decisions",
      "Approvals, overrides, trust and money: each hash covers the one before it.",
      this.#facts,
      button,
    );
  }

  show({ audit }: System): void {
    fill(
      this.#facts,
      facts([
        ["Sealed", audit.last_seal ?? 0],
        ["Up to", audit.sealed_upto ? dayAndTime(audit.sealed_upto) : "–"],
        ["Waiting", audit.unsealed],
      ]),
    );
  }

  async #verify(): Promise<void> {
    const found = await this.api.get<Verified>("/audit/verify");
    toast(found.ok ? `The chain holds: ${count(found.events)} decisions.` : "The chain does not hold: see the audit.");
  }
}

start().catch((error: unknown) => ready(byId("app"), h("main.sign-in", null, errorBox(error))));
