// The official socket.io-client against a real server: one line of JSON for each step that held, or an error and exit 1.
// Given by the environment: PLAN (url, tokens, ids as JSON) and CLIENT_FROM (a folder whose node_modules has the client).
import { createRequire } from "node:module";
import { once } from "node:events";
import { createInterface } from "node:readline";
import assert from "node:assert/strict";

const { io } = createRequire(`${process.env.CLIENT_FROM}/`)("socket.io-client");
const plan = JSON.parse(process.env.PLAN);
const FAR = [39.26, -76.6];
const open = [];

function connect(namespace, auth, options = {}) {
  const socket = io(plan.url + namespace, { auth, forceNew: true, transports: ["websocket"], ...options });
  open.push(socket);
  return socket;
}

async function joined(namespace, auth, options) {
  const socket = connect(namespace, auth, options);
  await once(socket, "connect");
  return socket;
}

async function hear(socket, event, ms = 5000) {
  const [data] = await once(socket, event, { signal: AbortSignal.timeout(ms) });
  return data;
}

async function ask(socket, event, data = {}) {
  return socket.timeout(5000).emitWithAck(event, data);
}

const fix = (seq, dt, lat, lon) => ({ seq, t: Date.now() + dt, lat, lon, acc_m: 5 });
const say = (step, more = {}) => console.log(JSON.stringify({ step, ...more }));
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function sync() {
  const customer = await joined("/bookings", { token: plan.customer });
  const start = await ask(customer, "sync", { cursor: null });
  assert.deepEqual([start.ok, start.events, start.more], [true, [], false]);
  customer.disconnect();
  say("away");
  await lines.next(); // something happens meanwhile
  const back = await joined("/bookings", { token: plan.customer });
  const missed = await ask(back, "sync", { cursor: start.cursor });
  assert.deepEqual(missed.events.map((event) => event.type), ["booking.noted"]);
  const again = await ask(back, "sync", { cursor: "old" });
  assert.equal(again.error.code, "cursor_expired");
  const live = hear(back, "event");
  say("recovered");
  assert.equal((await live).type, "booking.noted");
  say("live");
}

async function positions() {
  const watcher = await joined("/gps", { token: plan.customer });
  const stands = await ask(watcher, "watch", { booking_id: plan.booking });
  assert.deepEqual([stands.phase, stands.position], ["en_route", null]);
  const phone = await joined("/gps", { token: plan.technician });
  const first = hear(watcher, "position");
  const ack = await ask(phone, "fix", { session_id: plan.session, device_id: "a", fixes: [fix(1, 0, ...FAR)] });
  assert.deepEqual([ack.ok, ack.acked_seq, ack.counts.live], [true, 1, 1]);
  const position = await first;
  assert.equal(position.session_id, plan.session);
  assert.ok(["exact", "area"].includes(position.precision));
  assert.ok(position.eta.low <= position.eta.at && position.eta.at <= position.eta.high);
  say("position");

  const desk = await joined("/gps", { token: plan.dispatcher });
  const map = await ask(desk, "watch_map", { all: true });
  assert.equal(map.rows.length, 1);
  const frame = hear(desk, "frame");
  await ask(phone, "fix", { session_id: plan.session, device_id: "a", fixes: [fix(2, 3000, FAR[0] + 0.0003, FAR[1])] });
  assert.deepEqual([(await frame).n, (await frame).moved[0][0]], [map.n + 1, plan.booking]);
  say("frame");

  const second = await joined("/gps", { token: plan.technician });
  const told = hear(phone, "superseded");
  await ask(second, "fix", { session_id: plan.session, device_id: "b", fixes: [fix(1, 4000, FAR[0] + 0.0004, FAR[1])] });
  assert.equal((await told).session_id, plan.session);
  const late = await ask(phone, "fix", { session_id: plan.session, device_id: "a", fixes: [fix(3, 0, ...FAR)] });
  assert.equal(late.rejected[0].reason, "superseded");
  say("takeover");
  return second;
}

async function refusals(phone) {
  for (const [namespace, auth, code] of [
    ["/gps", { share: "unknown" }, "not_found"],
    ["/bookings", { token: "forged" }, "unauthenticated"],
    ["/bookings", {}, "unauthenticated"],
    ["/presence", { token: plan.customer }, "forbidden"],
  ]) {
    const refused = await hear(connect(namespace, auth, { reconnection: false }), "connect_error");
    assert.equal(refused.data.code, code);
  }
  const foreign = connect("/gps", { token: plan.customer }, { extraHeaders: { Origin: "https://evil.example" } });
  const error = await hear(foreign, "connect_error");
  assert.match(String(error.description?.message ?? error.message), /403|websocket error/);
  foreign.close();
  say("refused");

  const closing = hear(phone, "closing");
  const again = once(phone.io, "reconnect", { signal: AbortSignal.timeout(10000) });
  phone.emit("fix", { session_id: plan.session, fixes: [], padding: "x".repeat(100000) });
  assert.equal((await closing).reason, "too_large");
  await again; // the client comes back by itself
  say("too_large");

  const bad = hear(phone, "closing");
  const answer = await ask(phone, "fix", { session_id: 7, fixes: "none" });
  assert.equal(answer.error.code, "validation");
  assert.equal((await bad).reason, "malformed");
  say("malformed");
}

async function polling() {
  const socket = await joined("/bookings", { token: plan.customer }, { transports: ["polling"] });
  assert.ok((await ask(socket, "sync", { cursor: null })).ok);
  const upgrading = await joined("/bookings", { token: plan.customer }, { transports: ["polling", "websocket"] });
  const engine = upgrading.io.engine;
  if (engine.transport.name !== "websocket") await once(engine, "upgrade", { signal: AbortSignal.timeout(5000) });
  assert.equal(engine.transport.name, "websocket");
  assert.ok((await ask(upgrading, "sync", { cursor: null })).ok);
  say("polling");
}

try {
  await sync();
  await refusals(await positions());
  await polling();
  say("done");
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  for (const socket of open) socket.disconnect();
  process.stdin.destroy();
}
