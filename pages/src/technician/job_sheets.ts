/** Small questions before a command: why, what to say, how much longer. */
import type { BookingState } from "../api/types.ts";
import { minutes } from "../text/format.ts";
import { fill, h } from "../ui/dom.ts";
import { actionButton } from "../ui/parts.ts";
import { openSheet } from "../ui/sheet.ts";

type Send = (reason: string) => Promise<void>;

export function askReason(title: string, reasons: string[], press: string, send: Send): void {
  const errors = h("div.errors");
  const choices = h(
    "fieldset.reasons",
    null,
    h("legend.unseen", null, "Reason"),
    ...reasons.map((reason, index) =>
      h(
        "label.method",
        null,
        h("input", { type: "radio", name: "reason", value: reason, checked: index === 0 }),
        reason,
      ),
    ),
  );
  const sure = actionButton(
    "danger wide",
    press,
    async () => {
      await send(choices.querySelector<HTMLInputElement>("input:checked")?.value ?? reasons[0] ?? "");
      sheet.close();
    },
    errors,
  );
  sure.dataset["testid"] = "sure";
  const sheet = openSheet(title, choices, errors, sure);
}

export function askNote(state: BookingState, send: (body: { text: string; kind: string }) => Promise<void>): void {
  const onTheWay = state === "accepted" || state === "en_route";
  const quick = onTheWay
    ? ["I am about ten minutes late", "Looking for a place to park", "Please open the gate"]
    : ["I need to fetch a part", "Almost done", "Please come for a moment"];
  const errors = h("div.errors");
  const text = h("textarea.input", {
    rows: 3,
    maxlength: 1000,
    "aria-label": "Message",
    placeholder: "Your customer reads this at once",
  });
  const chips = h(
    "div.chips",
    null,
    ...quick.map((words) => {
      const chip = h("button.chip", { type: "button" }, words);
      chip.addEventListener("click", () => (text.value = words));
      return chip;
    }),
  );
  const press = actionButton(
    "primary wide",
    "Send",
    async () => {
      const words = text.value.trim();
      if (!words) return fill(errors, h("p.hint", { role: "alert" }, "Write a word or two first."));
      await send({ text: words, kind: words === quick[0] && onTheWay ? "late" : onTheWay ? "message" : "progress" });
      sheet.close();
    },
    errors,
  );
  press.dataset["testid"] = "send-note";
  const sheet = openSheet("Write to your customer", chips, text, errors, press);
}

export function askExtend(send: (more: number) => Promise<void>): void {
  const errors = h("div.errors");
  const buttons = [15, 30, 60].map((more) =>
    actionButton(
      "wide",
      `${minutes(more * 60)} more`,
      async () => {
        await send(more);
        sheet.close();
      },
      errors,
    ),
  );
  const sheet = openSheet(
    "How much longer?",
    h("p.quiet", null, "Your customer and dispatch hear of it at once."),
    ...buttons,
    errors,
  );
}
