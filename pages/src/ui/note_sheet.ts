/** Words to the others of a visit: a few that are ready to send, and room for one's own. */
import type { BookingState } from "../api/types.ts";
import { fill, h } from "./dom.ts";
import { actionButton } from "./parts.ts";
import { openSheet } from "./sheet.ts";

export interface NoteBody {
  text: string;
  kind: "late" | "access" | "progress" | "message";
}

interface Words {
  title: string;
  reader: string;
  /** Offered before the service, where only running late and how to get in may be said. */
  before: NoteBody[];
  during: string[];
}

/** When notes are taken at all: from acceptance to the end of the service. */
export const NOTED: BookingState[] = ["accepted", "en_route", "arrived", "in_service"];

export function askNote(state: BookingState, words: Words, send: (body: NoteBody) => Promise<void>): void {
  const before = state !== "in_service";
  const quick: NoteBody[] = before ? words.before : words.during.map((text) => ({ text, kind: "message" }));
  const errors = h("div.errors");
  const text = h("textarea.input", {
    rows: 3,
    maxlength: 1000,
    "aria-label": "Message",
    placeholder: words.reader,
    "data-testid": "note-text",
  });
  const chips = h(
    "div.chips",
    null,
    ...quick.map((note) => {
      const chip = h("button.chip", { type: "button" }, note.text);
      chip.addEventListener("click", () => (text.value = note.text));
      return chip;
    }),
  );
  const press = actionButton(
    "primary wide",
    "Send",
    async () => {
      const said = text.value.trim();
      if (!said) return fill(errors, h("p.hint", { role: "alert" }, "Write a word or two first."));
      const kind = quick.find((note) => note.text === said)?.kind ?? (before ? "access" : "message");
      await send({ text: said, kind });
      sheet.close();
    },
    errors,
  );
  press.dataset["testid"] = "send-note";
  const sheet = openSheet(words.title, chips, text, errors, press);
}
