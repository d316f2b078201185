/** Dispatch: one map, one list, one drawer, all of the same truth. REST gives it, sockets keep it true. */
import "../styles/tokens.css";
import "../styles/base.css";
import "../styles/parts.css";
import "../styles/map.css";
import "./dispatch.css";
import { Api } from "../api/client.ts";
import { config as loadConfig, type Config } from "../api/config.ts";
import { Session } from "../api/session.ts";
import type { Alert, Booking } from "../api/types.ts";
import { BookingFeed } from "../live/booking_feed.ts";
import { Fleet } from "../live/fleet.ts";
import { Link } from "../live/link.ts";
import { PresenceWatch } from "../live/presence.ts";
import { expose } from "../ui/expose.ts";
import { time } from "../text/format.ts";
import { learnServiceNames } from "../text/service_names.ts";
import { byId, h, setText } from "../ui/dom.ts";
import { errorBox, ready } from "../ui/parts.ts";
import { endSession, signedIn } from "../ui/sign_in.ts";
import { AlertStrip } from "./alerts.ts";
import { Drawer } from "./drawer.ts";
import { MapPane } from "./map_pane.ts";
import { SidePane } from "./side_pane.ts";
import { ACTIVE, Visits } from "./visits.ts";

/** ETAs and ages are words about time: they are said anew this often even when nothing arrives. */
const SECOND_MS = 1_000;

async function start(): Promise<void> {
  const root = byId("app");
  const [config] = await Promise.all([loadConfig(), learnServiceNames()]);
  const session = new Session("dispatch");
  await signedIn(root, {
    session,
    config,
    role: "dispatcher",
    title: "Dispatch",
    text: "Every active visit of your areas, live.",
  });
  run(root, config, session);
}

function run(root: HTMLElement, config: Config, session: Session): void {
  const api = new Api(session);
  const link = new Link(session);
  link.onRefused = (problem) => endSession(session, problem);
  session.onEnd = link.onRefused;
  const visits = new Visits();
  let chosen: string | null = null;

  const choose = (id: string | null): void => {
    chosen = id;
    const visit = id ? (visits.byId.get(id) ?? null) : null;
    side.list.select(visit?.id ?? null);
    map.choose(visit);
    map.follow(visit);
    if (visit) drawer.show(visit);
    else drawer.hide();
    document.body.classList.toggle("has-drawer", visit !== null);
    history.replaceState(null, "", visit ? `#${visit.id}` : location.pathname);
  };
  const side = new SidePane({
    session,
    link,
    choose,
    point: (id) => map.layer?.hover(id),
    filtered: (ids) => map.layer?.emphasise(ids),
  });
  const map: MapPane = new MapPane({
    config,
    choose,
    followChanged: (on) => drawer.following(on),
    hovered: (id) => side.pointAt(id),
  });
  const drawer: Drawer = new Drawer({
    api,
    close: () => choose(null),
    follow: (on) => map.follow(on && chosen ? (visits.byId.get(chosen) ?? null) : null),
  });
  const mayAcknowledge = config.paths.some((path) => path.endsWith("/acknowledge"));
  const alerts = new AlertStrip(api, mayAcknowledge, choose, (alert) => {
    visits.alert(alert);
    redrawSoon();
  });
  const away = h("p.away", { role: "status", "data-testid": "away", hidden: true });
  ready(
    root,
    h("main.dispatch", null, side.element, h("div.stage", null, map.element, away, alerts.element, drawer.element)),
  );
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && chosen) choose(null);
    if (event.key === "/" && !(event.target instanceof HTMLInputElement)) {
      event.preventDefault();
      side.focusSearch();
    }
  });

  const redraw = (): void => {
    side.show(visits);
    alerts.show(visits);
    drawer.update();
  };
  let due = 0;
  const redrawSoon = (): void => {
    due ||= requestAnimationFrame(() => {
      due = 0;
      redraw();
    });
  };
  setInterval(redrawSoon, SECOND_MS);
  side.element.addEventListener("refilter", redraw);

  const take = (booking: Booking): void => {
    visits.put(booking);
    if (booking.booking_id === chosen && !visits.byId.has(booking.booking_id)) drawer.settle(booking.state);
    redrawSoon();
  };
  const feed = new BookingFeed(link, {
    refetch: async () => {
      try {
        visits.replace(await activeBookings(api, config));
        side.loaded(null);
        if (!chosen && location.hash.length > 1) openFromAddress();
      } catch (error) {
        side.loaded(errorBox(error));
        throw error;
      } finally {
        redrawSoon();
      }
    },
    caughtUp: async () => {
      const askedAt = performance.now();
      visits.allAlerts(await api.list<Alert>("/alerts?state=raised", 200), askedAt);
      redrawSoon();
    },
    event: (event) => take(event.booking),
    alert: (alert) => {
      visits.alert(alert);
      redrawSoon();
    },
  });
  const openFromAddress = (): void => {
    const id = location.hash.slice(1);
    if (visits.byId.has(id)) choose(id);
  };
  const fleet = new Fleet(link, {
    all: (movers) => {
      const ids = new Set(movers.map((mover) => mover.bookingId));
      visits.keepMoving(ids);
      visits.move(movers);
      map.all(movers);
      redrawSoon();
    },
    moved: (movers) => {
      visits.move(movers);
      map.moved(movers);
    },
    gone: (ids) => {
      visits.stop(ids);
      map.gone(ids);
      redrawSoon();
    },
    refused: (problem) => {
      link.close();
      endSession(session, problem);
    },
  });
  const presence = new PresenceWatch(link, (counts) => side.presence(counts));
  link.onState((state) => {
    document.body.dataset["link"] = state;
    away.hidden = state !== "offline";
    if (state !== "offline") return;
    setText(away, `Reconnecting. This is how it was at ${time(Date.now())}.`);
    visits.fade();
    map.layer?.freezeAll("delayed");
    redrawSoon();
  });
  expose("dispatch", {
    markers: () => map.layer?.markers ?? new Map(),
    more: () => ({
      gaps: fleet.gaps,
      link: link.state,
      visits: visits.byId.size,
      chosen,
      presence: presence.counts,
      feed: feed.cursor,
      etas_s: visits.etas(),
      in_sight: map.inSight,
      zoom: map.map?.getZoom() ?? null,
    }),
  });
}

async function activeBookings(api: Api, config: Config): Promise<Booking[]> {
  if (config.paths.includes("/v1/dispatch/active")) return api.list<Booking>("/dispatch/active");
  return api.list<Booking>(`/bookings?state=${ACTIVE.join(",")}`);
}

start().catch((error: unknown) => ready(byId("app"), h("main.sign-in", null, errorBox(error))));
