// The option-chain page: one chain live, its smile, the payoff of chosen legs, and what the accounts hold.

import { ageOf, count, h, refreshTimes, setText, sync } from "../ops/dom.js";
import { ask, Link } from "./link.js";
import { crossings, drawPayoff, drawSmile, say, short } from "./plots.js";
import { ChainTable } from "./table.js";

const $ = (id) => document.getElementById(id);
const LIST_SECONDS = 30;
const SMILE_SECONDS = 15;
const EXPOSURE_SECONDS = 15;
const PAYOFF_SECONDS = 5;
const PLOT_SECONDS = 2;
const POINTS = 41;

const state = { heads: [], chain: null, head: null, analytics: null, columns: null, fit: [], rank: null, sequence: 0 };
const legs = new Map();
const table = new ChainTable({ head: $("chain-head"), body: $("chain"), onLeg: toggle });
const link = new Link({
  path: document.body.dataset.socket,
  onFrame: take,
  onLink: (tone, word) => {
    setText($("link"), word);
    $("link").classList.toggle("is-dead", tone !== "live");
  },
  onForbidden: () => location.assign(`${document.body.dataset.signIn}?next=${location.pathname}`),
});

const number = (value, decimals = 2) =>
  value === null || value === undefined
    ? "–"
    : value.toLocaleString("en-IN", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
const percent = (value) => (value === null || value === undefined ? "–" : `${(value * 100).toFixed(2)} %`);

function word(text) {
  setText($("word"), text);
  $("word").hidden = !text;
}

// Which chain

async function list() {
  try {
    state.heads = (await ask("chains")).results;
  } catch (error) {
    word(`The list of chains cannot be read: ${error.message}`);
    return;
  }
  word(state.heads.length ? "" : "No chain was computed yet: is the market open, and does the feed run?");
  const names = [...new Set(state.heads.map((head) => head.underlying))];
  options($("underlying"), names.map((name) => [name, name]));
  expiries();
}

function options(select, wanted) {
  const held = [...select.options].map((option) => option.value).join();
  if (held === wanted.map(([value]) => value).join()) return;
  const before = select.value;
  select.replaceChildren(...wanted.map(([value, text]) => h("option", { value }, text)));
  if (wanted.some(([value]) => value === before)) select.value = before;
}

function expiries() {
  const mine = state.heads.filter((head) => head.underlying === $("underlying").value);
  const day = (text) => new Date(`${text}T00:00:00`).toLocaleDateString("en-IN", { weekday: "short", day: "numeric", month: "short", year: "numeric" });
  options($("expiry"), mine.map((head) => [head.chain, day(head.expiry)]));
  if ($("expiry").value && $("expiry").value !== state.chain) follow($("expiry").value);
}

function follow(chain) {
  Object.assign(state, { chain, columns: null, fit: [], rank: null });
  legs.clear();
  drawLegs();
  link.follow(chain);
  smile();
  rank();
}

// What the socket says

function take(frame) {
  if (frame.t === "err") return word(frame.detail);
  if (frame.t !== "snap" && frame.t !== "d") return undefined;
  const first = frame.t === "snap";
  if (!first && !state.columns) return undefined;
  Object.assign(state, { head: frame.head, analytics: frame.analytics, sequence: frame.to_seq });
  const rows = first ? frame.columns.strike.map((_, row) => row) : frame.rows;
  if (first) {
    state.columns = frame.columns;
    table.build(frame.columns);
  } else {
    for (const [name, values] of Object.entries(frame.columns)) {
      values.forEach((value, place) => {
        state.columns[name][rows[place]] = value;
      });
    }
  }
  table.write(state.columns, rows, !first);
  const centre = frame.head.forward.value ?? frame.head.spot.value;
  if (centre !== null) {
    const strike = table.centre(centre);
    if (first) table.show(strike);
  }
  if (first) {
    table.choose(legs);
    plotSmile();
  }
  return facts();
}

function facts() {
  const { head, analytics } = state;
  setText($("profile"), head.profile);
  $("age").replaceChildren(ageOf(head.as_of, { old: 5, dead: 30 }));
  setText($("chain-count"), `${analytics.priced} of ${head.options} options have a volatility, lot ${head.lot_size}`);
  setText($("basis"), `Delta per rupee of the ${head.delta_basis}, theta per calendar day, vega and rho per point`);
  const compared = head.oi_change;
  const since = compared.since && `since ${new Date(compared.since).toLocaleString("en-IN", { dateStyle: "medium", timeStyle: "short" })}`;
  setText($("oi-change"), `OI change: ${[since, compared.reason].filter(Boolean).join(", ")}`);
  setText($("sign"), `Gamma exposure: ${analytics.gamma_exposure.sign_assumption}`);
  sync($("tiles"), tiles(), { key: (tile) => tile.name, build: tileNode });
}

function tiles() {
  const { head, analytics: said } = state;
  const days = Math.max(0, (Date.parse(head.expires_at) - Date.parse(head.as_of)) / 86400000);
  const exposure = said.gamma_exposure;
  const forward = head.forward;
  return [
    { name: "Spot", value: number(head.spot.value), note: head.spot.value === null ? "no spot is streamed" : `rate ${percent(head.rate)}` },
    { name: "Forward", value: number(forward.value), note: `from ${forward.source.replaceAll("_", " ")}`, tone: forward.flags.length ? "warn" : "quiet" },
    { name: "ATM IV", value: percent(said.atm_iv), note: state.rank ?? `${days.toFixed(2)} days left` },
    { name: "Straddle", value: number(said.straddle.price), note: `at ${number(said.straddle.strike, 0)}` },
    { name: "Expected move", value: `±${number(said.expected_move, 0)}`, note: head.spot.value && said.expected_move ? `${((100 * said.expected_move) / head.spot.value).toFixed(2)} % by expiry` : "by expiry" },
    { name: "Put/call OI", value: number(said.put_call_ratio.open_interest), note: `volume ${number(said.put_call_ratio.volume)}` },
    { name: "Max pain", value: number(said.max_pain, 0), note: "pays holders least" },
    { name: "Gamma ₹ for 1 %", value: exposure.rupees_per_percent === null ? "–" : short(exposure.rupees_per_percent), note: `zero at ${number(exposure.zero_gamma, 0)}` },
  ];
}

const tileNode = (tile) =>
  h("div", { class: "tile", "data-tone": tile.tone ?? "quiet" }, h("span", { class: "tile__name" }, tile.name),
    h("span", { class: "tile__value" }, tile.value), h("span", { class: "tile__note", title: tile.note }, tile.note));

// The smile

function plotSmile() {
  if (!state.columns || !state.head) return;
  const { strike, side, iv, flags } = state.columns;
  const forward = state.head.forward.value ?? state.head.spot.value ?? 0;
  const points = strike
    .map((at, row) => ({
      strike: at,
      side: side[row],
      iv: iv[row],
      outside: side[row] === "CE" ? at >= forward : at <= forward,
      doubtful: flags[row].length > 0,
    }))
    .filter((point) => point.iv !== null);
  drawSmile($("smile"), { points, fit: state.fit, forward });
}

async function smile() {
  if (!state.chain) return;
  const [underlying, expiry] = state.chain.split(":");
  try {
    const found = await ask(`chains/${underlying}/${expiry}/smile`);
    const { strike, fitted_iv: fitted } = found.points;
    state.fit = strike.map((at, place) => [at, fitted[place]]);
    const skew = found.skew;
    setText($("smile-note"), `fit within ${number(found.rmse_points)} points · 25-delta reversal ${percent(skew.risk_reversal)} · butterfly ${percent(skew.butterfly)} · ${found.butterfly_free ? "no butterfly arbitrage" : "butterfly arbitrage"}`);
  } catch (error) {
    state.fit = [];
    setText($("smile-note"), error.message);
  }
  plotSmile();
}

async function rank() {
  try {
    const found = await ask(`volatility/${state.chain.split(":")[0]}`);
    state.rank = found.rank === null ? null : `rank ${number(found.rank, 0)}, percentile ${number(found.percentile, 0)}`;
  } catch {
    state.rank = null;
  }
}

// Legs and their payoff

function toggle(row, lots) {
  const held = legs.get(row) ?? 0;
  if (Math.sign(held) === lots) legs.delete(row);
  else legs.set(row, lots);
  drawLegs();
}

function change(row, by) {
  const lots = (legs.get(row) ?? 0) + by;
  if (lots) legs.set(row, lots);
  else legs.delete(row);
  drawLegs();
}

function drawLegs() {
  table.choose(legs);
  $("clear").hidden = !legs.size;
  sync($("legs"), [...legs].map(([row, lots]) => ({ row, lots })), { key: (leg) => leg.row, build: legNode });
  payoff();
}

function legNode({ row, lots }) {
  const button = (text, label, deed) => {
    const node = h("button", { type: "button", "aria-label": label, "data-focus": `${row}${text}` }, text);
    node.addEventListener("click", deed);
    return node;
  };
  const name = `${state.columns.strike[row].toLocaleString("en-IN")} ${state.columns.side[row]}`;
  return h("li", {}, h("b", { class: lots > 0 ? "buy" : "sell" }, `${lots > 0 ? "+" : "−"}${Math.abs(lots)}`), name,
    button("−", `one lot less of ${name}`, () => change(row, -1)), button("+", `one lot more of ${name}`, () => change(row, 1)));
}

let asked = 0;

async function payoff() {
  if (!legs.size || !state.head) {
    setText($("payoff-note"), "Choose legs in the chain: B buys, S sells one lot");
    return say($("payoff"), "No legs chosen");
  }
  const mine = (asked += 1);
  const { head, columns, analytics } = state;
  const centre = head.forward.value ?? head.spot.value;
  const reach = Math.min(0.5, Math.max(0.02, (2.5 * (analytics.expected_move ?? 0)) / centre));
  const moves = Array.from({ length: POINTS }, (_, place) => reach * ((2 * place) / (POINTS - 1) - 1));
  const positions = [...legs].map(([row, lots]) => ({ instrument: `${head.exchange}:${columns.tradingsymbol[row]}`, quantity: lots * head.lot_size }));
  try {
    const found = await ask("greeks/book", { method: "POST", body: { positions, spot_moves: moves, days: [0, head.years * 365] } });
    if (mine !== asked) return undefined;
    const sums = found.results[0];
    if (!sums || found.unpriced.length) throw new Error(`${found.unpriced.map((leg) => leg.instrument).join(", ")} has no value now`);
    const levels = moves.map((move) => centre * (1 + move));
    const [today, expiry] = [0, 1].map((day) => sums.profit.map((line) => line[0][day]));
    const breakEvens = crossings(levels, expiry);
    setText($("payoff-note"), `premium ${short(sums.value)} · delta ${number(sums.delta_lots)} lots · theta ${short(sums.theta)} a day · vega ${short(sums.vega)} · break-even ${breakEvens.map((at) => number(at, 0)).join(", ") || "–"}`);
    drawPayoff($("payoff"), { levels, today, expiry, spot: centre, breakEvens });
  } catch (error) {
    if (mine === asked) say($("payoff"), error.message);
  }
  return undefined;
}

// What the accounts hold

async function exposure() {
  if (document.body.dataset.positions !== "true") return empty("The right to read positions is missing");
  try {
    const found = await ask("greeks/positions?by=underlying&max_age=10&spot_moves=-0.02&spot_moves=0.02");
    if (!found.results.length) empty("No open positions");
    else sync($("exposure"), found.results, { key: (row) => row.underlying, build: exposureRow });
    setText($("exposure-note"), `${found.accounts.length} accounts, moves in the underlying of 2 %`);
    const left = [...found.unpriced, ...found.unknown];
    setText($("unpriced"), left.length ? `Not in the sums: ${left.map((leg) => `${leg.instrument} ${leg.quantity} (${(leg.reasons ?? ["unknown"]).join(", ")})`).join("; ")}` : "");
  } catch (error) {
    empty(error.message);
  }
  return undefined;
}

function empty(text) {
  $("exposure").replaceChildren(h("tr", {}, h("td", { colspan: 10, class: "empty" }, text)));
}

function exposureRow(row) {
  const cell = (text, tone) => h("td", { class: `number ${tone ?? ""}`.trim() }, text);
  const money = (value) => cell(value === null ? "–" : short(value), value > 0 ? "buy" : value < 0 ? "sell" : "");
  return h("tr", {}, h("td", {}, row.underlying), cell(count(row.legs)), cell(number(row.delta_units, 0)), cell(number(row.delta_lots)),
    ...["delta_rupees", "gamma_one_percent", "theta", "vega"].map((name) => money(row[name])),
    money(row.profit[0][0][0]), money(row.profit[1][0][0]));
}

$("underlying").addEventListener("change", expiries);
$("expiry").addEventListener("change", () => follow($("expiry").value));
$("clear").addEventListener("click", () => {
  legs.clear();
  drawLegs();
});
new ResizeObserver(() => {
  plotSmile();
  payoff();
}).observe($("smile"));
for (const [deed, seconds] of [[list, LIST_SECONDS], [smile, SMILE_SECONDS], [exposure, EXPOSURE_SECONDS], [payoff, PAYOFF_SECONDS], [plotSmile, PLOT_SECONDS], [refreshTimes, 1]]) {
  setInterval(() => document.hidden || deed(), seconds * 1000);
}
link.start();
say($("smile"), "Waiting for the first chain");
drawLegs();
list();
exposure();
