/** Answers of a report, which has no server: whole responses by path; sorting, filtering and search are done here. */

import { outcome } from "./parts.js";

const PAGES = new Map();

/** What the API would answer to `path` with `query`, out of a report. */
export async function answerFrom(report, path, query) {
  const whole = await stored(report, path);
  if (whole === undefined) throw Object.assign(new Error("This is not in the report."), { status: 404 });
  if (/\/targets$/.test(path)) return targets(whole.rows, query);
  if (/\/transcript$/.test(path)) return slice(whole.turns, query, "turns");
  return whole;
}

async function stored(report, path) {
  if (/^\/api\/events/.test(path)) return { version: 0 };
  if (/\/search$/.test(path)) return search(report, path.replace(/\/search$/, ""));
  if (path in report.responses) return report.responses[path];
  const file = report.files?.[path];
  if (!file) return undefined;
  if (!PAGES.has(file)) PAGES.set(file, fetch(file).then((response) => response.json()));
  return PAGES.get(file);
}

function slice(all, query, name) {
  const offset = Number(query.offset ?? 0);
  const limit = Number(query.limit ?? 100);
  return { total: all.length, offset, [name]: all.slice(offset, offset + limit) };
}

function targets(rows, query) {
  const kept = rows.filter((row) => TESTS.every(([name, holds]) => !query[name] || holds(row, String(query[name]))));
  const key = query.sort ?? "position";
  const sign = query.dir === "desc" ? -1 : 1;
  kept.sort((a, b) => order(keyOf(a, key), keyOf(b, key), sign) || a.position - b.position);
  return slice(kept, query, "rows");
}

const among = (name) => (row, value) => value.split(",").includes(String(row[name]));
const TESTS = [
  ["layer", among("layer")],
  ["site", among("site")],
  ["side", among("side")],
  ["status", among("status")],
  ["verdict", (row, value) => value.split(",").includes(outcome(row))],
  ["review", (row, value) => value.split(",").includes(row.review?.verdict ?? "none")],
  ["r_min", (row, least) => row.r !== null && row.r >= Number(least)],
  ["r_max", (row, most) => row.r !== null && row.r <= Number(most)],
  ["drop_min", (row, least) => row.drop !== null && row.drop >= Number(least)],
  ["q", (row, words) => matches(`${row.target} ${row.explanation ?? ""}`, words)],
];

const matches = (text, words) => words.toLowerCase().split(/\s+/).every((word) => text.toLowerCase().includes(word));

const keyOf = (row, key) => (key === "review" ? (row.review?.verdict ?? null) : row[key]);

function order(a, b, sign) {
  if (a === null || b === null) return (a === null) - (b === null); // what is unknown comes last, either way
  return sign * (a < b ? -1 : a > b ? 1 : 0);
}

function search(report, run) {
  return { total: 0, hits: [], run, reason: "A report has no full-text search; filter by words of the explanation instead." };
}
