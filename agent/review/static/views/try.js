/** Try it: a text of one's own through the subject, token by token, against what the explanation predicts; two texts
 * compared; any instrument by hand; a target explained again with a note. None of this changes a run's numbers. */

import { address, get, post } from "../api.js";
import { h, say, swap, t } from "../dom.js";
import { schemaForm } from "../form.js";
import { known, number, signed } from "../format.js";
import { heat, heatKey, scaleOf } from "../heat.js";
import { crumbs, empty, failed, field, notice, section } from "../parts.js";
import { linear, line, picture, text as label, ticks, yAxis } from "../plots.js";
import { reviewer } from "../reviewing.js";
import { change, go, href, path } from "../router.js";
import { shape } from "../sections/effects.js";
import { signedMap } from "../sections/predicted.js";

export async function tryView(_, query) {
  const [live, { runs }] = await Promise.all([get("/api/live"), get("/api/runs")]);
  const run = query.get("run") ?? runs.find((one) => one.kind !== "circuit")?.name ?? "";
  const target = query.get("target") ?? "";
  const picker = choose(runs, run, target);
  const head = [crumbs([["Runs", href("/")], ...(run ? [[run, href(path(["runs", run]))]] : []), ["try it"]]), h("h1", {}, "Try it", target ? [" on ", t(target)] : null)];
  const closed = live.live ? null : notice(live.reason || "No subject is loaded. Start the page with `hubel review --live` to run text of your own.");
  const page = run && target ? await get(address("runs", run, "targets", target)) : null;
  const node = h("div", { class: "try" }, head, picker, closed,
    page?.row.explanation ? h("p", { class: "claim" }, t(page.row.explanation)) : null,
    page ? texts({ run, target, side: page.row.side }, query, live.live) : empty("Choose a run and a target to try text on."),
    await instruments(run, target, query, live.live),
    page ? again({ run, target }, (await get(address("runs", run))).run.settings) : null);
  return { title: "Try it", node, keys: [] };
}

function choose(runs, run, target) {
  const runInput = h("select", { name: "run" }, runs.map((one) => h("option", { value: one.name, selected: one.name === run }, one.name)));
  const targetInput = h("input", { name: "target", value: target, placeholder: "mlp.10.888", required: true });
  const sent = (event) => {
    event.preventDefault();
    go(path(["try"], { run: runInput.value, target: targetInput.value.trim() }));
  };
  return h("form", { class: "line choose", on: { submit: sent } }, field("Run", runInput), field("Target", targetInput), h("button", {}, "Choose"));
}

function texts(place, query, live) {
  const first = h("textarea", { rows: "2", name: "text", required: true, maxlength: "4000", value: query.get("text") ?? "He was surprised and disappointed ." });
  const other = h("textarea", { rows: "2", name: "other", maxlength: "4000", value: query.get("other") ?? "" });
  const out = h("div", { "aria-live": "off" });
  const run = async () => {
    swap(out, h("p", { class: "soft" }, "running …"));
    try {
      const body = { text: first.value, ...(other.value.trim() ? { other: other.value } : {}) };
      const answer = await post(`${address("runs", place.run, "targets", place.target)}/try`, body);
      change({ text: first.value, other: other.value }, { quiet: true });
      const maps = answer.maps.map((map) => signedMap(map, place.side));
      swap(out, tried({ maps, difference: signedDifference(answer.difference, place.side) }, (i, word) => replace(maps[0], i, word)));
      say("Activations are shown");
    } catch (error) {
      swap(out, failed(error));
    }
  };
  const replace = (map, i, word) => {
    other.value = map.tokens.map((token, n) => (n === i ? word : token)).join("");
    run();
  };
  const form = h("form", { class: "texts", on: { submit: (event) => [event.preventDefault(), run()] } },
    field("Text", first), field("Compared with", other, "optional; or choose a token below and change it"), h("button", { class: "main", disabled: !live }, "Run it"));
  if (live && query.get("text")) setTimeout(run, 0);
  return section("texts", "Text of your own", "True and predicted activation at every token. Choose a token to change it; the two texts are then shown side by side.", form, out);
}

