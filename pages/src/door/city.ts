/** The demo city in a window: the same frames that dispatch gets, and three numbers about them. */
import type { Config, DemoAccount } from "../api/config.ts";
import { Session } from "../api/session.ts";
import { Fleet, type Mover } from "../live/fleet.ts";
import { Link } from "../live/link.ts";
import { PresenceWatch } from "../live/presence.ts";
import { createMap } from "../map/map_view.ts";
import { MarkerLayer } from "../map/marker_layer.ts";
import { count } from "../text/format.ts";
import { h, setText } from "../ui/dom.ts";
import { expose } from "../ui/expose.ts";
import { linkState } from "../ui/parts.ts";

export async function showCity(holder: HTMLElement, config: Config, dispatcher: DemoAccount): Promise<void> {
  const session = new Session("door", sessionStorage);
  if (!session.signedIn) await session.signIn(dispatcher).catch(() => undefined);
  if (!session.signedIn) return holder.remove();
  const link = new Link(session);
  session.onEnd = () => link.close();
  const frame = h("div.city-map", null, h("div.map"));
  const numbers = { way: number("on the way"), near: number("almost there"), free: number("free now") };
  holder.append(
    frame,
    h("div.city-numbers", null, numbers.way.element, numbers.near.element, numbers.free.element),
    linkState(link),
  );
  const map = createMap(frame.firstElementChild as HTMLElement, { config, label: "The city now", still: true });
  const layer = map ? new MarkerLayer(map) : null;
  const movers = new Map<string, Mover>();
  const put = (moved: Mover[]): void => {
    for (const mover of moved) {
      movers.set(mover.bookingId, mover);
      layer?.put({ ...mover, id: mover.bookingId, live: mover.freshness === "live" });
    }
    say();
  };
  const say = (): void => {
    const near = [...movers.values()].filter((mover) => mover.phase === "near").length;
    numbers.near.set(near);
    numbers.way.set(movers.size);
  };
  new Fleet(link, {
    all: (all) => {
      movers.clear();
      layer?.keepOnly(new Set(all.map((mover) => mover.bookingId)));
      put(all);
    },
    moved: put,
    gone: (ids) => {
      for (const id of ids) {
        movers.delete(id);
        layer?.remove(id);
      }
      say();
    },
  });
  new PresenceWatch(link, (counts) => numbers.free.set(counts.available));
  link.onState((state) => {
    if (state === "offline") layer?.freezeAll("delayed");
  });
  expose("door", {
    markers: () => layer?.markers ?? new Map(),
    more: () => ({ link: link.state, movers: movers.size }),
  });
}

function number(words: string): { element: HTMLElement; set(value: number): void } {
  const value = h("strong.number", null, "–");
  return { element: h("p", null, value, h("span", null, words)), set: (now) => setText(value, count(now)) };
}
