/** An investigation turn by turn. Long ones are fetched in chunks as they come into view, and what is far from the
 * window is taken out of the page again, with its height kept. */

import { address, get } from "../api.js";
import { h, swap, t } from "../dom.js";
import { count, percent, plural, seconds, usd } from "../format.js";
import { crumbs, empty, failed, waiting } from "../parts.js";
import { change, href, path } from "../router.js";
import { shape } from "../sections/effects.js";
import { findings } from "../sections/findings.js";

const CHUNK = 40;
const GUESS = 120; // pixels a turn, until it was seen

export async function transcriptView({ run, target }, query) {
  const base = address("runs", run, "targets", target);
  const [page, first] = await Promise.all([get(base), get(`${base}/transcript`, { offset: 0, limit: CHUNK })]);
  const place = { run, target };
  const chunks = new Chunks((offset) => get(`${base}/transcript`, { offset, limit: CHUNK }), first, place);
  const node = h("div", { class: "transcript" },
    crumbs([["Runs", href("/")], [run, href(path(["runs", run]))], [target, href(path(["runs", run, "targets", target]))], ["transcript"]]),
    h("h1", {}, "Transcript of ", t(target)),
    totals(page.cost, first.total), findings(place, page),
    first.total ? chunks.node : empty("This explainer left no conversation and called no instrument."));
  const at = query.get("at");
  return {
    title: `transcript of ${target}`,
    node,
    start: () => {
      chunks.watch();
      return at ? chunks.seek(at) : undefined;
    },
    update: (params) => (params.has("at") ? chunks.seek(params.get("at")) : undefined),
    keys: [
      ["j", "next turn", () => chunks.move(1)], ["k", "turn before", () => chunks.move(-1)],
      ["o", "open or fold all calls in view", () => chunks.fold()],
    ],
    dispose: () => chunks.dispose(),
  };
}

function totals(cost, turns) {
  if (!cost) return null;
  const cached = cost.input_tokens ? ` (${percent(cost.cached_tokens / cost.input_tokens)} cached)` : "";
  return h("p", { class: "note" }, `${plural(turns, "turn")}. ${plural(cost.calls ?? 0, "model call")}, ${count(cost.input_tokens)} tokens in${cached}, ${count(cost.output_tokens)} out, ${usd(cost.usd)}, ${seconds(cost.seconds)}.`);
}

/** Turns by chunks: boxes of kept height that are filled while they are near the window. */
class Chunks {
  constructor(fetch, first, place) {
    this.fetch = fetch;
    this.place = place;
    this.total = first.total;
    this.answers = new Map([[0, first]]);
    const n = Math.ceil(first.total / CHUNK);
    this.boxes = Array.from({ length: n }, (_, i) => this.box(i));
    this.node = h("div", { class: "turns", role: "feed", "aria-label": "Turns", "aria-busy": "false" }, this.boxes);
    this.seen = new IntersectionObserver((entries) => entries.forEach((entry) => this.turned(entry)), { rootMargin: "1500px 0px" });
    if (n) this.fill(0);
  }

  box(i) {
    const height = Math.min(CHUNK, this.total - i * CHUNK) * GUESS;
    return h("div", { class: "chunk", data: { chunk: String(i) }, style: { "min-height": `${height}px` } });
  }

  watch() {
    this.boxes.forEach((box) => this.seen.observe(box));
  }

  dispose() {
    this.seen.disconnect();
  }

  turned(entry) {
    const i = Number(entry.target.dataset.chunk);
    if (entry.isIntersecting) this.fill(i);
    else this.drain(i);
  }

  async fill(i) {
    const box = this.boxes[i];
    if (box.firstChild) return;
    swap(box, waiting(6));
    try {
      const answer = this.answers.get(i) ?? (await this.fetch(i * CHUNK));
      this.answers.set(i, answer);
      swap(box, answer.turns.map((turn) => turnOf(turn, this.total, this.place)));
      box.style.setProperty("min-height", "0");
    } catch (error) {
      swap(box, failed(error, () => [swap(box), this.fill(i)]));
    }
  }

  drain(i) {
    const box = this.boxes[i];
    if (!box.firstChild || box.contains(document.activeElement)) return;
    box.style.setProperty("min-height", `${box.offsetHeight}px`);
    swap(box);
    if (this.answers.size > 12) this.answers.delete(i);
  }

