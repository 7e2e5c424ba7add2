// What an operator can do: every verb first shows what it will touch, then asks for a reason.

import { h, setText } from "./dom.js";

const HOLD_MILLISECONDS = 1000;
// Six digits of an app, or a recovery code; anything else is a password.
const CODE = /^(\d{3} ?\d{3}|([a-z2-7]{4}-){3}[a-z2-7]{4})$/i;
const $ = (id) => document.getElementById(id);

export class Verbs {
  #verb = null;
  #target = "";
  // Whether the next confirmation asks a second person instead of doing it.
  #asking = false;

  constructor({ url, confirmUrl, word }) {
    Object.assign(this, { url, confirmUrl, word });
  }

  start() {
    document.addEventListener("click", (event) => {
      const button = event.target.closest("[data-verb]");
      if (button) this.ask(button.dataset.verb, button.dataset.target);
    });
    $("verb-cancel").addEventListener("click", () => $("verb").close());
    $("verb-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#confirm();
    });
  }

  async ask(verb, target = "") {
    this.#verb = verb;
    this.#target = target;
    const answer = await this.#call("GET", new URLSearchParams({ target }));
    if (!answer.ok) return this.word("bad", answer.body.detail);
    this.#show(answer.body);
  }

  #show(preview) {
    setText($("verb-title"), preview.title);
    setText($("verb-text"), preview.text);
    $("verb-touch").replaceChildren(...preview.touches.map((touch) => h("p", {}, h("b", {}, touch.count), h("span", {}, touch.what))));
    $("verb-fields").replaceChildren(...preview.choices.flatMap(choiceNodes));
    setText($("verb-confirm"), preview.confirm);
    $("verb-confirm").classList.toggle("is-mild", preview.mild);
    $("verb-confirm").disabled = false;
    $("verb-reason").value = "";
    this.#asking = false;
    this.#wantProof(false);
    setText($("verb-error"), "");
    $("verb").showModal();
    $("verb-reason").focus();
  }

  async #confirm() {
    const form = new FormData($("verb-form"));
    form.set("target", this.#target);
    if (this.#asking) form.set("ask", "1");
    $("verb-confirm").disabled = true;
    const proof = await this.#prove();
    const answer = proof.ok ? await this.#call("POST", form) : proof;
    $("verb-confirm").disabled = false;
    if (!answer.ok) return this.#refused(answer.body);
    $("verb").close();
    this.word("good", answer.body.done);
  }

  #refused(problem) {
    setText($("verb-error"), problem.detail);
    if (problem.code === "step_up_needed") this.#wantProof(true);
    if (problem.code === "approval_needed" && !this.#asking) {
      this.#asking = true;
      setText($("verb-confirm"), "Ask a second person");
    }
  }

  #wantProof(wanted) {
    $("verb-proof").hidden = !wanted;
    $("verb-proof-text").value = "";
    if (wanted) $("verb-proof-text").focus();
  }

  async #prove() {
    const text = $("verb-proof-text").value;
    if ($("verb-proof").hidden) return { ok: true };
    const form = new FormData();
    form.set(CODE.test(text.trim()) ? "code" : "password", text);
    const answer = await this.#send(this.confirmUrl, "POST", form);
    if (answer.ok) this.#wantProof(false);
    return answer;
  }

  #call(method, parameters) {
    const asking = method === "GET";
    return this.#send(`${this.url}${this.#verb}${asking ? `?${parameters}` : ""}`, method, asking ? undefined : parameters);
  }

  async #send(address, method, body) {
    try {
      const answer = await fetch(address, {
        method,
        body,
        headers: { "X-CSRFToken": document.querySelector("[name=csrfmiddlewaretoken]").value, Accept: "application/json" },
        credentials: "same-origin",
        signal: AbortSignal.timeout(12000),
      });
      const json = answer.headers.get("Content-Type")?.includes("json");
      return { ok: answer.ok, body: json ? await answer.json() : { detail: `The server answered ${answer.status}` } };
    } catch (error) {
      const detail = error.name === "TimeoutError" ? "No answer in 12 s: look at the state before trying again" : "The server cannot be reached";
      return { ok: false, body: { detail } };
    }
  }
}

function choiceNodes(choice) {
  const select = h("select", { id: `choice-${choice.name}`, name: choice.name });
  for (const option of choice.options) select.append(h("option", { value: option.value }, option.text));
  return [h("label", { for: select.id }, choice.label), select];
}

/** Call `then` once the button was held for a second, by pointer or by key. */
export function holdToArm(button, then) {
  let timer = 0;
  const end = () => {
    clearTimeout(timer);
    timer = 0;
    button.classList.remove("is-held");
  };
  const begin = () => {
    if (timer || button.disabled) return;
    button.classList.add("is-held");
    timer = setTimeout(() => {
      end();
      then();
    }, HOLD_MILLISECONDS);
  };
  const isKey = (event) => event.key === " " || event.key === "Enter";
  button.addEventListener("pointerdown", (event) => event.button === 0 && begin());
  for (const name of ["pointerup", "pointerleave", "pointercancel", "blur"]) button.addEventListener(name, end);
  button.addEventListener("keydown", (event) => {
    if (!isKey(event)) return;
    event.preventDefault();
    begin();
  });
  button.addEventListener("keyup", (event) => isKey(event) && end());
  button.addEventListener("contextmenu", (event) => event.preventDefault());
}
