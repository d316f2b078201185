/** Small questions before a command: why, what to say, how much longer. */
import type { BookingState } from "../api/types.ts";
import { minutes } from "../text/format.ts";
import { h } from "../ui/dom.ts";
import { askNote, type NoteBody } from "../ui/note_sheet.ts";
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

export function askTechnicianNote(state: BookingState, send: (body: NoteBody) => Promise<void>): void {
  const words = {
    title: "Write to your customer",
    reader: "Your customer reads this at once",
    before: [
      { text: "I am about ten minutes late", kind: "late" as const },
      { text: "Looking for a place to park", kind: "late" as const },
      { text: "Please open the gate", kind: "access" as const },
    ],
    during: ["I need to fetch a part", "Almost done", "Please come for a moment"],
  };
  askNote(state, words, send);
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
