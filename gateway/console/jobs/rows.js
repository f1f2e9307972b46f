// The list as it scrolls: of ten thousand jobs only those near the screen are elements.

import { h } from "../dom.js";
import "./row.js";

const BEYOND = 8;

export class JobRows extends HTMLElement {
  #rows = new Map();
  #jobs = [];
  /** Which jobs are picked: see bulk.js. */
  picked = null;
  #frame = 0;
  #gone = new AbortController();
  isNearEnd = false;
  onChange = null;
  /** Is called when the end of what is known comes near. */
  onEnd = null;

  connectedCallback() {
    this.className = "rows";
    this.setAttribute("role", "list");
    this.setAttribute("aria-label", "Jobs");
    const signal = this.#gone.signal;
    window.addEventListener("scroll", () => this.#later(), { passive: true, signal });
    window.addEventListener("resize", () => this.#later(), { signal });
    this.addEventListener("keydown", (event) => this.#move(event), { signal });
  }

  disconnectedCallback() {
    this.#gone.abort();
    cancelAnimationFrame(this.#frame);
  }

  /** Ids of the jobs on the screen. */
  get seen() {
    return new Set(this.#rows.keys());
  }

  /** Show these jobs. What is read stays where it is when others come in above it. */
  show(jobs) {
    const height = this.#height();
    const top = this.#top(height);
    const before = this.#jobs[top];
    const isScrolled = this.getBoundingClientRect().top < 0;
    this.#jobs = jobs;
    this.style.height = `${jobs.length * height}px`;
    if (isScrolled && before) {
      const now = jobs.findIndex((job) => job.id === before.id);
      if (now > top) window.scrollBy(0, (now - top) * height);
    }
    this.#render();
  }

  /** Let running jobs show the seconds. */
  tick() {
    for (const row of this.#rows.values()) row.tick();
  }

  #height() {
    return parseFloat(getComputedStyle(this).getPropertyValue("--row")) || 84;
  }

  #top(height) {
    return Math.max(0, Math.floor(-this.getBoundingClientRect().top / height));
  }

  #later() {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.#render());
  }

  #render() {
    // Read the layout first, then write, so that it is computed once.
    const height = this.#height();
    const top = this.#top(height);
    const first = Math.max(0, top - BEYOND);
    const last = Math.min(this.#jobs.length, top + Math.ceil(window.innerHeight / height) + BEYOND);
    const wanted = new Map(this.#jobs.slice(first, last).map((job, at) => [job.id, first + at]));
    for (const [id, row] of this.#rows) {
      if (!wanted.has(id) && row.contains(document.activeElement)) this.#keep(id, wanted);
      if (wanted.has(id)) row.dataset.at = wanted.get(id);
      else {
        row.remove();
        this.#rows.delete(id);
      }
    }
    this.style.height = `${this.#jobs.length * height}px`;
    for (const [id, at] of wanted) this.#place(id, at, height);
    this.isNearEnd = last >= this.#jobs.length - BEYOND;
    if (this.isNearEnd) this.onEnd?.();
  }

  /** Keep the row that has the focus, wherever it is by now. */
  #keep(id, wanted) {
    const at = this.#jobs.findIndex((job) => job.id === id);
    if (at >= 0) wanted.set(id, at);
  }

  #place(id, at, height) {
    let row = this.#rows.get(id);
    if (!row) {
      row = h("job-row");
      row.onChange = this.onChange;
      row.onPick = (wanted, isRange) => this.#pick(id, wanted, isRange);
      row.begin(this.#jobs[at]);
      this.#rows.set(id, row);
      this.#insert(row, at);
    }
    row.dataset.at = at;
    row.style.transform = `translateY(${at * height}px)`;
    row.update(this.#jobs[at], at + 1, this.#jobs.length, this.picked.has(id));
  }

  /** Keep the order of elements that of the jobs, by which a keyboard goes. */
  #insert(row, at) {
    const next = [...this.children].find((other) => Number(other.dataset.at) > at);
    this.insertBefore(row, next ?? null);
  }

  #pick(id, wanted, isRange) {
    this.picked.set(id, wanted, isRange ? this.#jobs.map((job) => job.id) : null);
  }

  /** Show which rows are picked. */
  showPicked() {
    for (const [id, row] of this.#rows) row.pick(this.picked.has(id));
  }

  #move(event) {
    const row = event.target.closest?.("job-row");
    if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "x") return this.#pick(row.job.id, !this.picked.has(row.job.id), false);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = this.#jobs.findIndex((job) => job.id === row.job.id) + step;
    if (!this.#jobs[at]) return;
    if (event.shiftKey) for (const id of [row.job.id, this.#jobs[at].id]) this.#pick(id, true, false);
    const bounds = this.getBoundingClientRect().top + at * this.#height();
    if (bounds < 160) window.scrollBy(0, bounds - 160);
    if (bounds + this.#height() > window.innerHeight)
      window.scrollBy(0, bounds + this.#height() - window.innerHeight + 8);
    this.#render();
    this.#rows.get(this.#jobs[at].id)?.focusLink();
  }
}

customElements.define("job-rows", JobRows);
