// Small words for building and changing the page without touching what has not changed.

/** Make an element: h("p", {class: "dim", title: "…"}, "text", child). */
export function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export function setText(node, text) {
  const wanted = String(text);
  if (node.textContent !== wanted) node.textContent = wanted;
}

export function setTone(node, tone) {
  if (node.dataset.tone !== tone) node.dataset.tone = tone;
}

const prints = new WeakMap();

/** Make the children of `parent` equal to `items`, one node a key; a node is rebuilt only when its item changed. */
export function sync(parent, items, { key, build, print = JSON.stringify }) {
  const old = new Map([...parent.children].map((node) => [node.dataset.key, node]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    const wanted = print(item);
    let node = old.get(name);
    old.delete(name);
    if (!node || prints.get(node) !== wanted) {
      const fresh = build(item);
      fresh.dataset.key = name;
      prints.set(fresh, wanted);
      if (node) {
        keepFocus(node, fresh);
        if (place === node) place = fresh;
      }
      node = fresh;
    }
    if (node !== place) parent.insertBefore(node, place);
    else place = place.nextElementSibling;
  }
  for (const node of old.values()) node.remove();
}

function keepFocus(node, fresh) {
  const name = node.contains(document.activeElement) ? document.activeElement.dataset.focus : undefined;
  node.replaceWith(fresh);
  if (name) fresh.querySelector(`[data-focus="${CSS.escape(name)}"]`)?.focus();
}

// Ages. Every node with data-at shows how long ago that was, and grows old by itself when nothing arrives.

let clockAhead = 0;

export function setServerClock(iso) {
  clockAhead = Date.parse(iso) - Date.now();
}

export const serverNow = () => Date.now() + clockAhead;

/** Make a node that shows the age of `iso`; past `old` and `dead` seconds it says so. */
export function ageOf(iso, { old = Infinity, dead = Infinity, none = "never" } = {}) {
  if (!iso) return h("span", { class: "dim" }, none);
  const node = h("time", { "data-at": iso, datetime: iso, title: new Date(iso).toLocaleString() });
  if (old !== Infinity) node.dataset.old = old;
  if (dead !== Infinity) node.dataset.dead = dead;
  refreshAge(node);
  return node;
}

/** Make a node that counts down to `iso`. */
export function countdownTo(iso, word = "") {
  const node = h("time", { "data-until": iso, "data-word": word, datetime: iso, title: new Date(iso).toLocaleString() });
  refreshCountdown(node);
  return node;
}

export function refreshTimes() {
  document.querySelectorAll("[data-at]").forEach(refreshAge);
  document.querySelectorAll("[data-until]").forEach(refreshCountdown);
}

function refreshAge(node) {
  const seconds = Math.max(0, (serverNow() - Date.parse(node.dataset.at)) / 1000);
  setText(node, span(seconds));
  node.classList.toggle("is-dead", seconds > Number(node.dataset.dead ?? Infinity));
  node.classList.toggle("is-old", seconds > Number(node.dataset.old ?? Infinity));
}

function refreshCountdown(node) {
  const seconds = (Date.parse(node.dataset.until) - serverNow()) / 1000;
  setText(node, seconds > 0 ? `${node.dataset.word} ${span(seconds)}`.trim() : "due now");
}

/** Write a number of seconds as a person would: 0.4 s, 12 s, 3 min, 2 h 05. */
export function span(seconds) {
  if (seconds < 0.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 100) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ${String(Math.floor((seconds % 3600) / 60)).padStart(2, "0")}`;
  return `${Math.floor(seconds / 86400)} days`;
}

export const count = (number) => Number(number ?? 0).toLocaleString("en-IN");

export const clockTime = (iso) =>
  new Date(iso).toLocaleTimeString("en-IN", { hour12: false, timeZone: "Asia/Kolkata" });

/** Make a labelled bar: how much of a limit is used. */
export function meter(name, used, limit, write = count) {
  const share = limit ? Math.min(1, used / limit) : 0;
  const track = h("span", { class: "track", "data-tone": share > 0.95 ? "bad" : share > 0.8 ? "warn" : "" }, h("i"));
  track.firstElementChild.style.width = `${share * 100}%`;
  return h("div", { class: "meter" }, h("span", { class: "meter__name" }, name), track, h("span", {}, `${write(used)} / ${write(limit)}`));
}

const MARKS = { good: "●", warn: "▲", bad: "■", quiet: "○" };

/** Make a chip: a mark, a word and a colour, never the colour alone. */
export function chip(tone, word, title) {
  return h("span", { class: "chip", "data-tone": tone, title }, h("span", { "aria-hidden": "true" }, MARKS[tone]), word);
}

export const mark = (tone) => MARKS[tone];
