// Everything on the Desk but the account matrix: state bar, tiles, orders, feed, Greeks, timeline.

import { Trace } from "./charts.js";
import { ageOf, chip, clockTime, count, countdownTo, h, mark, setText, setTone, span, sync } from "./dom.js";
import { verbButton } from "./matrix.js";

const $ = (id) => document.getElementById(id);
const TRADING = { ACTIVE: ["good", "●"], REDUCING: ["warn", "▲"], HALTED: ["bad", "■"] };
const SKEW_SECONDS = 2;
const traces = {
  rate: new Trace($("rate-trace"), { unit: "ticks a second" }),
  lag: new Trace($("lag-trace"), { unit: "ms" }),
  latency: new Trace($("latency-trace"), { unit: "ms" }),
};

export function drawBar(state) {
  const { trading } = state;
  const [tone, sign] = TRADING[trading.state];
  setTone($("trading"), tone);
  setText($("trading").firstElementChild, `${sign} ${trading.state}`);
  setText($("trading").lastElementChild, trading.note ?? "");
  $("trading").title = trading.note ?? "";
  replaceWhenChanged($("market"), [state.market.state, state.market.changes_at], () => [
    state.market.label,
    ...(state.market.changes_at ? [" · ", countdownTo(state.market.changes_at, state.market.change)] : []),
  ]);
  setText($("holiday"), state.market.note || "none listed");
  const skew = state.clock_skew_seconds;
  setText($("skew"), `${mark(Math.abs(skew) > SKEW_SECONDS ? "bad" : "good")} ${skew.toFixed(1)} s apart`);
  replaceWhenChanged($("reconciled"), state.reconciled_at, () => [ageOf(state.reconciled_at, { old: 60, dead: 300 }), " ago"]);
  setText($("broker"), state.broker.name);
  document.body.dataset.broker = state.broker.practice ? "sandbox" : "live";
  $("broker").title = state.broker.root;
}

export function drawAlarm(state, before) {
  if (before && before.trading.state === state.trading.state) return;
  if (!before && state.trading.state === "ACTIVE") return;
  setText($("alarm"), `Trading is ${state.trading.state}. ${state.trading.note ?? ""}`);
}

export function drawTiles(state) {
  sync($("tiles"), state.tiles, { key: (tile) => tile.name, build: tileNode });
}

function tileNode(tile) {
  const value = h("span", { class: "tile__value" }, count(tile.value));
  if (tile.of !== undefined) value.append(h("small", {}, ` of ${count(tile.of)}`));
  if (tile.unit) value.append(h("small", {}, ` ${tile.unit}`));
  const alert = tile.tone === "bad" || tile.tone === "warn" ? `${mark(tile.tone)} ` : "";
  const note = h("span", { class: "tile__note", title: tile.note }, alert, tile.note ?? "");
  if (tile.at) note.append(tile.note ? " · " : "", ageOf(tile.at, { old: tile.old, dead: tile.dead }));
  return h("div", { class: "tile", "data-tone": tile.tone }, h("span", { class: "tile__name" }, tile.name), value, note);
}

export function drawAttention(findings, mayAct) {
  const panel = $("attention-panel");
  panel.hidden = !findings.length;
  setTone(panel, findings.some((finding) => finding.severity === "red") ? "" : "warn");
  setText($("attention-count"), findings.length || "");
  sync($("attention"), findings, {
    key: (finding) => `${finding.code} ${finding.subject}`,
    build: (finding) => findingNode(finding, mayAct),
  });
}

function findingNode(finding, mayAct) {
  const red = finding.severity === "red";
  const item = h(
    "li",
    {},
    chip(red ? "bad" : "warn", red ? "Act now" : "Look today"),
    h("p", {}, h("b", {}, finding.text), " ", h("span", { class: "mend" }, finding.mend), " ", handOf(finding.alert)),
  );
  const acts = h("div", { class: "acts" });
  if (finding.alert && mayAct && !finding.alert.acknowledged_at) acts.append(verbButton("acknowledge", finding.text, finding.alert.id));
  if (finding.url) acts.append(h("a", { class: "act act--main", href: finding.url, "data-focus": "go" }, finding.url_text));
  else if (finding.verb && mayAct) acts.append(verbButton(finding.verb, finding.subject));
  item.append(acts);
  return item;
}

function handOf(alert) {
  if (!alert) return h("span", { class: "hand" }, "just seen");
  const since = `since ${clockTime(alert.opened_at)}`;
  return h("span", { class: "hand" }, alert.owner ? `${since}, in hand of ${alert.owner}` : `${since}, in nobody's hand`);
}

export function drawOrders(orders, at) {
  sync($("funnel"), orders.funnel, {
    key: (stage) => stage.name,
    build: stageNode,
  });
  setText($("objections"), orders.objections.length ? `Refused most often: ${orders.objections.map((each) => `${each.text} (${count(each.count)})`).join("; ")}` : "No order was refused today.");
  traces.latency.push(at, { p50: orders.latency.p50_ms, p99: orders.latency.p99_ms });
  if (!orders.recent.length) return void $("recent").replaceChildren(emptyRow(5, "No order today yet"));
  $("recent").querySelector(".empty")?.closest("tr").remove();
  sync($("recent"), orders.recent, { key: (order) => order.id, build: orderRow });
}

function stageNode(stage) {
  const way = stage.since ? h("span", { class: "way", title: `median ${stage.since}` }, stage.seconds === undefined ? "no time yet" : `after ${stage.seconds < 1 ? `${Math.round(stage.seconds * 1000)} ms` : span(stage.seconds)}`) : null;
  const lately = h("span", { class: "way" }, `${count(stage.recent)} in 5 min`);
  return h("li", { "data-tone": stage.tone, title: stage.hint }, h("b", {}, count(stage.count)), h("span", {}, stage.name), lately, way);
}

