/** Book: from a wish to a person at the door, on one page. A visit that is under way is where the page opens. */
import "../styles/tokens.css";
import "../styles/base.css";
import "../styles/parts.css";
import "../styles/map.css";
import "../styles/arrival.css";
import "./book.css";
import { Api } from "../api/client.ts";
import { config as loadConfig } from "../api/config.ts";
import { Session } from "../api/session.ts";
import type { Booking } from "../api/types.ts";
import { BookingFeed } from "../live/booking_feed.ts";
import { Link } from "../live/link.ts";
import { learnServiceNames } from "../text/service_names.ts";
import { byId, h } from "../ui/dom.ts";
import { expose } from "../ui/expose.ts";
import { icon } from "../ui/icons.ts";
import { brand, errorBox, linkState, ready } from "../ui/parts.ts";
import { endSession, signedIn } from "../ui/sign_in.ts";
import { FindView } from "./find.ts";
import { OwnVisits } from "./own_visits.ts";
import { VisitView } from "./visit.ts";

async function start(): Promise<void> {
  const root = byId("app");
  const [config] = await Promise.all([loadConfig(), learnServiceNames()]);
  const session = new Session("book");
  await signedIn(root, {
    session,
    config,
    role: "customer",
    title: "Book a visit",
    text: "Sign in to see who can come, and when.",
    mayRegister: true,
  });
  const api = new Api(session);
  const link = new Link(session);
  link.onRefused = (problem) => endSession(session, problem);
  session.onEnd = link.onRefused;

  const stage = h("main.book-stage", { id: "stage" });
  const out = h(
    "button.button.plain.small.icon",
    { type: "button", "aria-label": `Sign out ${session.email ?? ""}`, title: `Sign out ${session.email ?? ""}` },
    icon("out", 18),
  );
  out.addEventListener("click", () => void session.signOut().then(() => location.reload()));
  ready(root, h("header.top", null, brand("Book a visit"), h("span.spacer"), linkState(link), out), stage);

  const own = new OwnVisits((booking) => open(booking.booking_id));
  let view: VisitView | null = null;
  let find: FindView | null = null;

  const open = (bookingId: string): void => {
    location.hash = `visit/${bookingId}`;
  };
  const route = async (): Promise<void> => {
    const [, bookingId] = /^#visit\/([\w-]+)$/.exec(location.hash) ?? [];
    view?.close();
    view = null;
    if (!bookingId) {
      find = new FindView({ api, config, own, booked: (booking) => open(booking.booking_id) });
      stage.replaceChildren(find.element);
      return;
    }
    find = null;
    const booking = own.get(bookingId) ?? (await api.get<Booking>(`/bookings/${bookingId}`));
    view = new VisitView({ api, config, link, booking, leave: () => (location.hash = "") });
    stage.replaceChildren(view.element);
    scrollTo(0, 0);
  };
  const routeOrSay = (): void =>
    void route().catch((error: unknown) =>
      stage.replaceChildren(errorBox(error), h("a.button", { href: "/book" }, "Start over")),
    );
  addEventListener("hashchange", routeOrSay);

  const feed = new BookingFeed(link, {
    refetch: async () => {
      own.replace((await api.get<{ items: Booking[] }>("/bookings?limit=20")).items);
      const now = view && own.get(view.bookingId);
      if (now) view?.take(now);
    },
    event: ({ booking }) => {
      own.put(booking);
      if (booking.booking_id === view?.bookingId) view.take(booking);
    },
  });
  routeOrSay();
  expose("book", {
    markers: () => view?.markers ?? new Map(),
    more: () => ({
      view: view ? "visit" : "find",
      ...(view?.facts ?? find?.facts ?? {}),
      link: link.state,
      feed: feed.cursor,
    }),
  });
}

start().catch((error: unknown) => ready(byId("app"), h("main.sign-in", null, errorBox(error))));
