/** Where a visit stands, as four steps that fill from the left. */
import { h, setAttr } from "./dom.ts";

export interface Step {
  key: string;
  words: string;
}

export class Steps {
  readonly element: HTMLElement;
  readonly #steps: Step[];

  constructor(steps: Step[]) {
    this.#steps = steps;
    this.element = h(
      "ol.steps",
      { "aria-label": "Progress" },
      ...steps.map((step) => h("li", { "data-step": step.key }, h("span", null, step.words))),
    );
  }

  at(key: string): void {
    const now = this.#steps.findIndex((step) => step.key === key);
    this.#steps.forEach((step, index) => {
      const item = this.element.children[index] as HTMLElement;
      item.dataset["done"] = String(index < now);
      item.dataset["now"] = String(index === now);
      setAttr(item, "aria-current", index === now ? "step" : null);
      setAttr(item, "data-step", step.key);
    });
  }
}
