// Addresses behind "#", so that every page is a link and the gateway serves one document.

import { fill, h } from "./dom.js";
import { pages } from "./pages.js";
import { problem } from "./ui.js";

const START = "/jobs";
// What stands for ":id" becomes part of addresses of the API, where other signs would lead elsewhere.
const NAME = /^[\w-]+$/;

/** Return the address of a page as a link: "#/jobs". */
export function href(path) {
  return `#${path}`;
}

/** Go to a page. */
export function go(path) {
  location.hash = path;
}

/** Change the address of the page that is shown, without leaving it. */
export function note(path) {
  history.replaceState(history.state, "", href(path));
}

export function hasPage(name) {
  return pages.some((page) => page.name === name);
}

/** Return {page, params, query} of an address; the jobs where it is none. */
export function match(hash) {
  const [path, search = ""] = (hash.replace(/^#/, "") || START).split("?");
  for (const page of pages) {
    const params = matched(page.path.split("/"), path.replace(/(.)\/$/, "$1").split("/"));
    if (params) return { page, params, query: new URLSearchParams(search) };
  }
  return null;
}

function matched(pattern, parts) {
  if (pattern.length !== parts.length) return null;
  const params = {};
  const fits = pattern.every((piece, at) => {
    if (!piece.startsWith(":")) return piece === parts[at];
    params[piece.slice(1)] = parts[at];
    return NAME.test(parts[at]);
  });
  return fits ? params : null;
}

/** Show in `outlet` the page of the address, now and whenever it changes. `onShow` is told which. */
export function start(outlet, onShow) {
  let latest = 0;
  async function show() {
    const turn = (latest += 1);
    const found = match(location.hash);
    if (!found) return go(START);
    document.title = `${found.page.title} · api-gpu`;
    onShow(found.page);
    try {
      const { default: Element } = await found.page.load();
      if (turn !== latest) return;
      const element = new Element();
      Object.assign(element, { params: found.params, query: found.query });
      fill(outlet, element);
    } catch (error) {
      if (turn === latest) fill(outlet, h("div", { class: "card" }, problem(error)));
    }
    window.scrollTo(0, 0);
  }
  window.addEventListener("hashchange", show);
  return show();
}
