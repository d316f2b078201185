/** A link that shows nothing: it never was, or what it showed is over. Kind, and without a trace of what it was. */
import type { Problem } from "../api/problem.ts";
import { h } from "../ui/dom.ts";
import { mark } from "../ui/icons.ts";
import { ready } from "../ui/parts.ts";

export function goodbye(root: HTMLElement, problem: Problem): void {
  const ended = problem.status === 410;
  const [title, text] = ended
    ? ["This visit is over", "A link shows one arrival and then forgets it. Nothing is shared any more."]
    : [
        "This link does not lead anywhere",
        "It may have been taken back, or lost a letter on its way. Ask whoever sent it for a new one.",
      ];
  document.title = `${title} · Doorstep`;
  ready(
    root,
    h(
      "main.goodbye",
      { "data-testid": ended ? "ended" : "unknown" },
      mark(56),
      h("h1", null, title),
      h("p", null, text),
      h("a.button", { href: "/" }, "To Doorstep"),
    ),
  );
}
