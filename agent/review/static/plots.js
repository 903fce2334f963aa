/** Small plots as SVG with axes, units and n. Colours come from the style sheet, so that both themes and print work.
 * A verdict is a shape and a colour: kept a filled disc, inconclusive a ring, rejected a cross. */

import { h, s, visible } from "./dom.js";
import { count, known, number, value3 } from "./format.js";

const LEFT = 52;
const RIGHT = 12;
const TOP = 12;
const BOTTOM = 38;

/** A linear map of [low, high] to [start, end], clipped. */
export function linear(low, high, start, end) {
  const span = high - low || 1;
  return (value) => start + ((end - start) * (Math.min(Math.max(value, low), high) - low)) / span;
}

/** Round numbers within [low, high]: about n of them. */
export function ticks(low, high, n = 5) {
  const rough = (high - low) / n || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((size) => size >= rough * 0.99);
  const marks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-6; i += 1) marks.push(Number((i * step).toPrecision(10)));
  return marks;
}

export const line = (x1, y1, x2, y2, cls, tip = null) => s("line", { x1, y1, x2, y2, class: cls, "data-tip": tip });
export const text = (x, y, what, cls) => s("text", { x, y, class: cls }, what);

export function picture(width, height, label, ...parts) {
  const drawn = s("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, "aria-label": visible(label) }, parts);
  drawn.setAttribute("role", drawn.querySelector("a") ? "group" : "img"); // an image has no links inside
  return drawn;
}

/** The mark of a verdict at a place. */
export function mark(x, y, verdict, tip, radius = 4) {
  if (verdict === "rejected") {
    const r = radius * 0.85;
    return s("path", { class: "mark rejected", d: `M${x - r} ${y - r}l${2 * r} ${2 * r}m0 ${-2 * r}l${-2 * r} ${2 * r}`, "data-tip": tip });
  }
  return s("circle", { class: `mark ${verdict ?? ""}`, cx: x, cy: y, r: radius, "data-tip": tip });
}

export function xAxis(x, marks, bottom, title, right) {
  return [
    marks.map((v) => [line(x(v), bottom, x(v), bottom + 4, "tickline"), text(x(v), bottom + 16, value3(v), "tick mid")]),
    text(right, bottom + 33, title, "axis end"),
  ];
}

export function yAxis(y, marks, left, right, title) {
  return [
    marks.map((v) => [line(left, y(v), right, y(v), v === 0 ? "zero" : "grid"), text(left - 6, y(v) + 4, value3(v), "tick end")]),
    s("text", { class: "axis end", transform: `translate(11 ${TOP}) rotate(-90)` }, title),
  ];
}

export const FLOORS = ["list", "rotated", "trivial", "token_lookup", "other", "shuffled", "chance"];
const FLOOR_NAMES = { list: "24 listed tokens", rotated: "rotated direction", trivial: "best trivial", token_lookup: "token lookup", other: "another unit's" };
export const floorName = (name) => FLOOR_NAMES[name] ?? name;

/** A number as a dot on a line from -0.2 to 1, with its interval and floors: a picture for a table cell. */
export function bar(value, low, high, verdict, floors = {}) {
  const x = linear(-0.2, 1, 2, 118);
  const shown = FLOORS.filter((name) => known(floors[name]));
  const label = `r ${number(value)}, 95 % interval ${number(low)} to ${number(high)}`;
  return s("svg", { class: "bar-plot", viewBox: "0 0 120 16", "aria-hidden": "true" },
    line(x(-0.2), 8, x(1), 8, "rule"),
    line(x(0), 4, x(0), 12, "zero"),
    shown.map((name) => line(x(floors[name]), 2, x(floors[name]), 14, `floor ${name}`)),
    known(low) && known(high) ? line(x(low), 8, x(high), 8, `interval wide ${verdict ?? ""}`) : null,
    known(value) ? mark(x(value), 8, verdict, label, 3.6) : null,
  );
}

/** Scores with intervals, each on its row, next to its floors.
 * @param rows [{name, value, low, high, floors, verdict}] */
export function scorePlot(rows, threshold = 0.2) {
  const width = 480;
  const left = 174;
  const pitch = 26;
  const bottom = TOP + rows.length * pitch;
  const ends = rows.flatMap((row) => [row.value, row.low, row.high, ...Object.values(row.floors ?? {})]).filter(known);
  const low = Math.min(-0.1, ...ends);
  const high = Math.min(1, Math.max(0.5, ...ends) + 0.04);
  const x = linear(low, high, left, width - RIGHT);
  return picture(width, bottom + BOTTOM, "Scores with 95 % intervals and floors",
    ticks(low, high).map((v) => line(x(v), TOP, x(v), bottom, v === 0 ? "zero" : "grid")),
    line(x(threshold), TOP, x(threshold), bottom, "threshold", `${threshold}: the lower end of the interval has to reach it`),
    rows.map((row, i) => scoreRow(row, TOP + pitch * (i + 0.5), x, left)),
    xAxis(x, ticks(low, high), bottom, "score (Pearson r for simulation)", width - RIGHT),
  );
}

function scoreRow(row, y, x, left) {
  const floors = FLOORS.filter((name) => known(row.floors?.[name]));
  return [
    text(left - 10, y + 4, row.name.length > 27 ? `${row.name.slice(0, 26)}…` : row.name, "label end"),
    floors.map((name) => line(x(row.floors[name]), y - 9, x(row.floors[name]), y + 9, `floor ${name}`, `${floorName(name)} ${number(row.floors[name])}`)),
    known(row.low) && known(row.high) ? line(x(row.low), y, x(row.high), y, `interval wide ${row.verdict ?? ""}`) : null,
    mark(x(row.value), y, row.verdict, `${row.name}: ${number(row.value)}, ${number(row.low)} to ${number(row.high)}`, 5),
  ];
}

/** What the ticks and the dashed line of such a plot are. */
export function floorKey(rows) {
  const present = FLOORS.filter((name) => rows.some((row) => known(row.floors?.[name])));
  return ["Ticks: ", present.map((name, i) => [i ? ", " : "", h("span", { class: `floor-key ${name}` }, floorName(name))]), ". Dashed: 0.2, which a kept lower end has to reach."];
}

/** How often which activation occurs, counts on a logarithmic scale, with the ranges of the exemplars marked.
 * @param histogram {edges, counts, ranges: [{label, low, high}]} */
export function histogramPlot({ edges, counts, ranges }) {
  const [width, height] = [480, 210];
  const bands = (ranges ?? []).slice(0, 4);
  const top = TOP + 15 * bands.length;
  const bottom = height - BOTTOM;
  const most = Math.max(1, ...counts);
  const decades = Math.max(1, Math.ceil(Math.log10(most)));
  const x = linear(edges[0], edges.at(-1), LEFT, width - RIGHT);
  const y = (n) => (n > 0 ? linear(-0.3, decades, bottom, top)(Math.log10(n)) : bottom);
  const powers = Array.from({ length: decades + 1 }, (_, i) => 10 ** i);
  return picture(width, height, `Histogram of ${count(counts.reduce((a, b) => a + b, 0))} activations, from ${value3(edges[0])} to ${value3(edges.at(-1))}`,
    powers.map((n) => [line(LEFT, y(n), width - RIGHT, y(n), "grid"), text(LEFT - 6, y(n) + 4, n >= 1000 ? `${n / 1000}k` : String(n), "tick end")]),
    bands.map((band, i) => rangeOf(band, i, x, bottom)),
    counts.map((n, i) => column(n, edges[i], edges[i + 1], x, y, bottom)),
    line(x(0), top - 4, x(0), bottom, "zero"),
    xAxis(x, ticks(edges[0], edges.at(-1), 7), bottom, "activation", width - RIGHT),
    s("text", { class: "axis end", transform: `translate(11 ${top}) rotate(-90)` }, "tokens (log)"),
  );
}

function column(n, low, high, x, y, bottom) {
  if (!n) return null;
  const sign = high <= 0 ? "neg" : low >= 0 ? "pos" : "";
  const width = Math.max(0.8, x(high) - x(low) - 0.6);
  return s("rect", { class: `column ${sign}`, x: x(low), y: y(n), width, height: bottom - y(n), "data-tip": `${value3(low)} to ${value3(high)}: ${count(n)} tokens` });
}

function rangeOf(band, i, x, bottom) {
  const y = TOP + 15 * i + 3;
  const [from, to] = [x(band.low), Math.max(x(band.high), x(band.low) + 2)];
  const before = (from + to) / 2 > 280;
  return [
    s("rect", { class: "band", x: from, y, width: to - from, height: bottom - y, "data-tip": `${visible(band.label)}: ${value3(band.low)} to ${value3(band.high)}` }),
    line(from, y, to, y, "bandline"),
    text(before ? from - 5 : to + 5, y + 4, visible(band.label), before ? "tick end" : "tick"),
  ];
}

/** Held-out r of each target over its layer: where in the model explanations hold. */
export function layerPlot(points) {
  const [width, height] = [Math.min(800, Math.max(320, document.documentElement.clientWidth - 40)), 250];
  const layers = [...new Set(points.map((point) => point.layer))].sort((a, b) => a - b);
  const bottom = height - BOTTOM;
  const step = (width - LEFT - RIGHT) / Math.max(1, layers.length);
  const place = new Map(layers.map((layer, i) => [layer, LEFT + step * (i + 0.5)]));
  const [low, high] = span(points.map((point) => point.r));
  const y = linear(low, high, bottom, TOP);
  const every = Math.ceil(layers.length / 16);
  return picture(width, height, `Held-out r of ${points.length} targets by layer`,
    yAxis(y, ticks(low, high, 4), LEFT, width - RIGHT, "held-out r"),
    line(LEFT, y(0.2), width - RIGHT, y(0.2), "threshold"),
    layers.filter((_, i) => i % every === 0).map((layer) => text(place.get(layer), bottom + 16, String(layer), "tick mid")),
    text(width - RIGHT, bottom + 32, "layer", "axis end"),
    points.map((point, i) => dotOf(point, place.get(point.layer) + (((i * 0.618) % 1) - 0.5) * Math.min(step * 0.6, 40), y(point.r))),
  );
}

/** r on holdout over r on select, with the diagonal where there is no drop. */
export function dropPlot(points) {
  const [width, height] = [380, 250];
  const bottom = height - BOTTOM;
  const [low, high] = span(points.flatMap((point) => [point.r, point.select]));
  const x = linear(low, high, LEFT, width - RIGHT);
  const y = linear(low, high, bottom, TOP);
  return picture(width, height, `Held-out r over r on select of ${points.length} targets`,
    yAxis(y, ticks(low, high, 4), LEFT, width - RIGHT, "held-out r"),
    line(x(low), y(low), x(high), y(high), "threshold"),
    xAxis(x, ticks(low, high, 4), bottom, "r on select", width - RIGHT),
    points.filter((point) => known(point.select)).map((point) => dotOf(point, x(point.select), y(point.r))),
  );
}

function dotOf(point, x, y) {
  const shown = mark(x, y, point.verdict, `${visible(point.target)}: r ${number(point.r)}`, 3);
  return point.href ? s("a", { href: point.href, tabindex: "-1", "aria-label": visible(point.target) }, shown) : shown;
}

function span(values) {
  const sure = values.filter(known);
  return [Math.min(0, ...sure), Math.max(0.4, ...sure) + 0.03];
}

/** Faithfulness over the share of edges that is kept, with the choice marked.
 * @param curve [{share, edges, f, low, high, random_f}] */
export function curvePlot(curve, chosen) {
  const [width, height] = [560, 220];
  const bottom = height - BOTTOM;
  const sizes = curve.map((point) => Math.max(1, point.edges));
  const [least, most] = [Math.log10(Math.min(...sizes)), Math.log10(Math.max(...sizes, 10))];
  const ends = curve.flatMap((point) => [point.f, point.low, point.high, point.random_f]).filter(known);
  const [low, high] = [Math.min(0, ...ends), Math.max(1, ...ends)];
  const x = (edges) => linear(least, most, LEFT, width - RIGHT)(Math.log10(Math.max(1, edges)));
  const y = linear(low, high, bottom, TOP);
  const decades = Array.from({ length: Math.floor(most) - Math.ceil(least) + 1 }, (_, i) => 10 ** (Math.ceil(least) + i));
  return picture(width, height, "Faithfulness by number of edges",
    yAxis(y, ticks(low, high, 4), LEFT, width - RIGHT, "faithfulness"),
    decades.map((n) => [line(x(n), bottom, x(n), bottom + 4, "tickline"), text(x(n), bottom + 16, n >= 1000 ? `${n / 1000}k` : String(n), "tick mid")]),
    text(width - RIGHT, bottom + 32, "edges kept (log)", "axis end"),
    ribbon(curve, x, y),
    polyline(curve, "random_f", x, y, "curve random"),
    polyline(curve, "f", x, y, "curve"),
    curve.filter((point) => known(point.f)).map((point) => mark(x(point.edges), y(point.f), point.share === chosen ? "kept" : "", `${count(point.edges)} edges: ${number(point.f)}, random ${number(point.random_f)}`, 3.4)),
  );
}

function polyline(curve, name, x, y, cls) {
  const points = curve.filter((point) => known(point[name])).map((point) => `${x(point.edges)},${y(point[name])}`);
  return points.length ? s("polyline", { class: cls, points: points.join(" ") }) : null;
}

function ribbon(curve, x, y) {
  const sure = curve.filter((point) => known(point.low) && known(point.high));
  if (!sure.length) return null;
  const there = sure.map((point) => `${x(point.edges)},${y(point.high)}`);
  const back = sure.toReversed().map((point) => `${x(point.edges)},${y(point.low)}`);
  return s("polygon", { class: "ribbon", points: [...there, ...back].join(" ") });
}
