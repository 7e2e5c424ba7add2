// Client of the tick socket, protocol ticker.v1: reconnects, resumes, and keeps the last row of every instrument.
//
//   const ticks = new TickerClient("/ws/v1/ticks", { onRows: (rows) => paint(rows) });
//   ticks.subscribe({ symbols: ["NSE:INFY"], mode: "quote" });
//
// A row is an object of the fields the server named for its mode. `ticks.rows` maps instrument_token to the last one.

const SUBPROTOCOL = "ticker.v1.json";
const SILENCE_MS = 5000;
const FIRST_DELAY_MS = 500;
const LAST_DELAY_MS = 15000;
const TERMINAL_FROM = 3500;
const TERMINAL_TO = 3999;
const MODES = ["ltp", "quote", "full"];

// Turns a frame's arrays into objects: the server sends the names once, in its welcome.
export function rowsOf(frame, fields) {
  const names = fields[frame.m];
  return frame.d.map((values) => Object.fromEntries(names.map((name, place) => [name, values[place]])));
}

// Remembers how far each (mode, shard) is, and notices a frame that does not follow the last one.
export class Positions {
  constructor() {
    this.known = new Map();
  }

  // Returns false where something in between is missing.
  take(frame) {
    const [shard, epoch, from, to] = frame.s;
    const key = `${frame.m}/${shard}`;
    const held = this.known.get(key);
    if (frame.t === "snap") {
      if (!held || held.epoch !== epoch || held.to > to) this.known.set(key, { shard, epoch, to });
      return true;
    }
    if (held && held.epoch === epoch && from > held.to) return false;
    this.known.set(key, { shard, epoch, to });
    return true;
  }

  // What a subscription of this mode may say it has seen.
  since(mode) {
    return [...this.known.entries()]
      .filter(([key]) => key.startsWith(`${mode}/`))
      .map(([, { shard, epoch, to }]) => [shard, epoch, to]);
  }

  // The oldest position per shard over all modes: what a resume of everything may claim.
  oldest() {
    const oldest = new Map();
    for (const { shard, epoch, to } of this.known.values()) {
      const held = oldest.get(shard);
      if (!held || held[1] !== epoch || held[2] > to) oldest.set(shard, [shard, epoch, to]);
    }
    return [...oldest.values()];
  }
}

// Half of the wait is certain, half is drawn, so that a thousand tabs do not come back as one.
export function delayOf(attempt, random = Math.random) {
  const longest = Math.min(FIRST_DELAY_MS * 2 ** Math.min(attempt, 10), LAST_DELAY_MS);
  return longest / 2 + (longest / 2) * random();
}

export class TickerClient {
  constructor(path, { onRows = () => {}, onState = () => {}, onError = () => {}, window = 8, maxHz = null } = {}) {
    this.path = path;
    this.onRows = onRows;
    this.onState = onState;
    this.onError = onError;
    this.window = window;
    this.maxHz = maxHz;
    this.rows = new Map();
    this.wanted = { ltp: new Set(), quote: new Set(), full: new Set() };
    this.positions = new Positions();
    this.attempt = 0;
    this.ids = 0;
    this.closed = false;
    this.open();
  }

  // Wants instruments by symbol or token; survives reconnects.
  subscribe({ symbols = [], tokens = [], mode = "quote" }) {
    for (const name of [...symbols, ...tokens]) {
      for (const other of MODES) this.wanted[other].delete(name);
      this.wanted[mode].add(name);
    }
    if (this.fields) this.send(this.command(mode, [...symbols, ...tokens], []));
  }

  unsubscribe({ symbols = [], tokens = [] }) {
    for (const name of [...symbols, ...tokens]) for (const mode of MODES) this.wanted[mode].delete(name);
    if (this.fields) this.send({ op: "unsub", id: ++this.ids, symbols, tokens });
  }

  close() {
    this.closed = true;
    clearTimeout(this.retry);
    clearTimeout(this.silence);
    this.socket?.close(1000);
  }

  open() {
    const address = new URL(this.path, globalThis.location?.href);
    address.protocol = address.protocol.replace("http", "ws");
    this.fields = null;
    this.socket = new WebSocket(address, SUBPROTOCOL);
    this.socket.onmessage = (event) => this.take(JSON.parse(event.data));
    this.socket.onclose = (event) => this.lost(event.code);
    this.listen();
    this.onState("connecting");
  }

  // No frame and no heartbeat for five seconds is a dead link, whatever the browser thinks of it.
  listen() {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.socket.close(), SILENCE_MS);
  }

  lost(code) {
    clearTimeout(this.silence);
    this.fields = null;
    if (this.closed || (code >= TERMINAL_FROM && code <= TERMINAL_TO)) {
      this.onState("closed", code);
      return;
    }
    this.onState("lost", code);
    this.retry = setTimeout(() => this.open(), delayOf(this.attempt++));
  }

  take(message) {
    this.listen();
    if (message.t === "d" || message.t === "snap") this.takeRows(message);
    else if (message.t === "welcome") this.welcome(message);
    else if (message.t === "err") this.onError(message);
    else if (message.t === "draining") this.leave(message.after_ms);
    else if (message.t === "stale" || message.t === "live") this.onState(message.t, message.s, message.i);
  }

  // The server ends soon: each client leaves at the moment it was given, and resumes elsewhere.
  leave(afterMs) {
    const ending = this.socket;
    setTimeout(() => ending.close(), afterMs);
    this.onState("draining", afterMs);
  }

  welcome(message) {
    this.fields = message.f;
    this.attempt = 0;
    for (const mode of MODES) {
      if (this.wanted[mode].size) this.send(this.command(mode, [...this.wanted[mode]], this.positions.since(mode)));
    }
    this.onState("open");
  }

  takeRows(frame) {
    const whole = this.positions.take(frame);
    const rows = rowsOf(frame, this.fields);
    for (const row of rows) this.rows.set(row.instrument_token, row);
    this.onRows(rows, frame);
    // After the page has worked: a busy page gets fewer frames, never older ones.
    this.send({ op: "ack", n: 1 });
    if (!whole) this.send({ op: "resume", id: ++this.ids, since: this.positions.oldest() });
  }

  command(mode, names, since) {
    const command = {
      op: "sub",
      id: ++this.ids,
      mode,
      since,
      window: this.window,
      symbols: names.filter((name) => typeof name === "string"),
      tokens: names.filter((name) => typeof name === "number"),
    };
    if (this.maxHz) command.max_hz = this.maxHz;
    return command;
  }

  send(command) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(command));
  }
}
