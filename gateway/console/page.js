// What all pages are made of: a custom element that lives while it is shown.

import { pause } from "./api.js";
import { fill, h } from "./dom.js";
import { problem } from "./ui.js";

// The longest wait for a gateway that does not answer, where it does not say how long.
const MOST_SECONDS = 30;

export class Page extends HTMLElement {
  #gone = new AbortController();
  // What went wrong of what is done again and again, by what it is.
  #errors = new Map();
  /** Values of the address: {id} of "/jobs/:id", and what stands behind "?". */
  params = {};
  query = new URLSearchParams();

  /** Is aborted when the page is left. */
  get signal() {
    return this.#gone.signal;
  }

  async connectedCallback() {
    try {
      await this.show();
    } catch (error) {
      if (!this.signal.aborted) fill(this, problem(error));
    }
  }

  disconnectedCallback() {
    this.#gone.abort();
  }

  /** Build the page. What it raises is shown in its place. */
  async show() {}

  /** Call `work` now and every few seconds while the page is shown and its tab is seen; errors are told above it,
   * and it is called less often while there are any. */
  async every(seconds, work) {
    let wait = seconds;
    while (!this.signal.aborted) {
      if (!document.hidden) {
        try {
          await work();
          this.#tell(work, null);
          wait = seconds;
        } catch (error) {
          if (!this.signal.aborted) this.#tell(work, error);
          wait = Math.max(Math.min(wait * 2, MOST_SECONDS), error.retrySeconds ?? 0);
        }
      }
      const turn = new AbortController();
      const ends = AbortSignal.any([this.signal, turn.signal]);
      await Promise.race([pause(wait, ends), seen(ends)]);
      turn.abort();
    }
  }

  /** Note what came of some work, and tell the first error that stands, until that very work goes well. */
  #tell(work, error) {
    if (error) this.#errors.set(work, error);
    else this.#errors.delete(work);
    const [first] = this.#errors.values();
    const banner = this.querySelector(":scope > .banner");
    if (!first) banner?.remove();
    else if (banner?.error !== first) {
      banner?.remove();
      this.prepend(Object.assign(h("div", { class: "banner" }, problem(first)), { error: first }));
    }
  }
}

/** Wait until a hidden tab is seen again. */
function seen(signal) {
  return new Promise((resolve) => {
    document.addEventListener("visibilitychange", () => document.hidden || resolve(), { signal });
  });
}

const loaded = new Map();

/** Load a style sheet once, given by a URL beside the script; wait for it before the page is built. */
export function useStyle(url) {
  const href = String(url);
  if (!loaded.has(href)) {
    loaded.set(
      href,
      new Promise((resolve) => {
        document.head.append(h("link", { rel: "stylesheet", href, onload: resolve, onerror: resolve }));
      }),
    );
  }
  return loaded.get(href);
}
