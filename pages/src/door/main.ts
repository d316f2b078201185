/** The front door: what this is, where it leads, and (in a demo) the city as it moves right now. */
import "../styles/tokens.css";
import "../styles/base.css";
import "../styles/parts.css";
import "../styles/map.css";
import "./door.css";
import { config as loadConfig, type Config, type DemoAccount } from "../api/config.ts";
import { sentence } from "../text/words.ts";
import { byId, h } from "../ui/dom.ts";
import { expose } from "../ui/expose.ts";
import { icon, mark, type IconName } from "../ui/icons.ts";
import { errorBox, ready } from "../ui/parts.ts";

interface Room {
  path: string;
  title: string;
  text: string;
  icon: IconName;
  /** The demo account that fits; rooms without one need no sign-in. */
  role?: string;
  /** Only shown when this server has it. */
  optional?: boolean;
}

const ROOMS: Room[] = [
  {
    path: "/dispatch",
    title: "Dispatch",
    text: "Every active visit on one live map, with who is late and who is lost.",
    icon: "map",
    role: "dispatcher",
  },
  {
    path: "/book",
    title: "Book a visit",
    text: "Find who may come, see why and on what licence, then watch them arrive.",
    icon: "pin",
    role: "customer",
  },
  {
    path: "/technician",
    title: "Technician",
    text: "Today's visits for one thumb: accept, set off, arrive, finish.",
    icon: "wrench",
    role: "technician",
  },
  {
    path: "/founder",
    title: "Founder",
    text: "The business on one page: funnel, answers, payouts, trust.",
    icon: "star",
    role: "founder",
    optional: true,
  },
  {
    path: "/support",
    title: "Support",
    text: "One story of one visit, from the first request to the last cent.",
    icon: "people",
    role: "support",
    optional: true,
  },
  {
    path: "/system",
    title: "System",
    text: "How the house stands: stores, queues, jobs, and the story of any request.",
    icon: "signal",
    role: "founder",
    optional: true,
  },
  {
    path: "/docs",
    title: "API",
    text: "Every operation and every shape, generated from what validates them.",
    icon: "book",
    optional: true,
  },
];

async function start(): Promise<void> {
  const config = await loadConfig();
  const live = h("div.door-live", { "aria-label": "The city now", role: "group" });
  ready(
    byId("app"),
    h(
      "main.door",
      null,
      h(
        "header.door-head",
        null,
        h(
          "div.door-words",
          null,
          mark(48),
          h("h1", null, "Somebody good is on the way."),
          h(
            "p",
            null,
            "Doorstep is a marketplace for home services: it finds who may come, by licence, place and time, and shows the visit live from the request to the doorstep.",
          ),
        ),
        config.demo ? live : null,
      ),
      h("nav.rooms", { "aria-label": "Pages" }, ...roomsOf(config).map((room) => roomCard(room, config))),
      config.accounts ? accounts(config.accounts) : null,
      h("footer.door-foot.quiet", null, "Map data © OpenStreetMap contributors"),
    ),
  );
  const dispatcher = config.accounts?.find(({ role }) => role === "dispatcher");
  if (!config.demo || !dispatcher) return expose("door", {});
  // The map is the heaviest part of this page and the least needed: the door opens first.
  const { showCity } = await import("./city.ts");
  await showCity(live, config, dispatcher);
}

function roomsOf({ paths }: Config): Room[] {
  return ROOMS.filter(({ path, optional }) => !optional || paths.includes(path));
}

function roomCard({ path, title, text, icon: name, role }: Room, config: Config): HTMLElement {
  const account = config.accounts?.find((candidate) => candidate.role === role);
  return h(
    "a.room.panel",
    { href: account ? `${path}#demo` : path, "data-testid": `room-${path.slice(1)}` },
    h("span.room-icon", null, icon(name, 22)),
    h("strong", null, title),
    h("span.quiet", null, text),
    h("span.room-go", null, account ? `Enter as ${account.role}` : "Open", icon("forward", 16)),
  );
}

function accounts(list: DemoAccount[]): HTMLElement {
  const password = list[0]?.password ?? "";
  return h(
    "section.accounts",
    { "aria-label": "Demo accounts" },
    h("h2", null, "Demo accounts"),
    h("p.quiet", null, "All with the password ", h("code", null, password), ". The simulated city leaves them to you."),
    h(
      "ul",
      null,
      ...list.map(({ role, email }) => h("li", null, h("span", null, sentence(role)), h("code", null, email))),
    ),
  );
}

start().catch((error: unknown) => ready(byId("app"), h("main.sign-in", null, errorBox(error))));
