/** The holder of a link sees one arrival: who comes, when, and how sure that is. Nothing else, and nothing after it. */
import "../styles/tokens.css";
import "../styles/base.css";
import "../styles/parts.css";
import "../styles/map.css";
import "../styles/arrival.css";
import "./track.css";
import { Api } from "../api/client.ts";
import { config as loadConfig, type Config } from "../api/config.ts";
import { Problem } from "../api/problem.ts";
import type { Place, Share } from "../api/types.ts";
import { Arrival } from "../live/arrival.ts";
import { Link } from "../live/link.ts";
import { ArrivalMap } from "../ui/arrival_map.ts";
import { byId, h } from "../ui/dom.ts";
import { expose } from "../ui/expose.ts";
import { errorBox, ready } from "../ui/parts.ts";
import { ArrivalCard } from "./card.ts";
import { goodbye } from "./goodbye.ts";

/** The link itself is asked again this often while nobody is on the way: it may end without a leg. */
const RECHECK_MS = 30_000;
const WIDE = matchMedia("(min-width: 761px)");

async function start(): Promise<void> {
  const root = byId("app");
  const token = decodeURIComponent(location.pathname.split("/").at(-1) ?? "");
  const api = new Api(null);
  const [config, share] = await Promise.all([loadConfig(), readShare(api, token)]);
  if (share instanceof Problem) return goodbye(root, share);
  if (share.ended) return goodbye(root, new Problem(410, { code: "ended" }));
  show(root, config, api, token, share);
}

async function readShare(api: Api, token: string): Promise<Share | Problem> {
  try {
    return await api.get<Share>(`/shares/${encodeURIComponent(token)}`);
  } catch (error) {
    const problem = Problem.of(error);
    if ([404, 410].includes(problem.status)) return problem;
    throw problem;
  }
}

function show(root: HTMLElement, config: Config, api: Api, token: string, share: Share): void {
  const card = new ArrivalCard(share);
  const insets = (): { top: number; right: number; bottom: number; left: number } =>
    WIDE.matches ? { top: 80, right: 80, bottom: 80, left: 500 } : { top: 70, right: 50, bottom: 60, left: 50 };
  const link = new Link({ share: token });
  const map = new ArrivalMap(config, insets);
  ready(root, h("main.track", null, h("div.track-map", null, map.element), card.element));
  card.link(link);
  map.door(placeOf(share));

  const over = (reason: string): void => {
    link.close();
    clearInterval(checking);
    goodbye(root, new Problem(410, { code: reason === "arrived" ? "arrived" : "ended", title: reason }));
  };
  const recheck = async (): Promise<void> => {
    const now = await readShare(api, token).catch(() => null);
    if (now instanceof Problem || now?.ended) return over("ended");
    if (!now) return;
    card.share(now);
    map.door(placeOf(now));
    if (now.phase === "arrived") {
      card.phase("arrived", null);
      map.settle("arrived");
    }
  };
  const arrival = new Arrival(link, null, {
    phase: (phase, freshness) => {
      card.phase(phase, freshness);
      map.settle(phase);
    },
    position: (position) => {
      card.position(position);
      map.move(position);
    },
    ended: (reason) => {
      card.phase(reason === "arrived" ? "arrived" : "ended", null);
      map.settle("ended");
      // A reassignment ends this leg but not the link's visit; the link knows.
      setTimeout(() => void recheck(), 1_000);
    },
    refused: (problem) => {
      if (problem.code !== "booking_state") void recheck();
    },
  });
  link.onRefused = () => void recheck();
  link.onState((state) => {
    if (state === "offline") map.fade("delayed");
    card.offline(state === "offline");
  });
  const checking = setInterval(() => {
    if (card.current.phase !== "en_route" && card.current.phase !== "near") {
      void recheck();
      arrival.refresh();
    }
  }, RECHECK_MS);
  expose("track", {
    markers: () => map.markers,
    more: () => ({
      phase: card.current.phase,
      freshness: card.current.freshness,
      eta: card.current.eta,
      link: link.state,
    }),
  });
}

function placeOf({ destination }: Share): Place | null {
  return destination?.lat !== undefined && destination.lon !== undefined
    ? { lat: destination.lat, lon: destination.lon }
    : null;
}

start().catch((error: unknown) => {
  const again = h("button.button", { type: "button" }, "Try again");
  again.addEventListener("click", () => location.reload());
  ready(byId("app"), h("main.sign-in", null, errorBox(error), again));
});
