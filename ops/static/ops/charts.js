// Charts of the minutes this page has been open: one line a series, redrawn when a second's state arrives.

import { count, h, sync } from "./dom.js";

const KEPT_SECONDS = 600;
const INKS = ["accent", "warn", "good", "bad"];

/** A chart of what happened since the page was opened; what a reader needs stands beside it as text. */
export class Trace {
  #plot = null;
  #names = [];
  #at = [];
  #values = new Map();

  constructor(host, { unit }) {
    this.host = host;
    this.unit = unit;
    this.box = h("div", { class: "chart__box", "aria-hidden": "true" });
    this.now = h("p", { class: "chart__now" });
    host.append(this.now, this.box);
    new ResizeObserver(() => this.#fit()).observe(this.box);
  }

  /** Take one moment's values by series; null where nothing was measured. */
  push(at, values) {
    const seconds = Date.parse(at) / 1000;
    if (seconds <= this.#at.at(-1)) return;
    for (const name of Object.keys(values)) if (!this.#values.has(name)) this.#values.set(name, this.#at.map(() => null));
    this.#at.push(seconds);
    for (const [name, held] of this.#values) held.push(values[name] ?? null);
    while (this.#at[0] < seconds - KEPT_SECONDS) {
      this.#at.shift();
      for (const held of this.#values.values()) held.shift();
    }
    this.#say(values);
    if (!document.hidden) this.#draw();
  }

  #say(values) {
    const parts = Object.entries(values).map(([name, value], place) => ({ name, value, place }));
    sync(this.now, parts, {
      key: (part) => part.name,
      build: (part) =>
        h(
          "span",
          { class: `ink ink--${INKS[part.place % INKS.length]}` },
          h("i", { "aria-hidden": "true" }),
          h("span", {}, `${part.name} ${part.value === null || part.value === undefined ? "not measured" : `${count(Math.round(part.value * 10) / 10)} ${this.unit}`}`),
        ),
    });
  }

  #draw() {
    const names = [...this.#values.keys()];
    if (!this.#plot || names.join() !== this.#names.join()) this.#build(names);
    this.#plot.setData([this.#at, ...this.#values.values()]);
  }

  #build(names) {
    this.#plot?.destroy();
    this.#names = names;
    const soft = () => inkOf(this.host, "soft");
    const grid = { stroke: () => inkOf(this.host, "line"), width: 1 };
    const axis = { stroke: soft, grid, ticks: { show: false }, font: "11px Inter, system-ui, sans-serif" };
    this.#plot = new window.uPlot(
      {
        ...this.#size(),
        legend: { show: false },
        cursor: { show: false },
        scales: { y: { range: (_, low, high) => [Math.min(0, low ?? 0), Math.max(1, (high ?? 0) * 1.15)] } },
        axes: [{ ...axis, size: 22, values: (_, at) => at.map((seconds) => clock(seconds, at.at(-1) - at[0] < 300)) }, { ...axis, size: 44, values: (_, at) => at.map((value) => count(value)) }],
        series: [{}, ...names.map((name, place) => ({ label: name, width: 1.6, points: { show: false }, stroke: () => inkOf(this.host, INKS[place % INKS.length]) }))],
      },
      [this.#at, ...this.#values.values()],
      this.box,
    );
  }

  #size() {
    return { width: Math.max(120, this.box.clientWidth), height: Math.max(60, this.box.clientHeight) };
  }

  #fit() {
    this.#plot?.setSize(this.#size());
  }
}

const clock = (seconds, exact) =>
  new Date(seconds * 1000).toLocaleTimeString("en-IN", { hour12: false, hour: "2-digit", minute: "2-digit", second: exact ? "2-digit" : undefined, timeZone: "Asia/Kolkata" });

// A canvas takes no light-dark(): the browser resolves the colour of a probe instead.
function inkOf(host, name) {
  const probe = host.querySelector(`:scope > .probe--${name}`) ?? host.appendChild(h("span", { class: `probe probe--${name}`, hidden: true }));
  return getComputedStyle(probe).color;
}
