// The account matrix: one row an account, with what can be done about it.

import { ageOf, chip, count, countdownTo, h, meter, sync } from "./dom.js";

const STATES = {
  active: ["good", "Active"],
  degraded: ["warn", "Degraded"],
  cordoned: ["warn", "Failed over"],
  retired: ["quiet", "Retired"],
};
const WINDOWS = { second: "orders/s", minute: "orders/min", day: "orders/day", quote: "quotes/s", historical: "history/s", other: "other/s" };
const TOKEN_DAY_SECONDS = 24 * 3600;
const VERBS = {
  acknowledge: ["Take in hand", "act"],
  fail_over: ["Fail over", "act"],
  restore: ["Restore", "act act--main"],
  halt: ["Halt", "act act--bad"],
  resume: ["Release halt", "act act--main"],
  drain: ["Drain", "act"],
  reconcile: ["Read books", "act"],
  flatten: ["Flatten", "act act--bad"],
};

const CELLS = [
  ["Account", identity, (row) => [row.state, row.state_reason, row.recovers_at, row.streams_data, row.places_orders, row.halt, row.broker_user_id, row.group, row.address, row.egress_fault, row.trouble]],
  ["Token", token, (row) => row.token],
  ["Feed", feed, (row) => [row.streams_data, row.feed]],
  ["Orders", orders, (row) => row.orders],
  ["Budgets", budgets, (row) => [row.places_orders, row.budget, row.data_budget, row.rests]],
  ["Money", money, (row) => row.money],
  ["Actions", actions, (row) => [row.verbs, row.login_url, row.rotate_url, row.token.live, row.mayAct, row.halt?.id]],
];

export function drawMatrix(body, accounts, mayAct) {
  const rows = Object.values(accounts).map((row) => ({ ...row, mayAct }));
  if (!rows.length) {
    body.replaceChildren(h("tr", {}, h("td", { colspan: 7, class: "empty" }, "No broker account yet. Add one in the admin, under Broker accounts.")));
    return;
  }
  body.querySelector(".empty")?.closest("tr").remove();
  const known = new Map([...body.children].map((node) => [node.dataset.key, node]));
  for (const [place, row] of rows.entries()) {
    const node = known.get(row.label) ?? h("tr", { "data-key": row.label });
    known.delete(row.label);
    drawRow(node, row);
    if (body.children[place] !== node) body.insertBefore(node, body.children[place] ?? null);
  }
  for (const node of known.values()) node.remove();
}

// Cell by cell: a button must not be replaced between the press and the release because a price age changed.
function drawRow(node, row) {
  const cells = CELLS.map(([label, build, inputs]) => ({ label, build, row, inputs: inputs(row) }));
  sync(node, cells, {
    key: (cell) => cell.label,
    print: (cell) => JSON.stringify(cell.inputs ?? null),
    build: (cell) => h("td", { "data-label": cell.label }, h("div", {}, ...cell.build(cell.row))),
  });
}

function identity(row) {
  const [tone, word] = STATES[row.state] ?? ["quiet", row.state];
  const roles = [row.streams_data && "data", row.places_orders && "orders"].filter(Boolean).join(" + ");
  const lines = [
    h("div", { class: "line" }, h("span", { class: "name" }, row.label), chip(tone, word)),
    h("div", { class: "line dim" }, `${row.broker_user_id} · ${roles || "no role"}${row.group ? ` · ${row.group}` : ""}`),
    ...addressOf(row),
  ];
  if (row.halt) lines.push(h("div", { class: "line" }, chip("bad", row.halt.level.toUpperCase(), row.halt.reason), h("span", { class: "dim" }, row.halt.reason)));
  if (row.state_reason && row.state !== "active") lines.push(h("div", { class: "line dim" }, row.state_reason));
  if (row.recovers_at) lines.push(h("div", { class: "line dim" }, countdownTo(row.recovers_at, "tries again in")));
  if (row.trouble && row.trouble.text !== row.state_reason) lines.push(troubleOf(row.trouble));
  return lines;
}

function addressOf(row) {
  if (row.egress_fault) return [h("div", { class: "line" }, chip("bad", "Foreign address", row.egress_fault))];
  if (!row.address) return [];
  const seen = row.address.verdict === "registered";
  const words = seen ? `leaves from ${row.address.observed}, as registered` : `registered ${row.address.registered.join(", ")}, not seen yet`;
  return [h("div", { class: "line dim" }, words, row.address.at ? ageOf(row.address.at, { old: 86400 }) : null)];
}

function troubleOf(trouble) {
  const text = h("span", { class: "cut", title: trouble.text }, `Last error: ${trouble.text}`);
  return h("div", { class: "line dim" }, text, trouble.at ? ageOf(trouble.at) : "now");
}

