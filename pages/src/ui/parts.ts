/** Small parts that every page uses: faces, badges, errors, toasts, brand, the state of the connection. */
import { Problem } from "../api/problem.ts";
import type { Link, LinkState } from "../live/link.ts";
import { fill, h, setText } from "./dom.ts";
import { icon, mark } from "./icons.ts";

/** A photograph, or initials on a colour that a name always gets again. */
export function face(name: string, photoUrl: string | null | undefined, size = 36): HTMLElement {
  const style = { "--size": `${size}px`, "--hue": String(hueOf(name)) };
  const initials = h("span.face", { style, "aria-hidden": "true" }, initialsOf(name));
  if (!photoUrl) return initials;
  const photo = h("img.face", { style, src: photoUrl, alt: "", width: size, height: size, loading: "lazy" });
  photo.addEventListener("error", () => photo.replaceWith(initials));
  return photo;
}

export function initialsOf(name: string): string {
  const words = name.trim().split(/\s+/);
  return ((words[0]?.[0] ?? "") + (words.length > 1 ? (words.at(-1)?.[0] ?? "") : "")).toUpperCase();
}

function hueOf(name: string): number {
  let hash = 7;
  for (const letter of name) hash = (hash * 31 + (letter.codePointAt(0) ?? 0)) >>> 0;
  return hash % 360;
}

export function badge(tone: string, words: string): HTMLElement {
  return h("span.badge", { "data-tone": tone }, words);
}

export function setBadge(element: HTMLElement, tone: string, words: string): void {
  element.dataset["tone"] = tone;
  setText(element, words);
}

export function brand(subtitle?: string): HTMLElement {
  return h(
    "a.brand",
    { href: "/", "aria-label": "Doorstep, to the front door" },
    mark(),
    h("span", null, subtitle ?? "Doorstep"),
  );
}

/** What went wrong, in words, with the code to quote; read out when it appears. */
export function errorBox(error: unknown): HTMLElement {
  const problem = Problem.of(error);
  const quote = problem.signedOut ? "" : [problem.code, problem.correlationId].filter(Boolean).join(" · ");
  return h(
    "div.error",
    { role: "alert", "data-testid": "error", "data-code": problem.code },
    icon("alert"),
    h("div", null, h("p", null, problem.words), quote ? h("p.quote", null, quote) : null),
  );
}

export function toast(words: string): void {
  let holder = document.querySelector<HTMLElement>(".toasts");
  if (!holder) {
    holder = h("div.toasts", { role: "status", "aria-live": "polite" });
    document.body.append(holder);
  }
  const item = h("div.toast", null, words);
  holder.append(item);
  setTimeout(() => item.remove(), 5_000);
}

const LINK_WORDS: Record<LinkState, string> = {
  connecting: "Connecting",
  online: "Live",
  offline: "Reconnecting",
};

/** "Live", "Connecting" or "Reconnecting", kept true. */
export function linkState(link: Link): HTMLElement {
  const element = h("span.link-state", { role: "status", "data-testid": "link-state" });
  link.onState((state) => {
    element.dataset["state"] = state;
    setText(element, LINK_WORDS[state]);
  });
  return element;
}

/** A button that shows it is working, cannot be pressed twice, and puts a refusal where `errors` is. */
export function actionButton(
  classes: string,
  label: string,
  work: () => Promise<void>,
  errors?: Element,
): HTMLButtonElement {
  const button = h("button", { type: "button", class: `button ${classes}` }, label);
  button.addEventListener("click", () => void runBusy(button, work, errors));
  return button;
}

export async function runBusy(button: HTMLButtonElement, work: () => Promise<void>, errors?: Element): Promise<void> {
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  if (errors) fill(errors);
  try {
    await work();
  } catch (error) {
    if (errors) fill(errors, errorBox(error));
    else toast(Problem.of(error).words);
  } finally {
    button.removeAttribute("aria-busy");
  }
}

/** Makes the page's root visible to readers: its first content stands. */
export function ready(root: HTMLElement, ...children: Node[]): void {
  root.replaceChildren(...children);
  root.removeAttribute("aria-busy");
}
