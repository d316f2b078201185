/** What the phone does with its position, in one honest line. */
import { count, distance } from "../text/format.ts";
import { h, setAttr, setText } from "../ui/dom.ts";
import { icon } from "../ui/icons.ts";
import type { FixStream, Signal, StreamState } from "./fix_stream.ts";

const WORDS: Record<Signal, [title: string, text: string]> = {
  off: ["Position not shared", "It is shared only from setting off to the door."],
  asking: ["Asking for your position", "Please allow it for this page."],
  denied: [
    "Position not allowed",
    "Allow it for this page in the browser's settings; your customer cannot see you coming.",
  ],
  searching: ["Looking for a signal", "Under the open sky it takes a few seconds."],
  good: ["Sharing your position", ""],
  weak: ["Weak signal", ""],
  superseded: ["Another phone shares your position", "This one has stopped."],
  other_tab: ["Another tab shares your position", "Close it to use this one."],
};

export class GpsPanel {
  readonly element: HTMLElement;
  readonly #title = h("strong");
  readonly #text = h("span.quiet.number");
  readonly #take: HTMLButtonElement;

  constructor(stream: () => FixStream) {
    this.#take = h("button.button.small", { type: "button", hidden: true }, "Use this phone");
    this.#take.addEventListener("click", () => stream().takeOver());
    this.element = h(
      "div.gps",
      { role: "status", "data-testid": "gps" },
      icon("signal"),
      h("div", null, this.#title, this.#text),
      this.#take,
    );
  }

  show(state: StreamState): void {
    const [title, text] = WORDS[state.signal];
    setAttr(this.element, "data-signal", state.signal);
    setText(this.#title, title);
    setText(this.#text, text || measured(state));
    this.#take.hidden = state.signal !== "superseded";
  }
}

function measured({ accuracyM, waiting, sent }: StreamState): string {
  const parts = [accuracyM === null ? "" : `within ${distance(accuracyM)}`, `${count(sent)} sent`];
  if (waiting > 20) parts.push(`${count(waiting)} waiting for the network`);
  return parts.filter(Boolean).join(" · ");
}
