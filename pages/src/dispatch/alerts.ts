/** What needs a person, newest first, in one quiet strip over the map. */
import type { Api } from "../api/client.ts";
import type { Alert } from "../api/types.ts";
import { ago } from "../text/format.ts";
import { alertWords } from "../text/words.ts";
import { fill, h } from "../ui/dom.ts";
import { icon } from "../ui/icons.ts";
import { runBusy } from "../ui/parts.ts";
import type { Visits } from "./visits.ts";

const SHOWN = 3;

export class AlertStrip {
  readonly element = h("section.alerts", { "aria-label": "Alerts", "data-testid": "alerts", hidden: true });
  #key = "";

  constructor(
    readonly api: Api,
    readonly mayAcknowledge: boolean,
    readonly choose: (bookingId: string) => void,
  ) {}

  show(visits: Visits): void {
    const alerts = visits.alerts.filter((alert) => visits.byId.has(alert.booking_id));
    const key = alerts.map((alert) => alert.alert_id).join();
    if (key === this.#key) return;
    this.#key = key;
    this.element.hidden = alerts.length === 0;
    const more = alerts.length - SHOWN;
    fill(
      this.element,
      h("ul", { role: "list" }, ...alerts.slice(0, SHOWN).map((alert) => this.#item(alert, visits))),
      more > 0 ? h("p.more", null, `and ${more} more under “Trouble”`) : null,
    );
  }

  #item(alert: Alert, visits: Visits): HTMLElement {
    const booking = visits.byId.get(alert.booking_id)?.booking;
    const who = booking?.technician?.display_name ?? booking?.number ?? "";
    const open = h(
      "button.alert",
      { type: "button", "data-testid": "alert" },
      icon("alert", 18),
      h("strong", null, alertWords(alert.kind)),
      h("span.who", null, who),
      h("time.quiet", { datetime: alert.at }, ago(Date.now() - Date.parse(alert.at))),
    );
    open.addEventListener("click", () => this.choose(alert.booking_id));
    const item = h("li", null, open);
    if (this.mayAcknowledge) item.append(this.#acknowledge(alert));
    return item;
  }

  #acknowledge(alert: Alert): HTMLElement {
    const button = h(
      "button.button.plain.small.icon",
      { type: "button", "aria-label": `Acknowledge: ${alertWords(alert.kind)}`, title: "Acknowledge" },
      icon("check", 18),
    );
    button.addEventListener(
      "click",
      () =>
        void runBusy(button, async () => {
          await this.api.post(`/alerts/${alert.alert_id}/acknowledge`);
          button.closest("li")?.remove();
        }),
    );
    return button;
  }
}