function orderRow(order) {
  const side = order.transaction_type === "BUY" ? "buy" : "sell";
  const price = order.price === undefined ? "market" : `at ${order.price}`;
  const what = h("td", {}, h("b", { class: side }, order.transaction_type), ` ${count(order.quantity)} `);
  what.append(h("a", { href: order.url }, `${order.exchange}:${order.tradingsymbol}`), h("span", { class: "dim" }, ` ${price}`));
  const filled = `${count(order.filled_quantity)}${order.average_price ? ` at ${order.average_price}` : ""}`;
  return h(
    "tr",
    {},
    h("td", {}, clockTime(order.created_at)),
    h("td", {}, order.account),
    what,
    h("td", { class: "number" }, filled),
    h("td", {}, chip(order.tone, order.state, order.detail)),
  );
}

export function drawFeed(feed, at) {
  sync($("feed"), feed.facts, { key: (fact) => fact.name, build: factNode });
  traces.rate.push(at, feed.shards.length > 1 ? Object.fromEntries(feed.shards.map((shard) => [shard.name, shard.ticks_per_second])) : { all: feed.ticks_per_second });
  const lags = feed.shards.flatMap((shard) => [[`${shard.name} p50`, shard.lag_p50_ms], [`${shard.name} p99`, shard.lag_p99_ms]]);
  traces.lag.push(at, Object.fromEntries(lags));
  $("slowest-panel").hidden = !feed.slowest.length;
  sync($("slowest"), feed.slowest, {
    key: (one) => `${one.label} ${one.skipped}`,
    build: (one) =>
      h("tr", {}, h("td", {}, one.label), h("td", { class: "number" }, `${one.waits_seconds.toFixed(1)} s`), h("td", { class: "number" }, count(one.skipped)), h("td", { class: "number" }, ageOf(one.heard_at, { old: 6 }))),
  });
}

function factNode(fact) {
  const value = fact.at ? ageOf(fact.at, { old: fact.old, dead: fact.dead }) : fact.value === undefined ? "not measured" : `${count(fact.value)}${fact.unit ? ` ${fact.unit}` : ""}`;
  return h("div", {}, h("dt", {}, fact.name), h("dd", {}, value));
}

export function drawProcesses(processes) {
  sync($("processes"), processes, {
    key: (process) => process.name,
    build: (process) =>
      h(
        "tr",
        {},
        h("td", {}, process.name),
        h("td", {}, chip(process.tone, process.word, process.detail)),
        h("td", { class: "number" }, ageOf(process.heard_at, { old: process.old, dead: process.dead })),
      ),
  });
}

export function drawGreeks(greeks) {
  setText($("greeks-count"), greeks.note);
  sync($("greeks-facts"), greeks.facts, { key: (fact) => fact.name, build: factNode });
  $("book-panel").hidden = !greeks.book.length;
  replaceWhenChanged($("book-age"), greeks.book_at, () => ["positions read ", ageOf(greeks.book_at, { old: 180, dead: 900 }), " ago"]);
  sync($("book"), greeks.book, {
    key: (line) => line.account,
    build: (line) =>
      h("tr", {}, h("td", {}, line.account), number(count(line.delta_rupees)), number(count(line.vega)), number(count(line.legs)), number(line.unpriced ? `${count(line.unpriced)} unpriced` : "none")),
  });
  if (!greeks.chains.length) return void $("chains").replaceChildren(emptyRow(6, "No chain is live. Enable an underlying in the admin, under Chain settings."));
  $("chains").querySelector(".empty")?.closest("tr").remove();
  sync($("chains"), greeks.chains, {
    key: (chain) => `${chain.underlying} ${chain.expiry}`,
    build: (chain) =>
      h(
        "tr",
        {},
        h("td", {}, h("b", {}, chain.underlying), ` ${chain.expiry}`),
        number(chain.forward?.toFixed(2)),
        number(chain.atm_iv === undefined ? undefined : `${(chain.atm_iv * 100).toFixed(2)} %`),
        number(`${count(chain.solved)} / ${count(chain.contracts)}`),
        h("td", { class: "number" }, ageOf(chain.oldest_input_at, { old: 60, none: "–" })),
        h("td", { class: "number" }, ageOf(chain.computed_at, { old: 4, dead: 15 })),
      ),
  });
}

const number = (text) => h("td", { class: "number" }, text ?? "–");

export function drawTimeline(entries) {
  if (!entries.length) return void $("timeline").replaceChildren(h("li", { class: "empty" }, "Nothing happened yet"));
  sync($("timeline"), entries, {
    key: (entry) => entry.id,
    build: (entry) => {
      const reason = entry.reason ? h("span", { class: "why" }, ` ${entry.reason}`) : null;
      const text = h("p", {}, h("b", {}, entry.words), ` ${entry.subject}`, reason, h("span", { class: "dim" }, ` · ${entry.actor}`));
      return h("li", {}, h("time", { datetime: entry.at, title: new Date(entry.at).toLocaleString() }, clockTime(entry.at)), text);
    },
  });
}

const emptyRow = (columns, text) => h("tr", {}, h("td", { colspan: columns, class: "empty" }, text));

function replaceWhenChanged(node, print, build) {
  const wanted = JSON.stringify(print);
  if (node.dataset.print === wanted) return;
  node.dataset.print = wanted;
  node.replaceChildren(...build());
}
