/** Who can come, and why in this order: a face, reasons in words, what is known of the licence, one price. */
import type { Api } from "../api/client.ts";
import type { Card, Discovery } from "../api/types.ts";
import { count, date, dayAndTime, decimal, distance, minutes, money, month } from "../text/format.ts";
import { sentence } from "../text/words.ts";
import { h } from "../ui/dom.ts";
import { icon } from "../ui/icons.ts";
import { face } from "../ui/parts.ts";
import { showCredentials } from "./credentials.ts";

interface Options {
  api: Api;
  discovery: Discovery;
  service: string;
  choose(card: Card): void;
}

export function cardList(options: Options): HTMLElement {
  const { api, discovery } = options;
  const list = h("ol.cards", null, ...discovery.cards.map((card) => cardItem(card, options)));
  reportSeen(api, discovery, list);
  return list;
}

function cardItem(card: Card, { api, discovery, service, choose }: Options): HTMLElement {
  const { technician, trust, price } = card;
  const pick = h(
    "button.button.primary",
    { type: "button", "data-testid": "choose" },
    `Choose ${technician.display_name.split(" ")[0] ?? ""}`,
  );
  pick.addEventListener("click", () => {
    report(api, discovery, card, "opened");
    choose(card);
  });
  const papers = h(
    "button.button.plain.small.papers",
    { type: "button", "data-testid": "credentials" },
    icon("shield", 18),
    trust.status === "expiring" ? "Licence ends soon" : "Licence checked",
  );
  papers.addEventListener("click", () => {
    report(api, discovery, card, "credentials");
    showCredentials(api, { technician, jurisdiction: discovery.jurisdiction ?? "", service });
  });
  return h(
    "li.card.panel",
    { "data-testid": "card", "data-card-id": card.card_id },
    h(
      "div.card-who",
      null,
      face(technician.display_name, technician.photo_url, 52),
      h("div", null, h("h3", null, technician.display_name), reputation(card)),
      h("p.card-price.number", null, money(price.total), h("span.quiet", null, "in total")),
    ),
    h(
      "ul.why",
      { "aria-label": "Why this technician" },
      ...card.why.map((reason) => h("li", null, icon("check", 16), reason)),
    ),
    fits(card),
    h(
      "dl.card-facts",
      null,
      small("Can start", dayAndTime(card.earliest_start)),
      small("On the way", `about ${minutes(card.eta_s)}`),
      small("Distance", `within ${distance(card.distance_m)}`),
    ),
    h("div.card-end", null, papers, h("span.quiet", null, trustWords(card)), pick),
  );
}

function reputation({ technician }: Card): HTMLElement {
  const { rating, rating_count, jobs_completed, member_since } = technician;
  const stars =
    rating === null
      ? h("span", null, "New here")
      : h("span.stars.number", null, icon("star", 14), `${decimal(rating)} (${count(rating_count)})`);
  return h(
    "p.card-rep.quiet",
    null,
    stars,
    h("span", null, `${count(jobs_completed)} visits`),
    h("span", null, `since ${month(member_since)}`),
  );
}

function fits({ experience_fit }: Card): HTMLElement | null {
  if (!experience_fit.matched.length) return null;
  return h(
    "p.fits",
    null,
    ...experience_fit.matched.map((wish) => h("span.badge", { "data-tone": "arrived" }, sentence(wish))),
  );
}

function trustWords({ trust }: Card): string {
  const parts = [trust.verified_on ? `Verified ${date(trust.verified_on)}` : (trust.signals[0] ?? "")];
  if (trust.status === "expiring" && trust.expires_on) parts.push(`until ${date(trust.expires_on)}`);
  return parts.filter(Boolean).join(" · ");
}

function small(term: string, value: string): HTMLElement {
  return h("div", null, h("dt", null, term), h("dd.number", null, value));
}

/** Tells the funnel which cards were in sight, each once; a failure here is nobody's concern. */
function reportSeen(api: Api, discovery: Discovery, list: HTMLElement): void {
  const byElement = new Map([...list.children].map((element, index) => [element, discovery.cards[index] as Card]));
  const observer = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        const card = byElement.get(target);
        if (!isIntersecting || !card) continue;
        observer.unobserve(target);
        report(api, discovery, card, "seen");
      }
    },
    { threshold: 0.6 },
  );
  for (const element of byElement.keys()) observer.observe(element);
}

function report(api: Api, { match_id }: Discovery, { card_id }: Card, kind: "seen" | "opened" | "credentials"): void {
  api.post(`/matches/${match_id}/views`, { card_id, kind }).catch(() => undefined);
}
