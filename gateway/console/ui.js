// Parts that several pages use: pills, bars, questions, short notices, errors in plain words.

import { fill, h, icon } from "./dom.js";

const TOAST_SECONDS = 6;

/** A word in a color, with a sign, as color alone tells nothing to many. */
export function pill(kind, text, sign = "") {
  return h("span", { class: `pill pill-${kind}` }, sign && icon(sign), text);
}

/** A bar; without a fraction it moves, as nobody knows how far it is. */
export function progress(fraction, label) {
  const known = typeof fraction === "number" && Number.isFinite(fraction);
  const percent = known ? Math.round(Math.min(1, Math.max(0, fraction)) * 100) : null;
  return h(
    "div",
    {
      class: known ? "bar" : "bar bar-unknown",
      role: "progressbar",
      "aria-label": label,
      "aria-valuemin": "0",
      "aria-valuemax": "100",
      ...(known && { "aria-valuenow": String(percent) }),
    },
    h("span", { class: "bar-done", style: known ? { width: `${percent}%` } : {} }),
  );
}

/** What a page says that has nothing to show, with what to do next. */
export function empty(title, text, ...actions) {
  return h("div", { class: "empty" }, h("h2", {}, title), h("p", { class: "muted" }, text), ...actions);
}

/** An error in plain words: what happened, what to do, and by what it is found in the gateway's log. */
export function problem(error) {
  const fields = Object.entries(error.fields ?? {}).filter(([, text]) => text && !error.message.includes(text));
  const facts = [
    error.reason && h("span", {}, h("code", {}, error.reason)),
    error.requestId && h("span", {}, "request ", h("code", {}, error.requestId)),
  ].filter(Boolean);
  return h(
    "div",
    { class: "problem", role: "alert" },
    icon("warn"),
    h(
      "div",
      {},
      h("p", {}, error.message || String(error)),
      fields.length > 0 && h("ul", {}, ...fields.map(([name, text]) => h("li", {}, h("code", {}, name), ` ${text}`))),
      facts.length > 0 && h("p", { class: "muted small facts-line" }, ...facts),
    ),
  );
}

/** Tell something for a moment; screen readers say it. */
export function toast(text, { kind = "ok" } = {}) {
  let box = document.querySelector(".toasts");
  if (!box) document.body.append((box = h("div", { class: "toasts", role: "status", "aria-live": "polite" })));
  const note = h("div", { class: `toast toast-${kind}` }, icon(kind === "bad" ? "warn" : "check"), h("span", {}, text));
  box.append(note);
  setTimeout(() => note.remove(), TOAST_SECONDS * 1000);
}

/** Copy a text. */
export async function copy(text, what = "Copied") {
  try {
    await navigator.clipboard.writeText(text);
    toast(what);
  } catch {
    toast("The browser does not let this page copy. Select the text instead.", { kind: "bad" });
  }
}

/** Show a dialog until it is closed; resolves to what it was closed with. */
export function modal(content, { label, class: name = "" } = {}) {
  const dialog = h("dialog", { class: `dialog ${name}`, "aria-label": label });
  fill(dialog, typeof content === "function" ? content((value) => dialog.close(value)) : content);
  document.body.append(dialog);
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
  });
}

/** Ask before something that cannot be taken back. */
export async function ask({ title, text, action, danger = false }) {
  const answer = await modal(
    (close) => [
      h("h2", {}, title),
      h("p", {}, text),
      h(
        "div",
        { class: "dialog-actions" },
        h("button", { class: "button", type: "button", autofocus: danger, onclick: () => close("") }, "Go back"),
        h(
          "button",
          {
            class: danger ? "button danger" : "button primary",
            type: "button",
            autofocus: !danger,
            onclick: () => close("yes"),
          },
          action,
        ),
      ),
    ],
    { label: title },
  );
  return answer === "yes";
}

/** A button that does something once at a time, and tells what went wrong. */
export function act(label, work, { sign, name = "button", title } = {}) {
  const button = h(
    "button",
    { class: name, type: "button", title: title ?? null },
    sign && icon(sign),
    h("span", {}, label),
  );
  button.addEventListener("click", async (event) => {
    event.stopPropagation();
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    try {
      await work();
    } catch (error) {
      toast(error.message, { kind: "bad" });
    } finally {
      button.removeAttribute("aria-disabled");
    }
  });
  return button;
}
