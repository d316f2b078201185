/** What a customer can do about a visit now: share it, cancel it, rate it, or book another. */
import type { Api } from "../api/client.ts";
import type { Booking, CancellationCost, ShareLink } from "../api/types.ts";
import { dayAndTime, money } from "../text/format.ts";
import { fill, h, setText } from "../ui/dom.ts";
import { icon } from "../ui/icons.ts";
import { NOTED, askNote } from "../ui/note_sheet.ts";
import { actionButton, runBusy, toast } from "../ui/parts.ts";
import { openSheet } from "../ui/sheet.ts";

interface Hooks {
  rated: boolean;
  onRated(): void;
  changed(booking: Booking): void;
}

const TIPS = [0, 500, 1000, 2000];

export function visitActions(api: Api, booking: Booking, hooks: Hooks): HTMLElement[] {
  const { state } = booking;
  if (state === "completed")
    return hooks.rated ? [again("Thank you. Book again")] : [rating(api, booking, hooks), again("Book again")];
  if (["declined", "expired", "cancelled", "no_show"].includes(state)) return [again("Find somebody else")];
  const mayLeave = ["requested", "accepted", "en_route"].includes(state);
  const parts = [
    mayLeave ? share(api, booking) : null,
    NOTED.includes(state) ? write(api, booking, hooks) : null,
    mayLeave ? cancel(api, booking, hooks) : null,
  ];
  return [h("div.button-row", null, ...parts)];
}

function write(api: Api, booking: Booking, { changed }: Hooks): HTMLElement {
  const button = h("button.button", { type: "button", "data-testid": "note" }, icon("note", 18), "Write");
  const words = {
    title: "Write to your technician",
    reader: "Which door, which bell, where to park",
    before: [
      { text: "I am a few minutes late", kind: "late" as const },
      { text: "Please ring twice", kind: "access" as const },
      { text: "Please park in the driveway", kind: "access" as const },
    ],
    during: ["Please call me when you are done", "I am back in ten minutes"],
  };
  button.addEventListener("click", () =>
    askNote(booking.state, words, async (body) =>
      changed(await api.command<Booking>(`/bookings/${booking.booking_id}/note`, body)),
    ),
  );
  return button;
}

function again(words: string): HTMLElement {
  return h("a.button.wide", { href: "#" }, words);
}

function share(api: Api, booking: Booking): HTMLElement {
  const button = h("button.button", { type: "button", "data-testid": "share" }, icon("share", 18), "Share the arrival");
  button.addEventListener(
    "click",
    () =>
      void runBusy(button, async () => {
        const { url } = await api.post<ShareLink>(`/bookings/${booking.booking_id}/share`, {
          recipient_label: "a guest",
        });
        showLink(new URL(url, location.origin).href);
      }),
  );
  return button;
}

function showLink(url: string): void {
  const field = h("input.input", { value: url, readonly: true, "aria-label": "Link", "data-testid": "share-url" });
  const copy = actionButton("primary", "Copy the link", async () => {
    field.select();
    await navigator.clipboard.writeText(url);
    toast("Copied. The link ends with the visit.");
  });
  openSheet(
    "Share the arrival",
    h(
      "p.quiet",
      null,
      "Whoever has this link sees when your technician arrives, and nothing else. It ends with the visit; a new link replaces the old one.",
    ),
    field,
    copy,
  );
  field.select();
}

function cancel(api: Api, booking: Booking, { changed }: Hooks): HTMLElement {
  const button = h("button.button.plain.danger", { type: "button", "data-testid": "cancel" }, "Cancel the visit");
  button.addEventListener("click", () => {
    const errors = h("div.errors");
    const reason = h(
      "select.input",
      { id: "reason" },
      ...["My plans changed", "It takes too long", "It is solved already", "Another reason"].map((words) =>
        h("option", null, words),
      ),
    );
    const cost = h("p.quiet", { "data-testid": "cancel-cost", "aria-live": "polite" }, "Asking what that costs …");
    void costWords(api, booking).then((words) => setText(cost, words));
    const sure = actionButton(
      "danger wide",
      "Cancel this visit",
      async () => {
        changed(await api.command<Booking>(`/bookings/${booking.booking_id}/cancel`, { reason: reason.value }));
        sheet.close();
      },
      errors,
    );
    sure.dataset["testid"] = "cancel-sure";
    const sheet = openSheet(
      "Cancel this visit?",
      cost,
      h("div.field", null, h("label", { for: "reason" }, "Why?"), reason),
      errors,
      sure,
    );
  });
  return button;
}

async function costWords(api: Api, booking: Booking): Promise<string> {
  try {
    const { fee, free_until } = await api.get<CancellationCost>(`/bookings/${booking.booking_id}/cancellation`);
    if (fee.amount > 0) return `${money(fee)} of the price is kept as a fee.`;
    return free_until && booking.state === "accepted"
      ? `Cancelling is free until ${dayAndTime(free_until)}.`
      : "Cancelling is free now.";
  } catch {
    return "Close to the visit, or once they are on the way, part of the price may be kept as a fee.";
  }
}

function rating(api: Api, booking: Booking, { onRated }: Hooks): HTMLElement {
  const errors = h("div.errors");
  const stars = h("fieldset.rate-stars", null, h("legend.label", null, "How was it?"), ...[1, 2, 3, 4, 5].map(star));
  const comment = h("textarea.input", {
    rows: 2,
    maxlength: 1000,
    placeholder: "A word for them (optional)",
    "aria-label": "Comment",
  });
  const currency = booking.price?.total.currency ?? "USD";
  const tips = h(
    "fieldset.chips",
    null,
    h("legend.label", null, "A tip?"),
    ...TIPS.map((amount, index) =>
      h(
        "label.chip",
        null,
        h("input.unseen", { type: "radio", name: "tip", value: amount, checked: index === 0 }),
        amount ? money({ amount, currency }) : "No tip",
      ),
    ),
  );
  const send = actionButton(
    "primary wide",
    "Send",
    async () => {
      const chosen = stars.querySelector<HTMLInputElement>("input:checked");
      if (!chosen) return fill(errors, h("p.hint", { role: "alert" }, "Choose one to five stars."));
      const tip = Number(tips.querySelector<HTMLInputElement>("input:checked")?.value ?? 0);
      await api.command(`/bookings/${booking.booking_id}/rate`, {
        stars: Number(chosen.value),
        ...(comment.value.trim() ? { comment: comment.value.trim() } : {}),
        ...(tip ? { tip: { amount: tip, currency } } : {}),
      });
      onRated();
    },
    errors,
  );
  send.dataset["testid"] = "rate";
  return h("div.rating.panel", { "data-testid": "rating" }, stars, tips, comment, errors, send);
}

function star(value: number): HTMLElement {
  return h(
    "label",
    null,
    h("input.unseen", { type: "radio", name: "stars", value, "data-testid": `star-${value}` }),
    icon("star", 28),
    h("span.unseen", null, `${value} of 5`),
  );
}
