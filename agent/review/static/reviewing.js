/** A person's verdict on an explanation: an event of the run log with name and time, never a change of the run. */

import { REPORT, address, post } from "./api.js";
import { h, say, t } from "./dom.js";
import { localStore, show } from "./keys.js";
import { failed, field } from "./parts.js";

/** The reviewer's name: asked for once, kept in this browser. Resolves to "" if nobody gives one. */
export function reviewer() {
  const kept = localStore()?.getItem("hubel-name");
  return kept ? Promise.resolve(kept) : askName("Who is reviewing?", "Your name is kept with your verdicts in the run's log.");
}

export function askName(title, why, action = "Go on") {
  const input = h("input", { name: "name", required: true, maxlength: "80", autocomplete: "name", value: localStore()?.getItem("hubel-name") ?? "" });
  return ask(title, [h("p", {}, why), field("Your name", input)], action, () => {
    localStore()?.setItem("hubel-name", input.value.trim());
    return input.value.trim();
  });
}

/** A dialog with a form; resolves to what `value()` gives when it is sent, to "" when it is left. With `save`, it stays
 * open until `save(value())` has succeeded, and shows what was wrong next to the field that the message names. */
export function ask(title, inside, action, value, save = null) {
  return new Promise((resolve) => {
    const cancel = h("button", { type: "button", on: { click: () => dialog.close() } }, "Cancel");
    const main = h("button", { class: "main", value: "sent" }, action);
    const actions = h("div", { class: "actions" }, cancel, main);
    const form = h("form", { method: "dialog" }, h("h2", { id: "ask-title" }, title), inside, actions);
    const dialog = h("dialog", { class: "sheet", "aria-labelledby": "ask-title" }, form);
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "sent" ? value() : ""));
    form.addEventListener("submit", async (event) => {
      if (!save) return;
      event.preventDefault();
      form.querySelector(".error")?.remove();
      main.disabled = true;
      try {
        if (await save(value())) dialog.close("sent");
      } catch (error) {
        const named = [...form.elements].find((input) => input.name && error.message.startsWith(`the ${input.name} `));
        (named?.closest(".field") ?? actions).before(failed(error));
        named?.focus();
      } finally {
        main.disabled = false;
      }
    });
    show(dialog);
  });
}

/** Writes a review; returns all reviews of the target, or null when nobody gave a name. */
export async function send({ run, target }, body) {
  const name = await reviewer();
  if (!name) return null;
  const answer = await post(`${address("runs", run, "targets", target)}/reviews`, { ...body, name });
  say(`${target}: ${DONE[body.verdict]}`);
  return answer.reviews;
}

const DONE = { approve: "approved", reject: "rejected", edit: "edited", note: "noted", undo: "last verdict taken back" };

/** The form of an edit: the sentence and its predicate. */
export function askEdit(row, save) {
  const text = h("textarea", { name: "text", rows: "3", required: true, maxlength: "2000", value: row.explanation ?? "" });
  const predicate = h("textarea", { name: "predicate", rows: "3", class: "code", maxlength: "4000", spellcheck: "false", value: row.predicate ?? "" });
  const note = h("input", { maxlength: "2000" });
  return ask("Edit the explanation", [
    field("Sentence", text, "at most 40 words"),
    field("Predicate", predicate, "scored on select when it is saved; never on held-out text"),
    field("Note", note, "why, for other readers"),
  ], "Save the edit", () => ({ verdict: "edit", text: text.value, predicate: predicate.value || null, note: note.value || null }), save);
}

export function askNote(_, save) {
  const note = h("textarea", { rows: "3", required: true, maxlength: "2000" });
  return ask("A note", [field("Note", note)], "Save the note", () => ({ verdict: "note", note: note.value }), save);
}

/** Writes a review, or what a form such as `askEdit` asks for; `done()` shows the change. */
export async function giveReview(target, row, wish, done) {
  const save = (review) => send(target, review);
  try {
    if (await (typeof wish === "function" ? wish(row, save) : save(wish))) await done();
  } catch (error) {
    tell(error);
  }
}

/** The one-letter commands: `which()` returns the target, `done()` shows the change. */
export function reviewKeys(which, done) {
  if (REPORT) return [];
  const give = (wish) => () => {
    const target = which();
    return target ? giveReview(target, target.row, wish, done) : say("First choose a target with j or k");
  };
  return [
    ["a", "approve", give({ verdict: "approve" })],
    ["r", "reject", give({ verdict: "reject" })],
    ["e", "edit", give(askEdit)],
    ["n", "write a note", give(askNote)],
    ["u", "undo your last verdict", give({ verdict: "undo" })],
  ];
}

/** Shows an error for some seconds, or until it is closed. */
export function tell(error) {
  const box = h("div", { class: "toast", role: "alert" }, t(error.message), h("button", { type: "button", class: "quiet", "aria-label": "Close", on: { click: () => box.remove() } }, "×"));
  document.body.append(box);
  setTimeout(() => box.remove(), 12000);
}
