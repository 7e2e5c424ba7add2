// The account matrix: one row an account, with what can be done about it.

import { ageOf, chip, count, countdownTo, h, meter, sync } from "./dom.js";

const STATES = {
  active: ["good", "Active"],
  degraded: ["warn", "Degraded"],
  cordoned: ["warn", "Failed over"],
  retired: ["quiet", "Retired"],
};
const TOKEN_DAY_SECONDS = 24 * 3600;
const VERBS = {
  acknowledge: ["Take in hand", "act"],
  fail_over: ["Fail over", "act"],
  restore: ["Restore", "act act--main"],
  halt: ["Halt", "act act--bad"],
  resume: ["Release halt", "act act--main"],
};

const CELLS = [
  ["Account", identity, (row) => [row.state, row.state_reason, row.recovers_at, row.streams_data, row.places_orders, row.halt, row.broker_user_id]],
  ["Token", token, (row) => row.token],
  ["Feed", feed, (row) => [row.streams_data, row.feed]],
  ["Orders", orders, (row) => row.orders],
  ["Budget", budget, (row) => [row.places_orders, row.budget]],
  ["Actions", actions, (row) => [row.verbs, row.login_url, row.rotate_url, row.token.live, row.mayAct, row.halt?.id]],
];

export function drawMatrix(body, accounts, mayAct) {
  const rows = Object.values(accounts).map((row) => ({ ...row, mayAct }));
  if (!rows.length) {
    body.replaceChildren(h("tr", {}, h("td", { colspan: 6, class: "empty" }, "No broker account yet. Add one in the admin, under Broker accounts.")));
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
    h("div", { class: "line dim" }, `${row.broker_user_id} · ${roles || "no role"}`),
  ];
  if (row.halt) lines.push(h("div", { class: "line" }, chip("bad", row.halt.level.toUpperCase(), row.halt.reason), h("span", { class: "dim" }, row.halt.reason)));
  if (row.state_reason && row.state !== "active") lines.push(h("div", { class: "line dim" }, row.state_reason));
  if (row.recovers_at) lines.push(h("div", { class: "line dim" }, countdownTo(row.recovers_at, "tries again in")));
  return lines;
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

function budget(row) {
  if (!row.places_orders) return [h("div", { class: "dim" }, "places no orders")];
  return row.budget.map((part) => meter(part.window, part.used, part.limit));
}

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
