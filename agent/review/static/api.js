/** Where data comes from: the server of `hubel review`, or what `hubel report` put into the page. */

import { answerFrom } from "./embedded.js";

const report = readReport();

/** The run of a report, or null on a served page. */
export const REPORT = report ? report.run : null;

export class Failure extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export const address = (...parts) => "/api/" + parts.map(encodeURIComponent).join("/");

/** The JSON of an API path; a Failure says in one sentence what is wrong. */
export async function get(path, query = {}, signal = undefined) {
  if (report) return answerFrom(report, decodeURIComponent(path), query);
  const params = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== ""));
  return answered(await reach(`${path}${params.size ? `?${params}` : ""}`, { signal, headers: { accept: "application/json" } }));
}

/** Sends JSON; only a served page can. */
export async function post(path, body) {
  if (report) throw new Failure("A report can only be read; open the run with `hubel review`.", 405);
  const headers = { "content-type": "application/json", accept: "application/json" };
  return answered(await reach(path, { method: "POST", headers, body: JSON.stringify(body) }));
}

async function reach(url, options) {
  try {
    return await fetch(url, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure("The server does not answer. Is `hubel review` still running?", 0);
  }
}

async function answered(response) {
  const text = await response.text();
  let body = null;
  try {
    body = JSON.parse(text);
  } catch {
    throw new Failure(`The server answered ${response.status} with something that is not JSON.`, response.status);
  }
  if (!response.ok) throw new Failure(body?.error ?? `The server answered ${response.status}.`, response.status);
  return body;
}

function readReport() {
  const stored = document.getElementById("report");
  return stored ? JSON.parse(stored.textContent) : null;
}
