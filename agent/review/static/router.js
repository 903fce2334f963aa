/** Addresses and views. The whole state of a view is in its URL: the path says what is shown, the query how.
 * In a report, which is one file, the same address follows `#`. */

import { REPORT } from "./api.js";

const SEGMENT = /:(\w+)/g;

/** What the reader looks at: `{path, query}`. */
export function here() {
  const text = REPORT ? location.hash.slice(1) || `/runs/${encodeURIComponent(REPORT)}` : location.pathname + location.search;
  const [path, query] = text.split(/\?(.*)/s);
  return { path, query: new URLSearchParams(query ?? "") };
}

/** An address of the page: path("runs", name, "targets", target), {sort: "r"}. */
export function path(parts, query = {}) {
  const params = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== ""));
  return `/${parts.map(encodeURIComponent).join("/")}${params.size ? `?${params}` : ""}`;
}

/** The `href` of a link to an address. */
export const href = (to) => (REPORT ? `#${to}` : to);

/** The route of an address: `{view, params}`, or null. */
export function matched(routes, to) {
  for (const [pattern, view] of routes) {
    const match = to.match(new RegExp(`^${pattern.replace(SEGMENT, "(?<$1>[^/]+)")}/?$`));
    if (match) return { view, params: decoded(match.groups ?? {}) };
  }
  return null;
}

function decoded(groups) {
  return Object.fromEntries(Object.entries(groups).map(([name, value]) => [name, safely(value)]));
}

function safely(value) {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

const listeners = [];

/** Calls `heard(how)` after every change of the address; how: "push", "replace" or "pop". */
export function onChange(listener) {
  listeners.push(listener);
}

const announce = (how) => listeners.forEach((listener) => listener(how));

/** Goes to an address. */
export function go(to, { replace = false } = {}) {
  remember();
  history[replace ? "replaceState" : "pushState"]({ y: 0 }, "", href(to));
  announce(replace ? "replace" : "push");
}

/** The same view with another state; empty values are removed from the query. */
export function change(values, { replace = false, quiet = false } = {}) {
  const now = here();
  for (const [name, value] of Object.entries(values)) {
    if (value === null || value === undefined || value === "") now.query.delete(name);
    else now.query.set(name, String(value));
  }
  const to = now.path + (now.query.size ? `?${now.query}` : "");
  if (quiet) history.replaceState(history.state, "", href(to));
  else go(to, { replace });
}

/** Keeps the scroll position of the page for the way back. */
export function remember() {
  history.replaceState({ ...history.state, y: scrollY }, "");
}

/** Follows links inside the page without loading it again. */
export function watch() {
  history.scrollRestoration = "manual";
  addEventListener("popstate", () => announce("pop"));
  addEventListener("hashchange", () => REPORT && announce("pop"));
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href]");
    if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    if (link.hasAttribute("data-skip")) {
      event.preventDefault();
      document.getElementById("main").focus();
    } else if (!link.target && !link.hasAttribute("download") && isInside(link)) {
      event.preventDefault();
      go(REPORT ? link.hash.slice(1) : link.pathname + link.search);
    }
  });
}

function isInside(link) {
  if (REPORT) return link.getAttribute("href").startsWith("#/");
  return link.origin === location.origin && !/^\/(api|static)\//.test(link.pathname);
}