  /** Opens the turn with this id, or the one in which the evidence with this id is. */
  async seek(id) {
    const match = /^turn-(\d+)$/.exec(id);
    const order = match ? [Math.floor(Number(match[1]) / CHUNK)] : this.boxes.map((_, i) => i);
    for (const i of order) {
      if (!this.boxes[i]) continue;
      await this.fill(i);
      const turn = [...this.boxes[i].children].find((one) => one.id === id || (one.dataset.evidence ?? "").split(" ").includes(id));
      if (turn) return this.show(turn);
    }
    return undefined;
  }

  show(turn) {
    turn.scrollIntoView({ block: "start" });
    turn.focus({ preventScroll: true });
    turn.classList.add("found");
  }

  move(by) {
    const turns = [...this.node.querySelectorAll("article")];
    const now = turns.findIndex((turn) => turn.getBoundingClientRect().top >= 0);
    const at = turns.indexOf(document.activeElement);
    const next = turns[Math.max(0, Math.min(turns.length - 1, at >= 0 ? at + by : now))];
    if (!next) return;
    next.scrollIntoView({ block: "start" });
    next.focus({ preventScroll: true });
    change({ at: next.id }, { quiet: true });
  }

  fold() {
    const calls = [...this.node.querySelectorAll("details.call")];
    const open = calls.some((call) => !call.open);
    calls.forEach((call) => (call.open = open));
  }
}

const LONG = 1600; // characters of a turn that are shown before it is opened

function turnOf(turn, total, place) {
  const evidence = turn.evidence ?? [];
  return h("article", { class: `turn ${(turn.kind ?? "").replaceAll(" ", "-")}`, id: `turn-${turn.n}`, tabindex: "-1", "aria-posinset": String(turn.n + 1), "aria-setsize": String(total), "aria-label": `turn ${turn.n}, ${turn.kind}`, data: { evidence: evidence.join(" ") } },
    h("header", { class: "line" }, h("a", { class: "n num", href: href(path(["runs", place.run, "targets", place.target, "transcript"], { at: `turn-${turn.n}` })) }, String(turn.n)), h("b", {}, turn.kind), costOf(turn), evidence.length ? h("span", { class: "evidence" }, evidence.map((id) => h("span", { class: "badge" }, t(id)))) : null),
    turn.text ? body(turn.text) : null, (turn.calls ?? []).map(callOf));
}

function costOf(turn) {
  const parts = [
    turn.model, turn.prompt,
    typeof turn.input_tokens === "number" ? `${count(turn.input_tokens)} in${turn.cached_tokens ? ` (${count(turn.cached_tokens)} cached)` : ""}, ${count(turn.output_tokens)} out` : null,
    typeof turn.usd === "number" ? usd(turn.usd) : null, typeof turn.seconds === "number" ? seconds(turn.seconds) : null,
  ].filter(Boolean);
  return h("span", { class: "soft num" }, parts.map((part, i) => [i ? " · " : "", t(part)]));
}

function body(text) {
  if (text.length <= LONG) return h("div", { class: "words" }, t(text, { lines: true }));
  const box = h("div", { class: "words" }, t(`${text.slice(0, LONG)}…`, { lines: true }));
  const open = h("button", { type: "button", class: "quiet", on: { click: () => [swap(box, t(text, { lines: true })), open.remove()] } }, `all ${count(text.length)} characters`);
  return [box, open];
}

/** A tool call, folded: its name and arguments in one line; its result inside. */
function callOf(call) {
  const text = typeof call.arguments === "string" ? call.arguments : JSON.stringify(call.arguments ?? {});
  const inside = h("div", {});
  const fill = () => inside.firstChild || swap(inside, h("h3", {}, "arguments"), shape(parsed(call.arguments)), h("h3", {}, call.error ? "error" : "result"), h("div", { class: call.error ? "against" : "" }, shape(parsed(call.error ?? call.result))));
  return h("details", { class: `call${call.error ? " wrong" : ""}`, on: { toggle: fill } }, h("summary", {}, h("code", {}, h("b", {}, t(call.tool)), " ", h("span", { class: "given" }, t(text.slice(0, 300)))), call.error ? h("span", { class: "against" }, " failed") : null), inside);
}

function parsed(value) {
  if (typeof value !== "string" || !/^\s*[[{]/.test(value)) return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}
