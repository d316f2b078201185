/** Dead letters: what nobody could do after all its tries, and the button that lets it try again. */
import type { Api } from "../api/client.ts";
import { ago, count } from "../text/format.ts";
import { fill, h } from "../ui/dom.ts";
import { actionButton, toast } from "../ui/parts.ts";
import { section, table } from "./sections.ts";
import type { DeadLetter } from "./types.ts";

export class Letters {
  readonly #body = h("div");
  readonly element = section(
    "letters",
    "Dead letters",
    "Given up after all tries; nothing is lost. Mend the cause, then replay.",
    this.#body,
  );
  #shown = "";

  constructor(
    readonly api: Api,
    readonly tell: (correlationId: string) => void,
    readonly changed: () => void,
  ) {}

  show(letters: DeadLetter[], now: number): void {
    const shown = JSON.stringify(letters.map((each) => [each, ago(now - Date.parse(each.at))]));
    if (shown === this.#shown) return; // a button under a finger stays where it is
    this.#shown = shown;
    fill(
      this.#body,
      table(
        ["What", "Error", "#Tries", "When", "Story", ""],
        letters.map((each) => [
          each.topic ? `${each.name}: ${each.topic}` : each.name,
          each.error,
          each.attempts,
          ago(now - Date.parse(each.at)),
          this.#story(each.correlation_id),
          actionButton("small", "Replay", () => this.#replay(each)),
        ]),
        "None. What could not be done would wait here.",
        "cards",
      ),
    );
  }

  #story(id: string): HTMLElement {
    const button = h("button.link", { type: "button", title: id }, `${id.slice(0, 8)}…`);
    button.addEventListener("click", () => this.tell(id));
    return button;
  }

  async #replay(letter: DeadLetter): Promise<void> {
    const after = await this.api.post<DeadLetter>(`/dead-letters/${letter.dead_letter_id}/replay`);
    toast(`${letter.name}: ${outcome(after)}`);
    this.changed();
  }
}

/** An event is given again at once, and may fail again; a job only takes its place in the queue again. */
function outcome({ source, state, error, attempts }: DeadLetter): string {
  if (source === "job") return "it will run again.";
  return state === "done" ? "it was done." : `it failed again after ${count(attempts)} tries: ${error}.`;
}
