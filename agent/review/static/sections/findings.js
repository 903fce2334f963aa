/** What the explainer concluded: each number and quotation links to the experiment that it comes from; those
 * without evidence are marked. */

import { h, t } from "../dom.js";
import { plural } from "../format.js";
import { section } from "../parts.js";
import { href, path } from "../router.js";

export function findings(place, { findings: text, claims, hypotheses }) {
  if (!text) return null;
  const open = (claims ?? []).filter((claim) => !claim.evidence.length).length;
  const note = claims?.length ? `${plural(claims.length, "claim")}, ${open ? `${open} without evidence` : "each with its evidence"}.` : "The explainer's own words.";
  const experiments = new Set((hypotheses ?? []).flatMap((one) => (one.experiments ?? []).map((experiment) => experiment.id)));
  return section("findings", "Findings", note, h("p", { class: "findings" }, traced(text, claims ?? [], place, experiments)), elsewhere(text, claims ?? [], place, experiments));
}

/** The text with its claims linked: each claim at its first place that no other claim has taken. */
function traced(text, claims, place, experiments) {
  const spots = [];
  for (const claim of claims) {
    let start = text.indexOf(claim.text);
    while (start >= 0 && spots.some((spot) => start < spot.end && spot.start < start + claim.text.length)) start = text.indexOf(claim.text, start + 1);
    if (start >= 0 && claim.text) spots.push({ start, end: start + claim.text.length, claim });
  }
  const parts = [];
  let last = 0;
  for (const { start, end, claim } of spots.toSorted((a, b) => a.start - b.start)) {
    parts.push(t(text.slice(last, start), { lines: true }), traceOf(text.slice(start, end), claim, place, experiments));
    last = end;
  }
  return [...parts, t(text.slice(last), { lines: true })];
}

function traceOf(words, claim, { run, target }, experiments) {
  if (!claim.evidence.length) return h("mark", { class: "unsupported", title: "no evidence in the log supports this" }, t(words), h("sup", {}, "no evidence"));
  const links = claim.evidence.map((id) => h("a", { href: href(experiments.has(id) ? path(["runs", run, "targets", target], { at: id }) : path(["runs", run, "targets", target, "transcript"], { at: id })) }, t(id)));
  return h("span", { class: "supported" }, t(words), h("sup", {}, links.map((link, i) => [i ? " " : "", link])));
}

/** Claims that are in the explanation itself and not in the findings. */
function elsewhere(text, claims, place, experiments) {
  const rest = claims.filter((claim) => !text.includes(claim.text));
  if (!rest.length) return null;
  return h("p", { class: "note" }, "In the explanation: ", rest.map((claim, i) => [i ? ", " : "", traceOf(claim.text, claim, place, experiments)]));
}
