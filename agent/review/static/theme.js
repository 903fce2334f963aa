/** Light, dark, or as the system has it. */

import { h, say } from "./dom.js";
import { localStore } from "./keys.js";

const NEXT = { auto: "light", light: "dark", dark: "auto" };
const SIGN = { auto: "◐", light: "○", dark: "●" };

/** The switch; it starts with the last choice. */
export function themeSwitch() {
  let theme = localStore()?.getItem("hubel-theme") ?? "auto";
  if (!(theme in NEXT)) theme = "auto";
  const sign = h("span", { "aria-hidden": "true" });
  const button = h("button", { class: "quiet icon", type: "button", on: { click: () => choose(NEXT[theme], true) } }, sign);
  const choose = (next, loud) => {
    theme = next;
    if (theme === "auto") document.documentElement.removeAttribute("data-theme");
    else document.documentElement.dataset.theme = theme;
    localStore()?.setItem("hubel-theme", theme);
    sign.textContent = SIGN[theme];
    button.setAttribute("aria-label", `Theme: ${theme}`);
    button.title = `Theme: ${theme === "auto" ? "as the system" : theme}`;
    if (loud) say(`Theme: ${theme}`);
  };
  choose(theme, false);
  return button;
}
