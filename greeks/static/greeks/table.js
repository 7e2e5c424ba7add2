// The chain as a table: built once for a layout, then changed cell by cell.

import { count, h, setText } from "../ops/dom.js";

const PLAIN = (decimals) => (value) => value.toFixed(decimals);
const SIGNED = (value) => `${value > 0 ? "+" : value < 0 ? "−" : ""}${count(Math.abs(value))}`;
const COLUMNS = [
  { name: "oi", title: "OI", show: count, at: "outer" },
  { name: "oi_change", title: "OI change", show: SIGNED, at: "widest" },
  { name: "volume", title: "Volume", show: count, at: "wide" },
  { name: "rho", title: "Rho", show: PLAIN(2), at: "wide" },
  { name: "vega", title: "Vega", show: PLAIN(2), at: "middle" },
  { name: "theta", title: "Theta", show: PLAIN(2), at: "middle" },
  { name: "gamma", title: "Gamma", show: PLAIN(5), at: "middle" },
  { name: "delta", title: "Delta", show: PLAIN(2), at: "" },
  { name: "iv", title: "IV", show: (value) => `${(value * 100).toFixed(2)}%`, at: "" },
  { name: "price", title: "Price", show: PLAIN(2), at: "" },
];
const DOUBTS = new Set(["stale_price", "stale_forward", "wide_spread", "near_expiry"]);

const STILL = matchMedia("(prefers-reduced-motion: reduce)");

/** Let a cell light up for a moment; an animation of its own costs no layout, however many cells change at once. */
function glow(node, colour) {
  if (STILL.matches || document.hidden) return;
  node.animate([{ backgroundColor: `var(${colour})` }, {}], { duration: 900, easing: "ease-out" });
}

export class ChainTable {
  #cells = new Map();
  #rows = new Map();
  #buttons = new Map();
  #split = null;

  constructor({ head, body, onLeg }) {
    Object.assign(this, { head, body, onLeg });
    addEventListener("resize", () => this.#span());
  }

  /** Build the table for a chain's columns. */
  build(columns) {
    this.#cells.clear();
    this.#rows.clear();
    this.#buttons.clear();
    this.#split = null;
    const strikes = [...new Set(columns.strike)].sort((a, b) => a - b);
    const places = new Map(columns.strike.map((strike, row) => [`${strike}${columns.side[row]}`, row]));
    const title = ({ title: text, at }) => h("th", { scope: "col", class: at }, text);
    this.head.replaceChildren(
      h("tr", {},
        h("th", { scope: "colgroup" }, "Calls"), h("td", { class: "strike" }), h("th", { scope: "colgroup" }, "Puts")),
      h("tr", {}, h("th", { class: "side" }, h("span", { class: "unseen" }, "Trade")), ...COLUMNS.map(title),
        h("th", { scope: "col", class: "strike" }, "Strike"), ...[...COLUMNS].reverse().map(title),
        h("th", { class: "side" }, h("span", { class: "unseen" }, "Trade"))),
    );
    this.#span();
    this.body.replaceChildren(...strikes.map((strike) => this.#row(strike, places)));
  }

  /** Let the two headings span the columns that the width leaves visible. */
  #span() {
    const [top, titles] = this.head.children;
    if (!titles) return;
    const visible = [...titles.children].slice(0, COLUMNS.length + 1).filter((cell) => getComputedStyle(cell).display !== "none");
    for (const cell of top.querySelectorAll("[scope]")) cell.colSpan = visible.length;
  }

  #row(strike, places) {
    const [call, put] = [places.get(`${strike}CE`), places.get(`${strike}PE`)];
    const node = h("tr", {}, this.#trade(call, strike, "CE"), ...COLUMNS.map((column) => this.#cell(call, column)),
      h("th", { scope: "row", class: "strike" }, strike.toLocaleString("en-IN")),
      ...[...COLUMNS].reverse().map((column) => this.#cell(put, column)), this.#trade(put, strike, "PE"));
    this.#rows.set(strike, node);
    return node;
  }

  #trade(row, strike, side) {
    const cell = h("td", { class: "side" });
    if (row === undefined) return cell;
    const make = (word, lots, name) => {
      const button = h("button", { type: "button", class: name, "aria-pressed": "false", "aria-label": `${name} ${strike} ${side}` }, word);
      button.addEventListener("click", () => this.onLeg(row, lots));
      return button;
    };
    const pair = [make("B", 1, "buy"), make("S", -1, "sell")];
    this.#buttons.set(row, pair);
    cell.append(...pair);
    return cell;
  }

  #cell(row, column) {
    const node = h("td", { class: `${column.at} ${column.name}`.trim() });
    if (row !== undefined) this.#cells.set(`${row}${column.name}`, { node, value: undefined });
    return node;
  }

  /** Write the rows that changed; `flash` shows which way a price or a volatility went. */
  write(columns, rows, flash) {
    for (const row of rows) {
      for (const column of COLUMNS) this.#put(row, column, columns[column.name][row], columns.flags[row], flash);
    }
  }

  #put(row, column, value, flags, flash) {
    const cell = this.#cells.get(`${row}${column.name}`);
    if (!cell) return;
    const known = value !== null && value !== undefined;
    setText(cell.node, known ? column.show(value) : "–");
    cell.node.classList.toggle("none", !known);
    if (column.name === "iv" || !known) {
      const doubtful = flags.some((flag) => DOUBTS.has(flag));
      cell.node.classList.toggle("flagged", known && doubtful);
      const why = flags.map((flag) => flag.replaceAll("_", " ")).join(", ");
      if (cell.node.title !== why) cell.node.title = why;
    }
    if (flash && known && cell.value !== undefined && cell.value !== value && (column.name === "price" || column.name === "iv")) {
      glow(cell.node, value > cell.value ? "--good-ground" : "--bad-ground");
    }
    cell.value = known ? value : undefined;
  }

  /** Shade what is in the money and mark the strike nearest to the forward; return that strike. */
  centre(forward) {
    const strikes = [...this.#rows.keys()];
    const nearest = strikes.reduce((best, at) => (Math.abs(at - forward) < Math.abs(best - forward) ? at : best), strikes[0]);
    const split = `${nearest}:${strikes.filter((at) => at < forward).length}`;
    if (split === this.#split) return nearest;
    this.#split = split;
    for (const [strike, node] of this.#rows) {
      node.classList.toggle("is-atm", strike === nearest);
      const [calls, puts] = [[...node.children].slice(0, COLUMNS.length + 1), [...node.children].slice(COLUMNS.length + 2)];
      for (const cell of calls) cell.classList.toggle("is-inside", strike < forward);
      for (const cell of puts) cell.classList.toggle("is-inside", strike > forward);
    }
    return nearest;
  }

  /** Bring a strike into the middle of the table's own window. */
  show(strike) {
    const node = this.#rows.get(strike);
    const box = node?.closest(".scroll");
    if (!box) return;
    const middle = node.querySelector(".strike");
    box.scrollTop = node.offsetTop - box.clientHeight / 2;
    box.scrollLeft = middle.offsetLeft + (middle.offsetWidth - box.clientWidth) / 2;
  }

  /** Show which legs are chosen: a map from row to lots. */
  choose(legs) {
    for (const [row, [buy, sell]] of this.#buttons) {
      const lots = legs.get(row) ?? 0;
      buy.setAttribute("aria-pressed", String(lots > 0));
      sell.setAttribute("aria-pressed", String(lots < 0));
    }
  }
}
