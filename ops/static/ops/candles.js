// The candles of one instrument: a chart for the eye, the latest of them as a table for everybody.

import { CandlestickSeries, createChart, HistogramSeries } from "../vendor/lightweight-charts/lightweight-charts.standalone.production.mjs";
import { ageOf, clockTime, count, h, refreshTimes, setText, sync } from "./dom.js";

const $ = (id) => document.getElementById(id);
const REFRESH_SECONDS = 15;
const SHOWN = 12;
const DAYS = { minute: 2, "3minute": 4, "5minute": 6, "10minute": 12, "15minute": 20, "30minute": 40, "60minute": 90, "2hour": 120, "3hour": 120, "4hour": 120, day: 700 };
const IST_SECONDS = 5.5 * 3600;
const prices = ["open", "high", "low", "close"];

const chart = createChart($("candles"), { autoSize: true, layout: { attributionLogo: false }, timeScale: { timeVisible: true } });
const bars = chart.addSeries(CandlestickSeries, { borderVisible: false });
const volumes = chart.addSeries(HistogramSeries, { priceScaleId: "volume", priceFormat: { type: "volume" } });
chart.priceScale("volume").applyOptions({ scaleMargins: { top: 0.85, bottom: 0 } });

function inkOf(name) {
  const probe = h("span", { class: `probe--${name}`, hidden: true });
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

function paint() {
  const line = { color: inkOf("line") };
  chart.applyOptions({ layout: { background: { color: "transparent" }, textColor: inkOf("soft") }, grid: { vertLines: line, horzLines: line } });
  const [up, down] = [inkOf("good"), inkOf("bad")];
  bars.applyOptions({ upColor: up, wickUpColor: up, downColor: down, wickDownColor: down });
  volumes.applyOptions({ color: inkOf("soft") });
}

async function ask(days) {
  const end = new Date();
  const query = new URLSearchParams({
    instrument: $("instrument").value.trim(),
    interval: $("interval").value,
    from: new Date(end - days * 86400e3).toISOString(),
    to: end.toISOString(),
  });
  const answer = await fetch(`/api/v1/candles?${query}`, { credentials: "same-origin", cache: "no-store", signal: AbortSignal.timeout(15000) });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.detail ?? `the server answered ${answer.status}`);
  return body;
}

async function show(days = DAYS[$("interval").value] ?? 30) {
  try {
    draw(await ask(days));
  } catch (error) {
    setText($("trouble"), `The candles cannot be read: ${error.message}`);
  }
}

function draw(answer) {
  const rows = answer.results.map((row) => ({ ...row, time: Date.parse(row.start_at) / 1000 + IST_SECONDS }));
  setText($("name"), `${answer.instrument} · ${answer.interval}`);
  setText($("count"), `${count(rows.length)} candles, times of India`);
  setText($("trouble"), answer.complete ? (rows.length ? "" : "No candle in this time.") : `Some candles may be missing: ${answer.reason}`);
  bars.setData(rows.map((row) => ({ time: row.time, ...Object.fromEntries(prices.map((name) => [name, Number(row[name])])) })));
  volumes.setData(rows.map((row) => ({ time: row.time, value: row.volume })));
  const last = rows.at(-1);
  setText($("last"), last ? Number(last.close).toLocaleString("en-IN", { minimumFractionDigits: 2 }) : "none");
  $("age").replaceChildren(last ? ageOf(last.start_at) : "never");
  sync($("rows"), rows.slice(-SHOWN).reverse(), { key: (row) => row.start_at, build: line });
}

const line = (row) =>
  h(
    "tr",
    {},
    h("td", {}, `${new Date(row.start_at).toLocaleDateString("en-IN", { day: "numeric", month: "short", timeZone: "Asia/Kolkata" })} ${clockTime(row.start_at)}`),
    ...prices.map((name) => h("td", { class: "number" }, Number(row[name]).toFixed(2))),
    h("td", { class: "number" }, count(row.volume)),
    h("td", {}, row.source),
  );

$("question").addEventListener("submit", (event) => {
  event.preventDefault();
  history.replaceState(null, "", `?${new URLSearchParams({ instrument: $("instrument").value.trim() })}`);
  show();
});
$("interval").addEventListener("change", () => show());
$("theme").addEventListener("change", () => setTimeout(paint));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
setText($("link"), `asks every ${REFRESH_SECONDS} s`);
paint();
show();
setInterval(() => document.hidden || show(), REFRESH_SECONDS * 1000);
setInterval(refreshTimes, 1000);
