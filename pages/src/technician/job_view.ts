/** The visit that matters now: one large thing to press in every state, and everything needed to do it well. */
import type { Api } from "../api/client.ts";
import type { Booking, BookingEvent } from "../api/types.ts";
import { countdown, dayAndTime, minutes, money, time } from "../text/format.ts";
import { serviceName } from "../text/service_names.ts";
import { STATE, toneOf } from "../text/words.ts";
import { fill, h, setText } from "../ui/dom.ts";
import { icon } from "../ui/icons.ts";
import { actionButton, badge, face } from "../ui/parts.ts";
import { NOTED } from "../ui/note_sheet.ts";
import { askExtend, askReason, askTechnicianNote } from "./job_sheets.ts";

interface Options {
  api: Api;
  changed(booking: Booking): void;
}

const DECLINE = ["I am too far away", "I have no time then", "Not my kind of work", "Another reason"];
const GIVE_BACK = ["My van broke down", "The last visit takes longer", "I am not well", "Another reason"];
const NO_SHOW = ["Nobody opened the door", "The address does not exist"];

export class JobView {
  readonly element = h("article.job.panel", { "data-testid": "job" });
  readonly #options: Options;
  readonly #notes = h("ul.job-notes", { role: "list", "aria-label": "Notes", "data-testid": "job-notes", hidden: true });
  readonly #clock = h("p.job-clock.number", { "data-testid": "job-clock" });
  #booking: Booking | null = null;
  #notesOf: string | null = null;

