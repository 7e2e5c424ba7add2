// Two plots as SVG: volatilities over strikes, and profit over the underlying.

const NAMESPACE = "http://www.w3.org/2000/svg";
const EDGE = { left: 46, right: 12, top: 12, bottom: 24 };

function draw(parent, tag, attributes, text) {
  const node = document.createElementNS(NAMESPACE, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  parent.append(node);
  return node;
}

export function say(host, text) {
  const node = document.createElement("p");
  node.className = "nothing";
  node.textContent = text;
  host.replaceChildren(node);
}

/** Return about `count` round numbers between two ends. */
export function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step) found.push(at);
  return found;
}

function frame(host, { xs, ys, label, xText, yText }) {
  const width = host.clientWidth || 600;
  const height = host.clientHeight || 220;
  const [left, right] = [Math.min(...xs), Math.max(...xs)];
  const spread = Math.max(...ys) - Math.min(...ys) || Math.abs(ys[0]) || 1;
  const [low, high] = [Math.min(...ys) - spread * 0.06, Math.max(...ys) + spread * 0.06];
  const x = (value) => EDGE.left + ((value - left) / (right - left || 1)) * (width - EDGE.left - EDGE.right);
  const y = (value) => EDGE.top + ((high - value) / (high - low)) * (height - EDGE.top - EDGE.bottom);
  const svg = document.createElementNS(NAMESPACE, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label);
  for (const at of ticks(low, high, 4)) {
    draw(svg, "line", { class: "grid", x1: EDGE.left, x2: width - EDGE.right, y1: y(at), y2: y(at) });
    draw(svg, "text", { x: EDGE.left - 7, y: y(at) + 4, "text-anchor": "end" }, yText(at));
  }
  for (const at of ticks(left, right, Math.max(3, Math.floor(width / 110)))) {
    draw(svg, "text", { x: x(at), y: height - 7, "text-anchor": "middle" }, xText(at));
  }
  host.replaceChildren(svg);
  return { svg, x, y, width, height, low, high };
}

function line(box, points, name) {
  const path = points.map(([at, value], place) => `${place ? "L" : "M"}${box.x(at).toFixed(1)} ${box.y(value).toFixed(1)}`);
  draw(box.svg, "path", { class: name, d: path.join("") });
}

function marker(box, at, text) {
  draw(box.svg, "line", { class: "mark", x1: box.x(at), x2: box.x(at), y1: EDGE.top, y2: box.height - EDGE.bottom });
  draw(box.svg, "text", { class: "mark-text", x: box.x(at) + 5, y: EDGE.top + 9 }, text);
}

/** Draw `points` ({strike, iv, side, outside}) in per cent, the fitted curve through them and the forward. */
export function drawSmile(host, { points, fit, forward }) {
  if (points.length < 2) return say(host, "No volatilities yet");
  const near = points.filter((point) => point.outside);
  const shown = near.length > 4 ? near : points;
  const xs = shown.map((point) => point.strike);
  const ys = shown.map((point) => point.iv * 100);
  const box = frame(host, {
    xs,
    ys: [...ys, ...fit.map(([, iv]) => iv * 100)],
    label: `Implied volatility over ${xs.length} strikes, ${Math.min(...ys).toFixed(1)} to ${Math.max(...ys).toFixed(1)} per cent`,
    xText: (value) => value.toLocaleString("en-IN"),
    yText: (value) => `${value.toFixed(1)} %`,
  });
  if (fit.length > 1) line(box, fit.map(([strike, iv]) => [strike, iv * 100]), "fit");
  for (const point of shown) {
    const [x, y] = [box.x(point.strike), box.y(point.iv * 100)];
    const name = `${point.side === "CE" ? "call" : "put"}${point.doubtful ? " is-faint" : ""}`;
    const node = point.side === "CE"
      ? draw(box.svg, "circle", { class: name, cx: x, cy: y, r: 3 })
      : draw(box.svg, "rect", { class: name, x: x - 2.6, y: y - 2.6, width: 5.2, height: 5.2 });
    draw(node, "title", {}, `${point.strike} ${point.side} ${(point.iv * 100).toFixed(2)} %`);
  }
  if (forward > Math.min(...xs) && forward < Math.max(...xs)) marker(box, forward, `forward ${forward.toFixed(0)}`);
}

/** Draw profit now and at expiry over the levels of the underlying. */
export function drawPayoff(host, { levels, today, expiry, spot, breakEvens }) {
  const box = frame(host, {
    xs: levels,
    ys: [...today, ...expiry, 0],
    label: `Profit at expiry from ${Math.min(...expiry).toFixed(0)} to ${Math.max(...expiry).toFixed(0)} rupees; break-even at ${breakEvens.map((at) => at.toFixed(0)).join(", ") || "no level shown"}`,
    xText: (value) => value.toLocaleString("en-IN"),
    yText: (value) => short(value),
  });
  const zero = box.y(0);
  for (const [name, keep] of [["gain", Math.max], ["loss", Math.min]]) {
    const edge = levels.map((at, place) => `L${box.x(at).toFixed(1)} ${box.y(keep(expiry[place], 0)).toFixed(1)}`);
    draw(box.svg, "path", { class: name, d: `M${box.x(levels[0])} ${zero}${edge.join("")}L${box.x(levels.at(-1))} ${zero}Z` });
  }
  draw(box.svg, "line", { class: "zero", x1: EDGE.left, x2: box.width - EDGE.right, y1: zero, y2: zero });
  line(box, levels.map((at, place) => [at, today[place]]), "today");
  line(box, levels.map((at, place) => [at, expiry[place]]), "expiry");
  marker(box, spot, `${spot.toFixed(0)}`);
}

/** Return where a broken line crosses zero. */
export function crossings(levels, values) {
  const found = [];
  for (let at = 1; at < values.length; at += 1) {
    const [before, after] = [values[at - 1], values[at]];
    if (before === 0 || before * after >= 0) continue;
    found.push(levels[at - 1] + ((levels[at] - levels[at - 1]) * before) / (before - after));
  }
  return found;
}

/** Write rupees shortly: 1.2 L, 3.4 Cr. */
export function short(value) {
  const size = Math.abs(value);
  if (size >= 1e7) return `${(value / 1e7).toFixed(2)} Cr`;
  if (size >= 1e5) return `${(value / 1e5).toFixed(2)} L`;
  if (size >= 1e3) return `${(value / 1e3).toFixed(1)} k`;
  return value.toFixed(0);
}