function tried(answer, changed) {
  const maps = answer.maps;
  const scale = scaleOf(maps.map((map) => map.values)) || 1;
  const guess = scaleOf(maps.map((map) => map.predicted ?? [])) || 1;
  const shown = maps.map((map, n) => h("div", { class: "tried" },
    h("h3", { class: "panel-head" }, maps.length > 1 ? `text ${"AB"[n]}` : "text", heatKey(scale)),
    heat(map, { scale, whole: true, source: false, label: `text ${n + 1}, true`, onPick: n === 0 ? (i) => swapToken(map, i, changed) : null }),
    map.predicted ? h("div", {}, h("h3", { class: "panel-head" }, "predicted", heatKey(guess)), heat(map, { scale: guess, by: "predicted", whole: true, source: false, label: `text ${n + 1}, predicted` })) : null));
  return [shown, h("div", { id: "swap" }), h("figure", {}, traces(maps), h("figcaption", {}, maps.length > 1 ? "Activation by token; solid A, dashed B." : "Activation by token.")), difference(answer.difference)];
}

/** As the maps next to it: of a negative side, more is negative. */
function signedDifference(delta, side) {
  if (side !== "-" || !delta) return delta;
  const turned = (value) => (known(value) ? -value : value);
  return { values: delta.values?.map(turned) ?? null, strongest: turned(delta.strongest) };
}

function difference(delta) {
  if (delta === null || delta === undefined) return null;
  return h("div", { class: "note" }, "Difference, B minus A: ", typeof delta === "number" ? signed(delta) : shape(delta));
}

function swapToken(map, i, changed) {
  const input = h("input", { value: map.tokens[i], "aria-label": `in the place of token ${i}` });
  const form = h("form", { class: "line", on: { submit: (event) => [event.preventDefault(), changed(i, input.value)] } }, "Token ", h("code", {}, t(map.tokens[i])), ` (${i}) becomes `, input, h("button", { class: "main" }, "Compare"));
  swap(document.getElementById("swap"), form);
  input.select();
}

/** Values over tokens: a plot to read next to the heat map. */
function traces(maps) {
  const n = Math.max(...maps.map((map) => map.tokens.length));
  const [width, height, left] = [Math.max(560, Math.min(1100, n * 26)), 190, 44];
  const every = maps.flatMap((map) => map.values.slice(1));
  const [low, high] = [Math.min(0, ...every), Math.max(0.1, ...every)];
  const x = linear(0, Math.max(1, n - 1), left + 12, width - 16);
  const y = linear(low, high, height - 46, 12);
  const names = maps[0].tokens.map((token, i) => label(x(i), height - 30 + (i % 2) * 13, short(token), "tick mid"));
  const bars = maps.length === 1 ? maps[0].values.map((value, i) => (i ? line(x(i), y(0), x(i), y(value), `stem ${value < 0 ? "neg" : "pos"}`, `${number(value, 3)}`) : null)) : [];
  const lines = maps.length > 1 ? maps.map((map, k) => map.values.slice(1).map((value, i) => (i ? line(x(i), y(map.values[i]), x(i + 1), y(value), `trace trace-${k}`) : null))) : [];
  return picture(width, height, "Activation by token", yAxis(y, ticks(low, high, 4), left, width - 12, "activation"), bars, lines, n <= 60 ? names : []);
}

const short = (token) => {
  const text = token.trim();
  return text.length > 6 ? `${text.slice(0, 5)}…` : text;
};

async function instruments(run, target, query, live) {
  try {
    const { instruments: all } = await get("/api/instruments");
    return instrumentPart(all, run, target, query, live);
  } catch (error) {
    return section("instruments", "Instruments", null, failed(error));
  }
}

