/** The last look before a visit is asked for: who, where, what it costs, and how it is paid. */
import type { Api } from "../api/client.ts";
import { Problem } from "../api/problem.ts";
import type { Booking, CancellationPolicy, Card, Discovery } from "../api/types.ts";
import { dayAndTime, decimal, money } from "../text/format.ts";
import { fill, h, setText } from "../ui/dom.ts";
import { errorBox, face, runBusy } from "../ui/parts.ts";
import { openSheet } from "../ui/sheet.ts";
import type { PlacePicker } from "./place_picker.ts";

interface Options {
  api: Api;
  discovery: Discovery;
  card: Card;
  place: PlacePicker;
  booked(booking: Booking): void;
}

/** The built-in gateway is a sandbox: no card is charged, and each way that paying can go can be tried. */
const METHODS: [value: string, words: string, hint: string][] = [
  ["sandbox_ok", "Test card", "Works at once. No money moves."],
  ["sandbox_slow", "Test card of a slow bank", "Works after a few seconds."],
  ["sandbox_declined", "Test card that is declined", "To see what happens then."],
];

export function confirmBooking({ api, discovery, card, place, booked }: Options): void {
  const { technician, price } = card;
  const at = place.value;
  if (!at) return;
  const line1 = text("line1", "Street and number", at.line1, "address-line1");
  const city = text("city", "City", at.city, "address-level2");
  const postcode = text("postcode", "Postcode", at.postcode, "postal-code");
  const notes = h("textarea.input", {
    id: "notes",
    rows: 2,
    maxlength: 500,
    placeholder: "Bell, floor, a friendly dog",
  });
  const methods = h("fieldset.methods", null, h("legend.label", null, "Payment"), ...METHODS.map(method));
  const fallback = h("input", { type: "checkbox", id: "fallback" });
  const errors = h("div.errors");
  const policy = h("p.hint", { "data-testid": "cancellation-policy" });
  const submit = h(
    "button.button.primary.wide",
    { type: "submit", "data-testid": "confirm" },
    `Ask ${technician.display_name.split(" ")[0] ?? ""} · ${money(price.total)}`,
  );
  const form = h(
    "form.confirm",
    null,
    h(
      "div.card-who",
      null,
      face(technician.display_name, technician.photo_url, 48),
      h(
        "div",
        null,
        h("h3", null, technician.display_name),
        h("p.quiet", null, `Can start ${dayAndTime(card.earliest_start)}`),
      ),
    ),
    line1.field,
    h("div.two", null, city.field, postcode.field),
    h("div.field", null, h("label", { for: "notes" }, "For the technician (optional)"), notes),
    methods,
    h("label.check", null, fallback, h("span", null, "If they cannot come, ask the next one on my list")),
    bill(card),
    policy,
    errors,
    submit,
    h("p.hint", null, "You pay after the visit. The amount is only reserved now."),
  );
  void policyWords(api, discovery, card).then((words) => setText(policy, words));
  const sheet = openSheet("Ask for this visit", form);
  sheet.element.dataset["testid"] = "confirm-sheet";
  const request = async (): Promise<void> => {
    try {
      const booking = await api.command<Booking>("/bookings", {
        match_id: discovery.match_id,
        card_id: card.card_id,
        address: {
          line1: line1.input.value.trim(),
          city: city.input.value.trim(),
          postcode: postcode.input.value.trim(),
          lat: at.lat,
          lon: at.lon,
          ...(notes.value.trim() ? { notes: notes.value.trim() } : {}),
        },
        payment_method: methods.querySelector<HTMLInputElement>("input:checked")?.value,
        fallback: fallback.checked ? "next_card" : "none",
      });
      sheet.close();
      booked(booking);
    } catch (error) {
      fill(errors, errorBox(Problem.of(error)));
    }
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    fill(errors);
    void runBusy(submit, request);
  });
}

/** What cancelling would cost, in a sentence; nothing when that cannot be told now: it is asked again before cancelling. */
async function policyWords(api: Api, { area_id }: Discovery, card: Card): Promise<string> {
  const where = area_id ? `?area_id=${area_id}` : "";
  const { in_force } = await api
    .get<{ in_force: CancellationPolicy | null }>(`/cancellation-policies${where}`)
    .catch(() => ({ in_force: null }));
  if (!in_force) return "";
  const fees = in_force.tiers.map((tier) => tier.fee_bp).filter((fee) => fee > 0);
  if (fees.length === 0) return "Cancelling is free.";
  const percent = [...new Set([Math.min(...fees), Math.max(...fees)].map((fee) => `${decimal(fee / 100, 0)} %`))].join(" to ");
  const freeUntil = Date.parse(card.earliest_start) - in_force.free_until_s * 1000;
  const from = freeUntil > Date.now() ? `until ${dayAndTime(new Date(freeUntil).toISOString())}` : "until they accept";
  return `Cancelling is free ${from}, then ${percent} of the price without tax.`;
}

function bill({ price }: Card): HTMLElement {
  const row = (words: string, amount: string): HTMLElement =>
    h("div", null, h("dt", null, words), h("dd.number", null, amount));
  return h(
    "dl.bill",
    null,
    row("Visit", money(price.base)),
    row("Travel", money(price.travel)),
    row("Tax", money(price.tax)),
    h("div.total", null, h("dt", null, "Total"), h("dd.number", null, money(price.total))),
  );
}

function method([value, words, hint]: [string, string, string], index: number): HTMLElement {
  return h(
    "label.method",
    null,
    h("input", { type: "radio", name: "method", value, checked: index === 0 }),
    h("span", null, h("strong", null, words), h("span.quiet", null, hint)),
  );
}

function text(
  id: string,
  label: string,
  value: string,
  complete: string,
): { field: HTMLElement; input: HTMLInputElement } {
  const input = h("input.input", { id, name: id, value, autocomplete: complete, required: true, maxlength: 200 });
  return { field: h("div.field", null, h("label", { for: id }, label), input), input };
}
