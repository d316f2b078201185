/** System: how the house stands, what needs a person, and the story of any request. Asked anew every few seconds. */
import "../styles/tokens.css";
import "../styles/base.css";
import "../styles/parts.css";
import "./system.css";
import { Api } from "../api/client.ts";
import { config as loadConfig } from "../api/config.ts";
import { Problem } from "../api/problem.ts";
import { Session } from "../api/session.ts";
import { time } from "../text/format.ts";
import { byId, fill, h, setText } from "../ui/dom.ts";
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
  const verdict = h("div.verdict", { role: "status", "data-testid": "verdict" });
  const about = h("p.quiet", { "data-testid": "about" });
  const numbers = h("div.grid");
  const story = new Story(api);
  const letters = new Letters(
    api,
    (id) => {
      story.element.scrollIntoView({ block: "start" });
      void story.tell(id);
    },
    () => void look(),
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
      numbers,
      audit.element,
      story.element,
    ),
  );

  const look = async (): Promise<void> => {
    try {
      const [system, waiting] = await Promise.all([
        api.get<System>("/system"),
        api.get<{ items: DeadLetter[] }>("/dead-letters?limit=50"),
      ]);
      const now = Date.now();
      newest = system;
      setText(about, `Doorstep ${system.version}, up ${span(system.uptime_s * 1000)}. As of ${time(now)}.`);
      const concerns = concernsOf(system, waiting.items.length, now);
      fill(
        verdict,
        concerns.length
          ? h("ul", null, ...concerns.map((each) => h("li", { "data-grade": each.grade }, icon("alert"), each.words)))
          : h("p", null, icon("check"), "All is well. Nothing waits for a person."),
      );
      verdict.dataset["grade"] = concerns[0]?.grade ?? "good";
      letters.show(waiting.items, now);
      audit.show(system);
      fill(
        numbers,
        h("div.stack", null, queues(system), stores(system, now), growth(system)),
        h("div.stack", null, jobs(system), tasks(system, now)),
      );
    } catch (error) {
      const problem = Problem.of(error);
      if (problem.signedOut) return;
      verdict.dataset["grade"] = "bad";
      fill(verdict, errorBox(problem));
    }
  };
  void look();
  setInterval(() => {
    if (!document.hidden) void look();
  }, EVERY_MS);
  expose("system", { more: () => ({ system: newest }) });
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
        ["Up to", audit.sealed_upto ? time(audit.sealed_upto) : "–"],
        ["Waiting", audit.unsealed],
      ]),
    );
  }

  async #verify(): Promise<void> {
    const found = await this.api.get<Verified>("/audit/verify");
    toast(found.ok ? `The chain holds: ${found.events} decisions.` : "The chain does not hold: see the audit.");
  }
}

start().catch((error: unknown) => ready(byId("app"), h("main.sign-in", null, errorBox(error))));
