// The chain socket of one page: one chain at a time, opened again when it dies, and the API beside it.

const SILENCE_SECONDS = 15;
const FORBIDDEN = new Set([4401, 4403, 3500]);

export class Link {
  #socket = null;
  #failures = 0;
  #heardAt = 0;
  #chain = null;

  constructor({ path, onFrame, onLink, onForbidden }) {
    Object.assign(this, { path, onFrame, onLink, onForbidden });
  }

  start() {
    this.#open();
    setInterval(() => this.#watch(), 1000);
  }

  /** Follow this chain instead of the one before. */
  follow(chain) {
    const before = this.#chain;
    this.#chain = chain;
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    if (before && before !== chain) this.#socket.send(JSON.stringify({ op: "unsub", id: 1, chain: before }));
    this.#socket.send(JSON.stringify({ op: "sub", id: 2, chain }));
  }

  #open() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}${this.path}`);
    this.#socket = socket;
    this.#heardAt = Date.now();
    socket.onopen = () => this.#chain && this.follow(this.#chain);
    socket.onmessage = (event) => {
      if (socket !== this.#socket) return;
      this.#heardAt = Date.now();
      this.#failures = 0;
      const frame = JSON.parse(event.data);
      this.onLink("live", "Live");
      if (frame.chain === undefined || frame.chain === this.#chain) this.onFrame(frame);
    };
    socket.onclose = (event) => this.#lost(socket, event.code);
  }

  #lost(socket, code) {
    if (socket !== this.#socket) return;
    this.#socket = null;
    if (FORBIDDEN.has(code)) this.onForbidden();
    this.#failures += 1;
    this.onLink("lost", "Reconnecting");
    setTimeout(() => this.#open(), Math.min(15000, 500 * 2 ** this.#failures) * (0.5 + Math.random()));
  }

  #watch() {
    if (this.#socket && Date.now() - this.#heardAt > SILENCE_SECONDS * 1000) {
      const socket = this.#socket;
      socket.close();
      this.#lost(socket, 0);
    }
  }
}

/** Ask the API; throws with the problem's own words. */
export async function ask(path, { method = "GET", body } = {}) {
  const headers = { Accept: "application/json" };
  if (body) {
    headers["Content-Type"] = "application/json";
    headers["X-CSRFToken"] = document.querySelector("[name=csrfmiddlewaretoken]").value;
  }
  const answer = await fetch(`/api/v1/${path}`, {
    method,
    headers,
    body: body && JSON.stringify(body),
    credentials: "same-origin",
    cache: "no-store",
    signal: AbortSignal.timeout(8000),
  });
  const document_ = await answer.json();
  if (!answer.ok) throw new Error(document_.detail ?? `${answer.status}`);
  return document_;
}
