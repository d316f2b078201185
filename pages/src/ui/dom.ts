/** Elements in one call. No template language: a page's markup is its functions. */

type Child = Node | string | number | null | undefined | false;
type Listener<K extends keyof HTMLElementEventMap> = (event: HTMLElementEventMap[K]) => void;

export type Props = {
  [K in keyof HTMLElementEventMap as `on${K}`]?: Listener<K>;
} & {
  [attribute: string]: unknown;
};

/**
 * `h("button.primary", { type: "button", onclick }, "Book")`. A name may carry classes; a false or null attribute is
 * left out; `true` is written as an empty attribute. `style` takes custom properties only (the page's policy forbids
 * style attributes), as `{ "--share": "40%" }`.
 */
export function h<K extends keyof HTMLElementTagNameMap>(
  name: K | `${K}.${string}`,
  props: Props | null = null,
  ...children: (Child | Child[])[]
): HTMLElementTagNameMap[K] {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag as K);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(props ?? {})) setProp(element, key, value);
  element.append(...children.flat().filter(isShown).map(nodeOrText));
  return element;
}

/** Puts these children, and nothing else, into the element. */
export function fill(element: Element, ...children: (Child | Child[])[]): void {
  element.replaceChildren(...children.flat().filter(isShown).map(nodeOrText));
}

/** Sets text only when it changed, so that screen readers and layout are left in peace. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Makes `old` say what `fresh` says, changing only what differs: a selection, a scroll position, a finger and a screen
 * reader stay where they are. For what only shows: listeners of `fresh` are lost, and so are style properties.
 */
export function morph(old: Node, fresh: Node): void {
  if (old.nodeName !== fresh.nodeName) {
    old.parentNode?.replaceChild(fresh, old);
    return;
  }
  if (old instanceof Element && fresh instanceof Element) {
    for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
    for (const { name, value } of fresh.attributes) setAttr(old, name, value);
  } else if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
  const before = [...old.childNodes];
  [...fresh.childNodes].forEach((child, i) => {
    const mine = before[i];
    if (mine) morph(mine, child);
    else old.appendChild(child);
  });
  for (const rest of before.slice(fresh.childNodes.length)) rest.remove();
}

export function setAttr(element: Element, name: string, value: string | null): void {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

export function byId(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (!element) throw new Error(`#${id} is missing`);
  return element;
}

function setProp(element: HTMLElement, key: string, value: unknown): void {
  if (value === null || value === undefined || value === false) return;
  if (key.startsWith("on") && typeof value === "function") {
    element.addEventListener(key.slice(2), value as EventListener);
  } else if (key === "style") {
    for (const [name, text] of Object.entries(value as Record<string, string>)) element.style.setProperty(name, text);
  } else if (key === "value" && "value" in element) {
    element.value = String(value);
  } else {
    element.setAttribute(key, value === true ? "" : String(value));
  }
}

function isShown(child: Child): child is Node | string | number {
  return child !== null && child !== undefined && child !== false;
}

function nodeOrText(child: Node | string | number): Node | string {
  return typeof child === "number" ? String(child) : child;
}
