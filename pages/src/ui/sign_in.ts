/**
 * The one sign-in of every page. In a demo it offers the account that fits the page in one press, and a link from the
 * door (`#demo`) signs in by itself. Customers may make an account here.
 */
import type { Config, DemoAccount } from "../api/config.ts";
import { Problem } from "../api/problem.ts";
import type { Session } from "../api/session.ts";
import { readReply } from "../api/session.ts";
import { byId, fill, h } from "./dom.ts";
import { brand, errorBox, ready, runBusy } from "./parts.ts";

interface Options {
  session: Session;
  config: Config;
  /** The demo role that fits this page. */
  role: string;
  title: string;
  text: string;
  mayRegister?: boolean;
}

/** Resolves once somebody is signed in; at once if somebody is. */
export async function signedIn(root: HTMLElement, options: Options): Promise<void> {
  const { session, config, role } = options;
  const account = config.accounts?.find((candidate) => candidate.role === role);
  const byDoor = location.hash === "#demo";
  if (byDoor) history.replaceState(null, "", location.pathname);
  if (session.signedIn) return;
  if (byDoor && account) {
    try {
      return await session.signIn(account);
    } catch {
      // The form below says why, at the next press.
    }
  }
  await new Promise<void>((resolve) => show(root, options, account, resolve));
}

function show(root: HTMLElement, options: Options, account: DemoAccount | undefined, done: () => void): void {
  const { session, title, text } = options;
  const errors = h("div.errors");
  const email = input("email", "E-mail", "email", "username");
  const password = input("password", "Password", "password", "current-password");
  const submit = h("button.button.primary", { type: "submit", "data-testid": "sign-in" }, "Sign in");
  const form = h(
    "form.panel",
    { "data-testid": "sign-in-form" },
    h("div", null, h("h1", null, title), h("p.quiet", null, text)),
    email.field,
    password.field,
    errors,
    submit,
  );
  const enter = async (who: { email: string; password: string }): Promise<void> => {
    try {
      await session.signIn({ email: who.email, password: who.password });
    } catch (error) {
      const problem = Problem.of(error);
      throw problem.code === "unauthenticated" ? problem.saying("That e-mail and password do not match.") : problem;
    }
    done();
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void runBusy(submit, () => enter({ email: email.input.value.trim(), password: password.input.value }), errors);
  });
  if (options.mayRegister) form.append(registerLink(form, { email: email.input, password: password.input, errors }));
  if (account) form.append(demoEntry(account, enter, errors));
  ready(root, h("main.sign-in", null, brand(), form));
  email.input.focus();
}

function demoEntry(account: DemoAccount, enter: (account: DemoAccount) => Promise<void>, errors: Element): HTMLElement {
  const button = h(
    "button.button",
    { type: "button", "data-testid": "demo-sign-in" },
    `Enter as the demo ${account.role}`,
  );
  button.addEventListener("click", () => void runBusy(button, () => enter(account), errors));
  return h("div.demo", null, h("p.hint", null, "This is a demo. Its accounts are open to you."), button);
}

interface Inputs {
  email: HTMLInputElement;
  password: HTMLInputElement;
  errors: Element;
}

function registerLink(form: HTMLElement, { email, password, errors }: Inputs): HTMLElement {
  const name = input("name", "Your name", "text", "name");
  const button = h("button.button.plain", { type: "button" }, "I am new here: make an account");
  button.addEventListener("click", () => {
    if (!name.field.isConnected) {
      form.insertBefore(name.field, form.querySelector(".field"));
      name.input.focus();
      button.textContent = "Make my account";
      return;
    }
    void runBusy(
      button,
      async () => {
        const body = { email: email.value.trim(), password: password.value, display_name: name.input.value.trim() };
        const headers = { "content-type": "application/json" };
        await readReply(await fetch("/v1/auth/register", { method: "POST", headers, body: JSON.stringify(body) }));
        fill(
          errors,
          h("p.hint", { role: "status" }, "Done. If this address is new here, you can sign in with it now."),
        );
        name.field.remove();
        button.remove();
      },
      errors,
    );
  });
  return button;
}

function input(
  id: string,
  label: string,
  type: string,
  complete: string,
): { field: HTMLElement; input: HTMLInputElement } {
  const element = h("input.input", { id, name: id, type, autocomplete: complete, required: true });
  return { field: h("div.field", null, h("label", { for: id }, label), element), input: element };
}

/** This account can go no further here: its tokens are dropped, and the page says why. */
export function endSession(session: Session, problem: Problem): void {
  session.forget();
  const again = h("button.button.primary", { type: "button", "data-testid": "sign-in-again" }, "Sign in");
  again.addEventListener("click", () => location.reload());
  ready(byId("app"), h("main.sign-in", null, brand(), errorBox(problem), again));
}
