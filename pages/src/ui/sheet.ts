/** A modal sheet on the platform's own dialog: focus trap, Escape and the backdrop come with it. */
import { h } from "./dom.ts";
import { icon } from "./icons.ts";

export interface Sheet {
  element: HTMLDialogElement;
  body: HTMLElement;
  close(): void;
}

export function openSheet(title: string, ...content: Node[]): Sheet {
  const body = h("div.sheet-body", null, ...content);
  const close = h("button.button.plain.small.icon", { type: "button", "aria-label": "Close" }, icon("close", 18));
  const element = h(
    "dialog.sheet",
    { "aria-label": title },
    h("header.sheet-head", null, h("h2", null, title), close),
    body,
  );
  const shut = (): void => element.close();
  close.addEventListener("click", shut);
  element.addEventListener("click", (event) => {
    if (event.target === element) shut();
  });
  element.addEventListener("close", () => element.remove());
  document.body.append(element);
  element.showModal();
  return { element, body, close: shut };
}