  constructor(options: Options) {
    this.#options = options;
    setInterval(() => this.#tick(), 500);
  }

  get booking(): Booking | null {
    return this.#booking;
  }

  show(booking: Booking): void {
    if (this.#booking?.booking_id === booking.booking_id && this.#booking.version === booking.version) return;
    this.#booking = booking;
    const { customer, address, service, state } = booking;
    const name = customer?.display_name ?? "Customer";
    const errors = h("div.errors");
    this.element.dataset["state"] = state;
    fill(
      this.element,
      h(
        "header.job-head",
        null,
        badge(toneOf(state), state === "requested" ? "New request" : STATE[state]),
        this.#clock,
      ),
      h(
        "div.job-who",
        null,
        face(name, null, 44),
        h("div", null, h("h2", null, serviceName(service)), h("p.quiet", null, `${name} · ${booking.number}`)),
      ),
      h(
        "dl.facts",
        null,
        fact(
          "pin",
          address?.line1 ?? address?.area ?? "",
          [address?.city, address?.postcode].filter(Boolean).join(" "),
        ),
        fact("clock", `${dayAndTime(booking.starts_at)} – ${time(booking.ends_at)}`, ""),
        address?.notes ? fact("note", address.notes, "") : null,
        booking.price ? fact("check", money(booking.price.total), "in total, paid through Doorstep") : null,
      ),
      this.#notes,
      errors,
      h("div.job-actions", null, ...this.#actions(booking, errors)),
    );
    void this.#loadNotes(booking);
    this.#tick();
  }

  /** What customer and dispatch wrote, newest first. Without it the visit can still be done: a failure stays quiet. */
  async #loadNotes({ booking_id, customer, state }: Booking): Promise<void> {
    const other = this.#notesOf !== booking_id;
    this.#notesOf = booking_id;
    if (other) this.#notes.hidden = true;
    if (!NOTED.includes(state)) return;
    const events = await this.#options.api.list<BookingEvent>(`/bookings/${booking_id}/events`).catch(() => null);
    if (!events || this.#booking?.booking_id !== booking_id) return;
    const notes = events.filter(isForUs).reverse();
    const name = customer?.display_name ?? "Customer";
    this.#notes.hidden = notes.length === 0;
    fill(
      this.#notes,
      ...notes.map(({ at, data }) =>
        h(
          "li",
          null,
          h("span.quiet", null, `${data["author_role"] === "dispatcher" ? "Dispatch" : name} · ${time(at)}`),
          h("p", null, String(data["text"])),
        ),
      ),
    );
  }

  #actions(booking: Booking, errors: HTMLElement): (HTMLElement | null)[] {
    const main = (words: string, command: string): HTMLElement => {
      const button = actionButton("primary wide", words, () => this.#send(command), errors);
      button.dataset["testid"] = command;
      return button;
    };
    const reasoned = (words: string, command: string, title: string, reasons: string[]): HTMLElement => {
      const button = h("button.button.plain.danger", { type: "button", "data-testid": command }, words);
      button.addEventListener("click", () =>
        askReason(title, reasons, words, (reason) => this.#send(command, { reason })),
      );
      return button;
    };
    const note = (): HTMLElement => {
      const button = h("button.button", { type: "button", "data-testid": "note" }, icon("note", 18), "Write");
      button.addEventListener("click", () => askTechnicianNote(booking.state, (body) => this.#send("note", body)));
      return button;
    };
    switch (booking.state) {
      case "requested":
        return [
          main("Accept", "accept"),
          h("div.button-row", null, reasoned("Decline", "decline", "Decline this visit?", DECLINE)),
        ];
      case "accepted":
        return [
          main("I am setting off", "depart"),
          h("div.button-row", null, note(), reasoned("Give it back", "cancel", "Give this visit back?", GIVE_BACK)),
        ];
      case "en_route":
        return [
          main("I am at the door", "arrive"),
          h(
            "div.button-row",
            null,
            navigate(booking),
            note(),
            reasoned("Give it back", "cancel", "Give this visit back?", GIVE_BACK),
          ),
        ];
      case "arrived":
        return [
          main("Start the visit", "start"),
          h("div.button-row", null, note(), reasoned("Nobody home", "no-show", "Nobody home?", NO_SHOW)),
        ];
      case "in_service": {
        const extend = h("button.button", { type: "button", "data-testid": "extend" }, icon("clock", 18), "More time");
        extend.addEventListener("click", () => askExtend((more) => this.#send("extend", { minutes: more })));
        return [main("Finish the visit", "complete"), h("div.button-row", null, extend, note())];
      }
      default:
        return [];
    }
  }

  async #send(command: string, body: object = {}): Promise<void> {
    if (!this.#booking) return;
    this.#options.changed(
      await this.#options.api.command<Booking>(`/bookings/${this.#booking.booking_id}/${command}`, body),
    );
  }

  #tick(): void {
    const booking = this.#booking;
    if (!booking) return;
    setText(this.#clock, clockWords(booking));
    const urgent =
      booking.state === "requested" &&
      booking.deadline_at !== null &&
      Date.parse(booking.deadline_at) - Date.now() < 60_000;
    this.#clock.classList.toggle("urgent", urgent);
  }
}

/** A note that somebody else wrote to this technician. */
export function isForUs({ type, data }: BookingEvent): boolean {
  return type === "booking.noted" && data["author_role"] !== "technician" && typeof data["text"] === "string";
}

function clockWords(booking: Booking): string {
  const now = Date.now();
  if (booking.state === "requested" && booking.deadline_at)
    return `Answer within ${countdown(Date.parse(booking.deadline_at) - now)}`;
  if (booking.state === "accepted") {
    const left = (Date.parse(booking.starts_at) - now) / 1000;
    return left > 0 ? `starts in ${minutes(left)}` : `was due ${minutes(-left)} ago`;
  }
  if (booking.state === "arrived" && booking.deadline_at) {
    const left = Date.parse(booking.deadline_at) - now;
    return left > 0 ? `Nobody home? Wait ${countdown(left)}` : "You have waited long enough";
  }
  if (booking.state === "in_service" && booking.expected_end_at) {
    const left = (Date.parse(booking.expected_end_at) - now) / 1000;
    return left > 0 ? `${minutes(left)} left` : `${minutes(-left)} over`;
  }
  return "";
}

/** The phone's own map application finds the way better than we would. */
function navigate({ address }: Booking): HTMLElement | null {
  if (address?.lat === undefined || address.lon === undefined) return null;
  return h(
    "a.button",
    { href: `geo:${address.lat},${address.lon}?q=${address.lat},${address.lon}` },
    icon("map", 18),
    "Navigate",
  );
}

function fact(name: "pin" | "clock" | "note" | "check", words: string, more: string): HTMLElement {
  return h(
    "div",
    null,
    h("dt", null, icon(name, 18)),
    h("dd", null, h("span", null, words), more ? h("span.quiet", null, more) : null),
  );
}
