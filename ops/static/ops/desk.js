// Assembles the Desk: one live copy of the state, drawn into the page; the verbs beside it.

import { ageOf, clockTime, refreshTimes, serverNow, setServerClock, setText, setTone } from "./dom.js";
import { Live } from "./live.js";
import { drawMatrix } from "./matrix.js";
import { drawAlarm, drawAttention, drawBar, drawFeed, drawGreeks, drawOrders, drawProcesses, drawTiles, drawTimeline } from "./panels.js";
import { Verbs, holdToArm } from "./verbs.js";

const $ = (id) => document.getElementById(id);
const page = document.body.dataset;
const mayAct = page.mayAct === "true";
const kill = $("kill");
let wordTimer = 0;

function sayWord(tone, text) {
  const word = $("word");
  setTone(word, tone);
  setText(word, text);
  word.hidden = false;
  clearTimeout(wordTimer);
  wordTimer = setTimeout(() => (word.hidden = true), 8000);
}

function drawLink(link, text) {
  setText($("link"), { live: "● ", polling: "▲ ", dead: "■ " }[link] + text);
  setText(document.querySelector("title"), link === "live" ? "Desk · Ticker Site" : `${text} · Desk`);
}

function drawKill(trading) {
  const halted = trading.platform_halt !== undefined;
  kill.disabled = !mayAct;
  kill.title = mayAct ? "" : "Your account may look, not act";
  kill.classList.toggle("kill--release", halted);
  kill.dataset.deed = halted ? "resume" : "halt";
  setText(kill.querySelector(".kill__word"), halted ? "Hold to release" : "Hold to halt");
}

function draw(state, before) {
  setServerClock(state.at);
  drawBar(state);
  drawAlarm(state, before);
  drawKill(state.trading);
  drawTiles(state);
  drawAttention(state.findings, mayAct);
  setText($("accounts-count"), Object.keys(state.accounts).length || "");
  drawMatrix($("matrix"), state.accounts, mayAct);
  drawOrders(state.orders, state.at);
  drawFeed(state.feed, state.at);
  drawProcesses(state.processes);
  drawGreeks(state.greeks);
  drawTimeline(state.timeline);
  $("snapshot-age").replaceChildren(ageOf(state.at, { old: 3, dead: 10 }));
}

const verbs = new Verbs({ url: page.verbs, confirmUrl: page.confirm, word: sayWord });
verbs.start();
holdToArm(kill, () => verbs.ask(kill.dataset.deed));

new Live({ socketPath: page.socket, stateUrl: page.state, signInUrl: page.signIn, onState: draw, onLink: drawLink }).start();

setInterval(() => {
  refreshTimes();
  setText($("clock"), `${clockTime(serverNow())} IST`);
}, 1000);
