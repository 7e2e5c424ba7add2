// Keeps one copy of the state equal to the server's: a socket first, polling while there is none.

const POLL_SECONDS = 5;
const SILENCE_SECONDS = 4;
const SOCKET_FORBIDDEN = 4403;

/** Apply an RFC 7386 merge patch and return the new value. */
export function merge(target, patch) {
  if (patch === null || typeof patch !== "object" || Array.isArray(patch)) return patch;
  const result = target !== null && typeof target === "object" && !Array.isArray(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = merge(result[name], value);
  }
  return result;
}

export class Live {
  #state = null;
  #socket = null;
  #etag = null;
  #failures = 0;
  #heardAt = 0;
  #pollAt = 0;

  constructor({ socketPath, stateUrl, signInUrl, onState, onLink }) {
    Object.assign(this, { socketPath, stateUrl, signInUrl, onState, onLink });
  }

  start() {
    this.#open();
    setInterval(() => this.#watch(), 1000);
    document.addEventListener("visibilitychange", () => document.hidden || this.#watch());
  }

  #open() {
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${this.socketPath}`);
    this.#socket = socket;
    this.#heardAt = Date.now();
    socket.onmessage = (event) => {
      const frame = JSON.parse(event.data);
      this.#heardAt = Date.now();
      this.#failures = 0;
      this.#take(frame.t === "snap" ? frame.state : merge(this.#state, frame.patch));
      this.onLink("live", "Live");
    };
    socket.onclose = (event) => this.#lost(socket, event.code);
  }

  #lost(socket, code) {
    if (socket !== this.#socket) return;
    this.#socket = null;
    if (code === SOCKET_FORBIDDEN) this.#signIn();
    this.#failures += 1;
    this.#pollAt = 0;
    const wait = Math.min(15000, 500 * 2 ** this.#failures) * (0.5 + Math.random());
    setTimeout(() => this.#open(), wait);
  }

  #watch() {
    const socket = this.#socket;
    if (socket && Date.now() - this.#heardAt > SILENCE_SECONDS * 1000) {
      socket.close();
      this.#lost(socket, 0);
    }
    if (this.#failures === 0 || Date.now() < this.#pollAt) return;
    this.#pollAt = Date.now() + POLL_SECONDS * 1000;
    this.#poll();
  }

  async #poll() {
    try {
      const answer = await fetch(this.stateUrl, {
        headers: this.#etag ? { "If-None-Match": this.#etag } : {},
        credentials: "same-origin",
        redirect: "manual",
        cache: "no-store",
        signal: AbortSignal.timeout(4000),
      });
      if (answer.type === "opaqueredirect" || answer.status === 403) return this.#signIn();
      if (answer.status === 200) {
        this.#etag = answer.headers.get("ETag");
        this.#take(await answer.json());
      } else if (answer.status !== 304) throw new Error(`status ${answer.status}`);
      if (this.#failures) this.onLink("polling", `Socket lost, asking every ${POLL_SECONDS} s`);
    } catch {
      this.onLink("dead", "No answer from the server");
    }
  }

  #signIn() {
    location.assign(`${this.signInUrl}?next=${encodeURIComponent(location.pathname)}`);
  }

  #take(state) {
    const before = this.#state;
    this.#state = state;
    this.onState(state, before);
  }
}
