/** What needs a person, newest first, in one quiet strip over the map. */
import type { Api } from "../api/client.ts";
import type { Alert } from "../api/types.ts";
import { ago, minutes } from "../text/format.ts";
import { alertDetail, alertWords } from "../text/words.ts";
import { fill, h } from "../ui/dom.ts";
import { icon } from "../ui/icons.ts";
import { runBusy } from "../ui/parts.ts";
import type { Visits } from "./visits.ts";

const SHOWN = 3;
const NARROW = matchMedia("(max-width: 760px)");
const SNOOZE_MIN = 15;
/** A city has many of them, and none is urgent: more than one are one line. */
const LICENCES = "credential_expiring";

interface Item {
  alert: Alert;
  who: string;
  /** The visit to open, if it is on the list. */
  opens: string | null;
}

export class AlertStrip {
  readonly element = h("section.alerts", { "aria-label": "Alerts", "data-testid": "alerts", hidden: true });
  #key = "";
  #all = false;

  constructor(
    readonly api: Api,
    readonly mayAcknowledge: boolean,
    readonly choose: (bookingId: string) => void,
    readonly took: (alert: Alert) => void,
  ) {}

  show(visits: Visits): void {
    const { alerts } = visits;
    const licences = alerts.filter((alert) => alert.kind === LICENCES).sort((a, b) => daysLeft(a) - daysLeft(b));
    const items = alerts.filter((alert) => alert.kind !== LICENCES).map((alert) => itemOf(alert, visits));
    if (licences.length === 1 && licences[0]) items.push(itemOf(licences[0], visits));
    const minute = Math.floor(Date.now() / 60_000);
    const most = this.#all ? items.length : NARROW.matches ? 1 : SHOWN;
    const key = [minute, most, licences.length, ...items.map(({ alert, who, opens }) => `${alert.alert_id} ${who} ${opens}`)].join();
    if (key === this.#key) return;
    this.#key = key;
    this.element.hidden = alerts.length === 0;
    this.element.classList.toggle("all", this.#all);
    fill(
      this.element,
      h("ul", { role: "list" }, ...items.slice(0, most).map((item) => this.#item(item))),
      this.#more(items.length - most, visits),
      licences.length > 1 && licences[0]
        ? h(
            "p.more",
            { "data-testid": "licences" },
            `${licences.length} licences to renew, first: ${alertDetail(licences[0])}`,
          )
        : null,
    );
  }

  /** Opens the rest, and shuts it again. */
  #more(rest: number, visits: Visits): HTMLElement | null {
    if (rest <= 0 && !this.#all) return null;
    const words = this.#all ? "Show fewer" : `and ${rest} more`;
    const button = h("button.more", { type: "button", "aria-expanded": String(this.#all), "data-testid": "more-alerts" }, words);
    button.addEventListener("click", () => {
      this.#all = !this.#all;
      this.show(visits);
      this.element.querySelector<HTMLElement>("button.more")?.focus();
    });
    return button;
  }

  /** A visit that is known opens with a press; what is about somebody's licence, or about a visit that is over, cannot. */
  #item({ alert, who, opens }: Item): HTMLElement {
    const words = [
      icon("alert", 18),
      h("strong", null, alertWords(alert)),
      h("span.who", null, who),
      h("time.quiet", { datetime: alert.at }, ago(Date.now() - Date.parse(alert.at))),
    ];
    const seen = { "data-testid": "alert", "data-kind": alert.kind, "data-booking-id": alert.booking_id };
    const open = opens ? h("button.alert", { type: "button", ...seen }, ...words) : h("div.alert", seen, ...words);
    if (opens) open.addEventListener("click", () => this.choose(opens));
    const item = h("li", null, open);
    if (this.mayAcknowledge) item.append(this.#snooze(alert), this.#acknowledge(alert));
    return item;
  }

  #acknowledge(alert: Alert): HTMLElement {
    return this.#command(alert, "check", "Acknowledge", "acknowledge", {});
  }

  #snooze(alert: Alert): HTMLElement {
    const words = `Snooze for ${minutes(SNOOZE_MIN * 60)}`;
    return this.#command(alert, "clock", words, "snooze", { minutes: SNOOZE_MIN });
  }

  #command(alert: Alert, sign: "check" | "clock", words: string, path: string, body: object): HTMLElement {
    const button = h(
      "button.button.plain.small.icon",
      { type: "button", "aria-label": `${words}: ${alertWords(alert)}`, title: words, "data-testid": path },
      icon(sign, 18),
    );
    button.addEventListener(
      "click",
      () =>
        void runBusy(button, async () => this.took(await this.api.post<Alert>(`/alerts/${alert.alert_id}/${path}`, body))),
    );
    return button;
  }
}

function itemOf(alert: Alert, visits: Visits): Item {
  const booking = alert.booking_id ? visits.byId.get(alert.booking_id)?.booking : undefined;
  if (!booking) return { alert, who: alertDetail(alert), opens: null };
  return { alert, who: booking.technician?.display_name ?? booking.number, opens: booking.booking_id };
}

function daysLeft({ data }: Alert): number {
  return typeof data["days_left"] === "number" ? data["days_left"] : 0;
}
