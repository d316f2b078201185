/** The technician's page, made for one thumb: the visit of now, the rest of the day, and a phone that says where it is. */
import "../styles/tokens.css";
import "../styles/base.css";
import "../styles/parts.css";
import "../styles/map.css";
import "../styles/arrival.css";
import "./technician.css";
import { Api } from "../api/client.ts";
import { config as loadConfig } from "../api/config.ts";
import { Session } from "../api/session.ts";
import type { Booking, Position } from "../api/types.ts";
import { BookingFeed } from "../live/booking_feed.ts";
import { Link } from "../live/link.ts";
import { reducedMotion } from "../map/map_view.ts";
import { ArrivalMap } from "../ui/arrival_map.ts";
import { learnServiceNames } from "../text/service_names.ts";
import { chime } from "../ui/chime.ts";
import { byId, fill, h } from "../ui/dom.ts";
import { expose } from "../ui/expose.ts";
import { icon } from "../ui/icons.ts";
import { brand, errorBox, linkState, ready, toast } from "../ui/parts.ts";
import { endSession, signedIn } from "../ui/sign_in.ts";
import { DayList } from "./day_list.ts";
import { FixStream, type StreamState } from "./fix_stream.ts";
import { GpsPanel } from "./gps_panel.ts";
import { JobView, isForUs } from "./job_view.ts";
import { Jobs } from "./jobs.ts";
import { PresenceSwitch } from "./presence_switch.ts";

async function start(): Promise<void> {
  const root = byId("app");
  const [config] = await Promise.all([loadConfig(), learnServiceNames()]);
  const session = new Session("technician");
  await signedIn(root, {
    session,
    config,
    role: "technician",
    title: "Technician",
    text: "Your visits of today, and the way to the next door.",
  });
  const api = new Api(session);
  const link = new Link(session);
  link.onRefused = (problem) => endSession(session, problem);
  session.onEnd = link.onRefused;

  const jobs = new Jobs();
  let chosen: string | null = null;
  const panel = new GpsPanel(() => stream);
  const view = new JobView({ api, changed: (booking) => take(booking) });
  const day = new DayList((booking) => {
    chosen = booking.booking_id;
    show();
    scrollTo({ top: 0, behavior: reducedMotion.matches ? "auto" : "smooth" });
  });
  const map = new ArrivalMap(config, () => ({ top: 50, right: 40, bottom: 40, left: 40 }));
  const mapHolder = h("div.tech-map", null, map.element);
  const now = h("section.now", { "aria-label": "Now" });
  const switcher = new PresenceSwitch(link);
  const out = h(
    "button.button.plain.small.icon",
    { type: "button", "aria-label": `Sign out ${session.email ?? ""}`, title: `Sign out ${session.email ?? ""}` },
    icon("out", 18),
  );
  out.addEventListener("click", () => void session.signOut().then(() => location.reload()));
  ready(
    root,
    h("header.top", null, brand("Technician"), h("span.spacer"), linkState(link), out),
    h("main.tech", null, h("div.tech-work", null, switcher.element, now, day.element), mapHolder),
  );

  const stream: FixStream = new FixStream(link, (state) => {
    panel.show(state);
    showSelf(state);
  });
  panel.show(stream.state);

  const showSelf = ({ place, signal }: StreamState): void => {
    if (!place) return map.clear();
    map.move(selfPosition(place, signal));
  };
  const show = (): void => {
    const job = jobs.now(chosen);
    day.show(jobs.rest(job));
    document.body.classList.toggle("on-the-way", job?.state === "en_route");
    if (!job) {
      fill(
        now,
        h(
          "div.empty.panel",
          { "data-testid": "no-job" },
          icon("wrench", 24),
          h("h3", null, "Nothing to do right now"),
          h("p", null, "While you are available, new requests appear here with a bell."),
        ),
      );
      map.door(null);
      stream.stop();
      return;
    }
    view.show(job);
    fill(now, job.state === "en_route" ? panel.element : null, view.element);
    const { address } = job;
    map.door(address?.lat !== undefined && address.lon !== undefined ? { lat: address.lat, lon: address.lon } : null);
    const leg = jobs.leg();
    if (leg?.gps_session_id) void stream.start(leg.gps_session_id);
    else stream.stop();
  };
  const take = (booking: Booking): void => {
    const isNew = jobs.put(booking);
    if (isNew && booking.state === "requested") {
      toast("A new request");
      chime();
    }
    show();
  };
  const feed = new BookingFeed(link, {
    refetch: async () => {
      jobs.replace((await api.get<{ items: Booking[] }>("/bookings?limit=50")).items);
      show();
    },
    event: (event) => {
      // The last event of a visit that was taken away says so: it is not ours any more.
      if (["booking.released", "booking.reassigned"].includes(event.type) && !jobs.isOurs(event.booking))
        jobs.remove(event.booking_id);
      else take(event.booking);
      if (isForUs(event)) {
        toast(String(event.data["text"]));
        chime();
      }
      show();
    },
  });
  try {
    jobs.technicianId = (await api.get<{ technician_id: string }>("/technicians/me")).technician_id;
  } catch (error) {
    fill(now, errorBox(error));
  }
  expose("technician", {
    markers: () => map.markers,
    more: () => ({
      booking_id: view.booking?.booking_id ?? null,
      state: view.booking?.state ?? null,
      gps: stream.state,
      presence: switcher.effective,
      link: link.state,
      feed: feed.cursor,
    }),
  });
}

function selfPosition(place: NonNullable<StreamState["place"]>, signal: StreamState["signal"]): Position {
  return {
    booking_id: "",
    session_id: "",
    n: 0,
    t: Date.now(),
    age_s: 0,
    lat: place.lat,
    lon: place.lon,
    acc_m: null,
    hdg_deg: place.headingDeg,
    spd_mps: place.speedMps,
    precision: "exact",
    freshness: signal === "good" ? "live" : "delayed",
    phase: "en_route",
    remaining_m: null,
    eta: null,
  };
}

start().catch((error: unknown) => ready(byId("app"), h("main.sign-in", null, errorBox(error))));
