/** Numbers as a reader wants them: a true minus, fixed digits, a dash for what is unknown. */

const UNKNOWN = "–";

export const known = (value) => typeof value === "number" && Number.isFinite(value);

/** 0.412 -> "0.41" */
export function number(value, digits = 2) {
  return known(value) ? value.toFixed(digits).replace(/^-(0(?:\.0+)?)$/, "$1").replace("-", "−") : UNKNOWN;
}

/** Three significant digits, for activations: 0.00123, 12.3, 1230. */
export function value3(value) {
  if (!known(value)) return "unknown";
  const size = Math.abs(value);
  const text = size && (size < 1e-3 || size >= 1e5) ? value.toExponential(1) : String(Number(value.toPrecision(3)));
  return text.replace("-", "−");
}

export const signed = (value) => (known(value) && value > 0 ? "+" : "") + value3(value);

/** "0.42 to 0.51", or a dash. */
export function interval(low, high, digits = 2) {
  return known(low) && known(high) ? `${number(low, digits)} to ${number(high, digits)}` : UNKNOWN;
}

export function probability(p) {
  if (!known(p)) return UNKNOWN;
  if (p >= 0.01) return p.toFixed(2);
  if (p >= 1e-4) return p.toFixed(4);
  return p < 1e-12 ? "<1e−12" : p.toExponential(0).replace("-", "−");
}

export const percent = (share, digits = 0) => (known(share) ? `${(100 * share).toFixed(digits)} %` : UNKNOWN);

export const count = (value) => (known(value) ? Math.round(value).toLocaleString("en-US") : UNKNOWN);

export function usd(value) {
  if (!known(value)) return UNKNOWN;
  if (value === 0) return "$0";
  return `$${value < 0.01 ? value.toPrecision(2) : value.toFixed(2)}`;
}

export function seconds(value) {
  if (!known(value)) return UNKNOWN;
  if (value < 10) return `${value.toFixed(1)} s`;
  if (value < 120) return `${Math.round(value)} s`;
  return value < 7200 ? `${Math.round(value / 60)} min` : `${(value / 3600).toFixed(1)} h`;
}

/** "2026-11-25 22:17" in the reader's own zone. */
export function time(text) {
  const when = new Date(text ?? NaN);
  if (Number.isNaN(when.getTime())) return text ? String(text) : UNKNOWN;
  const two = (n) => String(n).padStart(2, "0");
  return `${when.getFullYear()}-${two(when.getMonth() + 1)}-${two(when.getDate())} ${two(when.getHours())}:${two(when.getMinutes())}`;
}

export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

/** Whether a unit is never negative: norms of heads, and latents. Its one side goes without saying. */
export const isOneSided = (target) => /^(head|sae)\./.test(target);
export const sideName = (side) => ({ both: "both sides", "+": "positive side", "-": "negative side" })[side] ?? side;
