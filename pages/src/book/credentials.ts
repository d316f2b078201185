/** The licences behind a face: what the place demands, how each stands, and where to look it up oneself. */
import type { Api } from "../api/client.ts";
import type { CredentialItem, CredentialView, TechnicianFace } from "../api/types.ts";
import { date } from "../text/format.ts";
import { serviceName } from "../text/service_names.ts";
import { sentence } from "../text/words.ts";
import { fill, h } from "../ui/dom.ts";
import { badge, errorBox, face } from "../ui/parts.ts";
import { openSheet } from "../ui/sheet.ts";

interface Wanted {
  technician: TechnicianFace;
  jurisdiction: string;
  service: string;
}

const TONES: Record<string, string> = {
  active: "completed",
  expiring: "near",
  not_required: "stale",
  pending: "waiting",
  unverified: "waiting",
};
const WORDS: Record<string, string> = {
  active: "Valid",
  expiring: "Ends soon",
  not_required: "Not required here",
  unverified: "Not verified",
};

export function showCredentials(api: Api, { technician, jurisdiction, service }: Wanted): void {
  const sheet = openSheet("Licences", h("p.skeleton", null, "Reading the licences"), h("p.skeleton", null, "…"));
  sheet.element.dataset["testid"] = "credential-view";
  const query = `jurisdiction=${encodeURIComponent(jurisdiction)}&service=${encodeURIComponent(service)}`;
  api.get<CredentialView>(`/technicians/${technician.technician_id}/credentials?${query}`).then(
    (view) => fill(sheet.body, ...content(view)),
    (error: unknown) => fill(sheet.body, errorBox(error)),
  );
}

function content(view: CredentialView): HTMLElement[] {
  const who = view.technician;
  const head = h(
    "div.card-who",
    null,
    face(who.display_name, who.photo_url, 56),
    h(
      "div",
      null,
      h("h3", null, who.display_name),
      h("p.quiet", null, `For ${serviceName(view.service).toLowerCase()} in ${view.jurisdiction_name}`),
    ),
  );
  const items = view.items.length
    ? h("ul.licences", null, ...view.items.map(licence))
    : h(
        "p.quiet",
        null,
        view.rules_known
          ? "No licence is required for this service here."
          : "The rules of this place are not known to us, so nobody is offered here.",
      );
  const complaint = view.complaint_contact ? h("p.hint", null, `Complaints: ${view.complaint_contact}`) : null;
  return [head, items, ...(complaint ? [complaint] : [])];
}

function licence(item: CredentialItem): HTMLElement {
  const rows: [string, string | null][] = [
    ["Number", item.number],
    ["Board", item.issuing_board],
    ["Issued", item.issued_on && date(item.issued_on)],
    ["Valid until", item.expires_on && date(item.expires_on)],
    ["Verified", [item.verified_on && date(item.verified_on), item.verified_how].filter(Boolean).join(" · ") || null],
    ["Next check", item.next_check_on && date(item.next_check_on)],
  ];
  return h(
    "li",
    null,
    h(
      "div.licence-head",
      null,
      h("strong", null, item.title),
      badge(TONES[item.status] ?? "danger", WORDS[item.status] ?? sentence(item.status)),
    ),
    h("p.quiet", null, `${sentence(item.level)} · ${item.jurisdiction_name}`),
    h(
      "dl.card-facts.licence-facts",
      null,
      ...rows
        .filter(([, value]) => value)
        .map(([term, value]) => h("div", null, h("dt", null, term), h("dd", null, value))),
    ),
    item.notice ? h("p.hint", null, item.notice) : null,
    item.lookup_url
      ? h("a", { href: item.lookup_url, target: "_blank", rel: "noopener noreferrer" }, "Look it up at the board")
      : null,
  );
}
