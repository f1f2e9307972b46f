// The shell: header, navigation, the question for the key, the theme. Pages are shown in <main>.

import { about, get, hasKey, keys, setKey } from "./api.js";
import { fill, h, icon } from "./dom.js";
import { pages } from "./pages.js";
import { href, start } from "./router.js";
import { modal } from "./ui.js";

const THEMES = ["auto", "light", "dark"];
const HEALTH_SECONDS = 15;

const main = h("main", { id: "main", tabIndex: -1 });
const health = h("span", { class: "health", role: "status" });
const nav = h("nav", { "aria-label": "Pages" });
const keyButton = h(
  "button",
  { class: "button quiet", type: "button", "aria-label": "Forget key", title: "Forget key", onclick: forget },
  icon("key"),
  h("span", {}, "Forget key"),
);

function links(current) {
  return pages
    .filter((page) => page.nav)
    .map((page) => {
      const isCurrent = page === current || (current.name === "job" && page.name === "jobs");
      return h("a", { href: href(page.path), "aria-current": isCurrent ? "page" : null }, icon(page.icon), page.title);
    });
}

async function showNav(page) {
  fill(nav, links(page));
  const { endpoints = [] } = await about().catch(() => ({}));
  if (endpoints.includes("GET /docs")) nav.append(docsLink());
}

/** The pages of the API in a tab of their own, which has the key: browsers hand it to tabs that know who opened them. */
function docsLink() {
  return h("a", { href: "docs", target: "_blank", rel: "opener" }, icon("info"), "API");
}

async function showHealth() {
  if (document.hidden) return;
  let text = "Gateway is up";
  let kind = "ok";
  try {
    await get("/health");
  } catch (error) {
    kind = "bad";
    text = error.reason === "UNREACHABLE" ? "Gateway cannot be reached" : "Gateway is not well";
  }
  if (health.textContent !== text)
    fill(health, h("span", { class: `pill pill-${kind}` }, h("i", { class: "dot" }), text));
}

function themeButton() {
  const button = h("button", { class: "button quiet icon-only", type: "button" });
  const show = () => {
    const theme = document.documentElement.dataset.theme ?? "auto";
    const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    button.title = `Theme: ${theme}`;
    button.setAttribute("aria-label", `Theme: ${theme}. Change to ${next}`);
    fill(button, icon({ light: "sun", dark: "moon" }[theme] ?? "auto"));
    return next;
  };
  button.addEventListener("click", () => {
    const next = show();
    if (next === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    localStorage.setItem("api-gpu.theme", next);
    show();
  });
  show();
  return button;
}

function forget() {
  setKey("");
  location.reload();
}

const FIRST = "It is the one that `api-gpu up` wrote to .api-gpu/key, or that the operator of this gateway gave you.";
let asking = null;

/** Ask for the key until one is right; then begin, or begin anew. */
async function askKey(text) {
  asking ??= modal((close) => keyForm(text, close), { label: "API key", class: "dialog-key" });
  await asking;
  asking = null;
  if (!hasKey()) askKey(text);
  else if (isStarted) location.reload();
  else begin();
}

function keyForm(text, close) {
  const input = h("input", {
    id: "key",
    type: "password",
    required: true,
    autocomplete: "off",
    "aria-describedby": "key-said",
  });
  const said = h("p", { id: "key-said", class: "muted small", role: "status" }, text);
  const submit = h("button", { class: "button primary", type: "submit" }, "Open the console");
  async function enter(event) {
    event.preventDefault();
    submit.disabled = true;
    setKey(input.value.trim());
    try {
      await get("/jobs", { query: { page_size: 1 } });
      close("");
    } catch (error) {
      setKey("");
      fill(
        said,
        error.status === 401 ? "This key is not right. Look for it where the gateway was started." : error.message,
      );
      said.className = "bad small";
      submit.disabled = false;
      input.select();
    }
  }
  return h(
    "form",
    { class: "key-form", onsubmit: enter },
    h("h1", {}, "api-gpu"),
    h("label", { htmlFor: "key" }, "API key"),
    input,
    said,
    submit,
    h("p", { class: "muted small" }, "It stays in this tab until you close it, and is sent to this gateway alone."),
  );
}

keys.addEventListener("wanted", ({ detail }) => asking || askKey(detail.error.message));

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest?.("input, textarea, select, dialog");
  if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey) return;
  const search = document.querySelector("main [type=search]");
  if (search) {
    event.preventDefault();
    search.focus();
  }
});

document.body.append(
  h(
    "a",
    { class: "skip", href: "#main", onclick: (event) => (event.preventDefault(), main.focus()) },
    "Skip to the page",
  ),
  h(
    "header",
    { class: "top" },
    h(
      "a",
      { class: "brand", href: href("/jobs") },
      h("img", { src: "console/icon.svg", alt: "", width: 22, height: 22 }),
      "api-gpu",
    ),
    nav,
    h("div", { class: "top-end" }, health, themeButton(), keyButton),
  ),
  main,
);
let isStarted = false;

function begin() {
  isStarted = true;
  keyButton.hidden = false;
  start(main, showNav);
}

keyButton.hidden = true;
showHealth();
setInterval(showHealth, HEALTH_SECONDS * 1000);
if (hasKey()) begin();
else askKey(FIRST);