function token(row) {
  if (!row.token.live) {
    return [h("div", { class: "line" }, chip("bad", "No live token")), h("div", { class: "line dim" }, row.token.note)];
  }
  const left = Date.parse(row.token.expires_at) - Date.now();
  const share = Math.max(0, Math.min(1, left / 1000 / TOKEN_DAY_SECONDS));
  const track = h("span", { class: "track track--wide", "data-tone": left < 900e3 ? "bad" : left < 3600e3 ? "warn" : "" }, h("i"));
  track.firstElementChild.style.width = `${share * 100}%`;
  return [
    h("div", { class: "line" }, countdownTo(row.token.expires_at), h("span", { class: "dim" }, "left")),
    track,
    h("div", { class: "line dim" }, `credential v${row.token.version}`),
  ];
}

function feed(row) {
  if (!row.streams_data) return [h("div", { class: "dim" }, "not a data account")];
  if (!row.feed) return [h("div", { class: "line" }, chip("quiet", "No connection")), h("div", { class: "dim" }, "the feed reports nothing")];
  const live = row.feed.open > 0;
  return [
    h("div", { class: "line" }, chip(live ? "good" : "bad", live ? `${row.feed.open} open` : row.feed.state), lag(row.feed)),
    meter("Tokens", row.feed.tokens, row.feed.capacity),
    h("div", { class: "line dim" }, `${count(Math.round(row.feed.ticks_per_second))} ticks a second, last`, ageOf(row.feed.last_frame_at, live ? { old: 5, dead: 15 } : {})),
  ];
}

function lag(feed) {
  if (feed.lag_p50_ms === undefined) return null;
  const [middle, late] = [feed.lag_p50_ms, feed.lag_p99_ms].map((lag) => Math.round(lag));
  return h("span", { class: "dim", title: "from arrival to publication: half are faster, one of a hundred is slower" }, `${middle} / ${late} ms`);
}

function orders(row) {
  const unknown = row.orders.unknown;
  return [
    h("div", { class: "line" }, h("b", {}, count(row.orders.open)), h("span", { class: "dim" }, "open")),
    h("div", { class: "line" }, h("b", {}, count(row.orders.in_flight)), h("span", { class: "dim" }, "in flight")),
    h("div", { class: "line" }, unknown ? chip("bad", `${count(unknown)} unknown`) : h("span", { class: "dim" }, "none in doubt")),
  ];
}

function budgets(row) {
  const orders = row.places_orders ? row.budget.map((part) => meter(WINDOWS[part.window], part.used, part.limit)) : [h("div", { class: "dim" }, "places no orders")];
  const data = row.data_budget.map((part) => meter(WINDOWS[part.window], part.used, part.limit));
  const rests = row.rests.map((rest) => h("div", { class: "line" }, chip("bad", `${rest.calls} calls rest`), countdownTo(rest.until, "probe in")));
  return [h("div", { class: "meters" }, ...orders, ...data), ...rests];
}

function money(row) {
  const held = row.money;
  if (!held || (held.used === undefined && held.result === undefined)) return [h("div", { class: "dim" }, "not read yet")];
  const lines = [];
  if (held.result !== undefined) {
    const tone = held.result < 0 ? "loss" : "gain";
    lines.push(h("div", { class: "line" }, h("b", { class: tone }, rupees(held.result, true)), h("span", { class: "dim" }, "today"), ageOf(held.result_at, { old: 180, dead: 900 })));
  }
  if (held.used !== undefined) {
    lines.push(meter("margin", held.used, held.used + Math.max(0, held.free), short));
    lines.push(h("div", { class: "line dim" }, `${rupees(held.free)} free`, ageOf(held.margin_at, { old: 180, dead: 900 })));
  }
  return lines;
}

/** Write rupees as the desk reads them: 12.3 L, 1.45 Cr. */
function short(value) {
  const size = Math.abs(value);
  if (size >= 1e7) return `${(value / 1e7).toFixed(2)} Cr`;
  if (size >= 1e5) return `${(value / 1e5).toFixed(1)} L`;
  return count(Math.round(value));
}

const rupees = (value, signed = false) => `${signed && value > 0 ? "+" : ""}${value < 0 ? "−" : ""}₹${short(Math.abs(value))}`;

function actions(row) {
  const links = [];
  if (row.login_url) links.push(h("a", { class: row.token.live ? "act" : "act act--main", href: row.login_url, "data-focus": `${row.label} login` }, "Log in"));
  if (row.rotate_url) links.push(h("a", { class: "act", href: row.rotate_url, "data-focus": `${row.label} rotate` }, "Rotate"));
  const verbs = row.mayAct ? row.verbs : [];
  return [h("div", { class: "acts" }, ...links, ...verbs.map((verb) => verbButton(verb, row.label, verb === "resume" ? row.halt.id : row.label)))];
}

export function verbButton(verb, name, target = name) {
  const [word, look] = VERBS[verb];
  return h(
    "button",
    { type: "button", class: look, "data-verb": verb, "data-target": target, "data-focus": `${name} ${verb}`, "aria-label": `${word}, ${name}` },
    word,
  );
}