function instrumentPart(all, run, target, query, live) {
  const box = h("div", {});
  const select = h("select", { name: "tool", on: { change: () => pick(select.value) } }, all.map((one) => h("option", { value: one.name, selected: one.name === query.get("tool") }, `${one.name} – ${one.summary}`)));
  const pick = (name) => {
    change({ tool: name }, { quiet: true });
    const one = all.find((instrument) => instrument.name === name);
    if (one) swap(box, instrument(one, run, target, live));
  };
  if (all.length) pick(select.value);
  return section("instruments", "Instruments", "Any of them by hand, from a form made out of its schema. They refuse held-out text.", all.length ? [field("Instrument", select), box] : empty("None is registered."));
}

function instrument(one, run, target, live) {
  const unit = target.replace(/[+-]$/, "");
  const form = schemaForm(one.schema, { unit, units: unit ? [unit] : undefined, ...(one.schema.properties?.target ? { target } : {}) });
  const out = h("div", {});
  const sent = async (event) => {
    event.preventDefault();
    swap(out, h("p", { class: "soft" }, "running …"));
    try {
      const answer = await post(address("instruments", one.name), { run, arguments: form.read() });
      say(`${one.name} answered`);
      swap(out, answer.rendered ? h("pre", { class: "rendered" }, t(answer.rendered, { lines: true })) : null, h("details", {}, h("summary", {}, "Result as data"), shape(answer.result)));
    } catch (error) {
      swap(out, failed(error));
    }
  };
  return h("form", { class: "instrument", on: { submit: sent } }, h("p", { class: "note" }, t(one.description ?? "", { lines: true })), form.node, h("button", { class: "main", disabled: !live }, `Call ${one.name}`), out);
}

/** A language model gets a note; the formula search, which reads no notes, gets other text. */
function again(place, settings) {
  const reads = /^(openai|anthropic):/.test(settings.explainer ?? "");
  const note = h("textarea", { rows: "2", required: reads, maxlength: "2000", placeholder: reads ? "It also fires on …; look at the negative side" : "why, for other readers" });
  const contexts = h("input", { type: "number", min: "1", max: "100000", required: true, value: String(settings.max_contexts ?? 2000) });
  const seed = h("input", { type: "number", min: "0", required: true, value: String((settings.seed ?? 0) + (reads ? 0 : 1)) });
  const out = h("div", { role: "status" });
  const sent = async (event) => {
    event.preventDefault();
    const name = await reviewer();
    if (!name) return;
    try {
      const body = { note: note.value, max_contexts: Number(contexts.value), seed: Number(seed.value), name };
      const { job } = await post(`${address("runs", place.run, "targets", place.target)}/explain-again`, body);
      await followed(job, out, place.target);
    } catch (error) {
      swap(out, failed(error));
    }
  };
  const why = reads ? "The same explainer with your note, in a new run; the two are shown side by side afterwards." : [t(settings.explainer ?? "This explainer"), " searches formulas and reads no notes: it is run again on other text of the corpus, in a new run."];
  const other = h("div", { class: "line" }, field("Contexts a split", contexts, "more narrow the intervals"), field("Seed", seed, "another one draws other contexts"));
  return section("again", "Explain this again", why, h("form", { on: { submit: sent } }, field(reads ? "Note to the explainer" : "Note", note), reads ? h("details", {}, h("summary", {}, "Other text"), other) : other, h("button", { class: "main" }, "Explain again")), out);
}

async function followed(job, out, target) {
  for (;;) {
    const { state, run, error } = await get(address("jobs", job));
    if (error || state === "failed") return swap(out, failed(new Error(error ?? "It failed.")));
    if (state === "done") return swap(out, h("p", {}, "Done: ", h("a", { href: href(path(["runs", run, "targets", target])) }, t(run))));
    swap(out, h("p", { class: "soft" }, h("i", { class: "pulse" }), ` ${state} …`));
    await new Promise((resolve) => setTimeout(resolve, 1500));
  }
}
