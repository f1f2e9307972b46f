// The jobs: what waits, runs and has ended, as it happens.

import { about, get, pause, watch } from "../api.js";
import { fill, h, icon } from "../dom.js";
import { count } from "../format.js";
import { hasPage, href, note } from "../router.js";
import { Page, useStyle } from "../page.js";
import { empty, toast } from "../ui.js";
import { learn } from "./actions.js";
import { bulkBar, Picked } from "./bulk.js";
import { isActive, STATES } from "./describe.js";
import "./rows.js";
import { JobList } from "./store.js";

const BUSY_SECONDS = 2;
const QUIET_SECONDS = 3;
// Browsers open six connections to a host: streams must leave most of them to the rest.
const STREAMS = 2;
const SEARCH_AFTER_MS = 200;
// Further pages that a search reads by itself.
const SEARCH_PAGES = 60;
// What the page for new jobs makes by the dozen, and nobody looks for.
const PREVIEW = "frame";
const ALL = "all";
const DAYS = [
  ["", "Any time"],
  ["1", "Last 24 hours"],
  ["7", "Last 7 days"],
  ["30", "Last 30 days"],
];

// Kept while other pages are shown, so that the way back leads to the same place.
const list = new JobList();
let place = { key: null, scroll: 0 };

export default class JobsPage extends Page {
  #streams = new Map();
  #chips = h("div", { class: "chips", role: "group", "aria-label": "State" });
  #rows = null;
  #picked = new Picked();
  #all = h("input", { type: "checkbox", "aria-label": "Pick all jobs that are loaded", onchange: () => this.#pickAll() });
  #end = h("div", { class: "list-end muted small", role: "status" });

  async show() {
    await Promise.all([
      useStyle(new URL("./jobs.css", import.meta.url)),
      useStyle(new URL("./row.css", import.meta.url)),
      learn(),
    ]);
    const operations = await operationsOf();
    if (this.signal.aborted) return;
    this.#build(operations);
    list.addEventListener("change", () => this.#draw(), { signal: this.signal });
    window.addEventListener("scroll", () => (place.scroll = window.scrollY), { passive: true, signal: this.signal });
    const wanted = this.#filter();
    const key = this.#key(wanted);
    if (place.key === key && list.size) {
      const { scroll } = place;
      list.search(wanted.text);
      window.scrollTo(0, scroll);
    } else {
      place = { key, scroll: 0 };
      await list.reset(wanted, this.signal);
    }
    const timer = setInterval(() => this.#rows.tick(), 1000);
    this.signal.addEventListener("abort", () => clearInterval(timer));
    this.#keepFresh();
  }

  #build(operations) {
    const search = h("input", {
      type: "search",
      placeholder: "File, job id, your own id, error…  ( / )",
      "aria-label": "Search jobs",
      value: this.query.get("q") ?? "",
      oninput: () => this.#searchSoon(),
    });
    const operation = h(
      "select",
      { "aria-label": "Operation", onchange: () => this.#change("operation", operation.value) },
      h("option", { value: "" }, "All but previews"),
      h("option", { value: ALL }, "All operations"),
      ...operations.map((name) => h("option", { value: name }, name)),
    );
    operation.value = this.query.get("operation") ?? "";
    const days = h(
      "select",
      { "aria-label": "Accepted", onchange: () => this.#change("days", days.value) },
      ...DAYS.map(([value, text]) => h("option", { value }, text)),
    );
    days.value = this.query.get("days") ?? "";
    this.#rows = h("job-rows");
    this.#rows.picked = this.#picked;
    this.#picked.addEventListener("change", () => this.#showPicked());
    this.bulk = bulkBar(this.#picked, { jobs: () => this.#pickedJobs(), onChange: (id, job) => this.#changed(id, job) });
    document.addEventListener(
      "keydown",
      (event) => event.key === "Escape" && !document.querySelector("dialog[open]") && this.#picked.only([]),
      { signal: this.signal },
    );
    this.#rows.onChange = (id, job) => this.#changed(id, job);
    this.#rows.onEnd = () => this.#wantMore();
    Object.assign(this, { search, operation, days });
    fill(
      this,
      h("h1", { class: "sr-only" }, "Jobs"),
      h(
        "div",
        { class: "jobs-tools" },
        this.#chips,
        h("label", { class: "search" }, icon("search"), search),
        operation,
        days,
        hasPage("new") && h("a", { class: "button primary", href: href("/new") }, icon("plus"), "New job"),
      ),
      h(
        "div",
        { class: "jobs-head small muted" },
        h("label", { class: "job-pick" }, this.#all),
        ...["", "Inputs", "Operation", "State", "Took", "Cost", ""].map((text) => h("span", { "aria-hidden": "true" }, text)),
      ),
      this.#rows,
      this.#end,
      this.bulk.bar,
    );
  }

  /** Ask for what is new again and again, more often while something runs. */
  #keepFresh() {
    this.every(1, async () => {
      const isBusy = list.all.some(isActive);
      const wait = isBusy ? BUSY_SECONDS : QUIET_SECONDS;
      if (Date.now() - (this.lastFresh ?? 0) < wait * 1000 - 100) return;
      await list.refresh(this.#rows.seen, this.signal);
      this.lastFresh = Date.now();
    });
  }

  #filter() {
    const days = Number(this.query.get("days"));
    const text = (this.query.get("q") ?? "").trim();
    const chosen = this.query.get("operation") ?? "";
    const operation = chosen === ALL ? "" : chosen;
    const filter = { status: this.query.get("status") ?? "", operation, text, hidden: chosen ? "" : PREVIEW };
    if (days)
      filter.created_after = new Date(Math.floor(Date.now() / 60_000) * 60_000 - days * 86_400_000).toISOString();
    const pair = /^([\w.-]+)=(\S+)$/.exec(text);
    if (pair) Object.assign(filter, { metadata: text, text: "" });
    return filter;
  }

  #key({ text, ...asked }) {
    return JSON.stringify(asked);
  }

  #change(name, value) {
    if (value) this.query.set(name, value);
    else this.query.delete(name);
    note(`/jobs${this.query.size ? `?${this.query}` : ""}`);
    const wanted = this.#filter();
    const key = this.#key(wanted);
    this.searched = 0;
    this.#drawChips();
    if (place.key === key) return list.search(wanted.text);
    place = { key, scroll: 0 };
    return list
      .reset(wanted, this.signal)
      .catch((error) => this.signal.aborted || toast(error.message, { kind: "bad" }));
  }

  #searchSoon() {
    clearTimeout(this.typing);
    this.typing = setTimeout(() => {
      if (!this.signal.aborted) this.#change("q", this.search.value.trim());
    }, SEARCH_AFTER_MS);
  }

  async #changed(id, job) {
    list.update(job ?? (await get(`/job/${id}`, { signal: this.signal })));
  }

  /** Ask for older jobs as long as the end of the list is near, of a search for so many pages. */
  async #wantMore() {
    if (this.isAsking) return;
    this.isAsking = true;
    try {
      while (this.#rows.isNearEnd && !list.isComplete && !this.signal.aborted) {
        if (list.filter.text && (this.searched = (this.searched ?? 0) + 1) > SEARCH_PAGES) break;
        await list.more(this.signal);
      }
    } catch (error) {
      if (!this.signal.aborted) toast(error.message, { kind: "bad" });
      await pause(QUIET_SECONDS, this.signal);
    } finally {
      this.isAsking = false;
    }
  }

  #draw() {
    this.#drawChips();
    this.#picked.keep((id) => list.job(id));
    this.#rows.show(list.shown);
    this.#showPicked();
    this.#drawEnd();
    this.#follow();
  }

  #pickedJobs() {
    return this.#picked.ids().map((id) => list.job(id)).filter(Boolean);
  }

  #pickAll() {
    this.#picked.only(this.#all.checked ? list.shown.map((job) => job.id) : []);
  }

  #showPicked() {
    const number = list.shown.filter((job) => this.#picked.has(job.id)).length;
    this.#all.checked = number > 0 && number === list.shown.length;
    this.#all.indeterminate = number > 0 && number < list.shown.length;
    this.#all.disabled = list.shown.length === 0;
    this.#rows.showPicked();
    this.bulk.draw();
  }

  #drawChips() {
    const total = Object.values(list.countsShown).reduce((sum, value) => sum + value, 0);
    const chosen = this.query.get("status") ?? "";
    const wanted = [
      ["", "All", total],
      ...Object.entries(STATES).map(([status, { word }]) => [status, word, list.countsShown[status] ?? 0]),
    ];
    const shown = wanted.filter(([status, , number]) => !status || number || status === chosen);
    const signature = JSON.stringify([shown, chosen]);
    if (signature === this.drawn) return;
    this.drawn = signature;
    const focused = this.#chips.contains(document.activeElement) ? document.activeElement.dataset.status : null;
    fill(
      this.#chips,
      shown.map(([status, word, number]) =>
        h(
          "button",
          {
            class: "chip",
            type: "button",
            dataset: { status },
            "aria-pressed": String(status === chosen),
            onclick: () => this.#change("status", status === chosen ? "" : status),
          },
          word,
          h("b", {}, count(number)),
        ),
      ),
    );
    if (focused !== null) this.#chips.querySelector(`[data-status="${focused}"]`)?.focus();
  }

  #drawEnd() {
    const { shown, size, isComplete, filter, hiddenCount } = list;
    const isNarrowed = Boolean(
      filter.text || filter.status || filter.operation || filter.created_after || filter.metadata,
    );
    const previews = hiddenCount ? ` Previews that are not shown: ${count(hiddenCount)}.` : "";
    if (shown.length || !isComplete) {
      const searched = filter.text ? `${count(shown.length)} found in ${count(size)} jobs. ` : "";
      this.#end.textContent = isComplete
        ? `${searched || `${count(shown.length)} ${shown.length === 1 ? "job" : "jobs"}. `}That is all.${previews}`
        : `${searched}Loading older jobs…`;
      return;
    }
    const clear = h("button", { class: "button", type: "button", onclick: () => this.#clear() }, "Show all jobs");
    fill(
      this.#end,
      isNarrowed
        ? empty("Nothing matches", "No job has all that you ask for here.", clear)
        : empty("No jobs yet", `What you submit by the API, the command line or this page appears here at once.${previews}`),
    );
  }

  #clear() {
    for (const control of [this.search, this.operation, this.days]) control.value = "";
    this.query = new URLSearchParams();
    return this.#change("q", "");
  }

  /** Follow the running jobs on the screen by streams, so that their bars move. */
  #follow() {
    const seen = this.#rows.seen;
    const wanted = list.shown.filter((job) => job.status === "IN_PROGRESS" && seen.has(job.id)).slice(0, STREAMS);
    const ids = new Set(document.hidden ? [] : wanted.map((job) => job.id));
    for (const [id, stop] of this.#streams) {
      if (ids.has(id)) continue;
      stop.abort();
      this.#streams.delete(id);
    }
    for (const id of ids) if (!this.#streams.has(id)) this.#stream(id);
  }

  async #stream(id) {
    const stop = new AbortController();
    const signal = AbortSignal.any([this.signal, stop.signal]);
    this.#streams.set(id, stop);
    try {
      for await (const event of watch(`/job/${id}/watch`, { signal })) {
        const job = list.job(id);
        if (event.finished) list.update(event.finished);
        else if (job && event.progress)
          list.update({ ...job, progress: event.progress, processed: event.progress.processed });
      }
    } catch {
      // The list tells it too, a little later.
    }
    await pause(QUIET_SECONDS, signal); // one that ends at once is not asked for as fast
    if (this.#streams.get(id) === stop) this.#streams.delete(id);
  }
}

/** Return the operations of this gateway, as its endpoints name them. */
async function operationsOf() {
  const { endpoints = [] } = await about().catch(() => ({}));
  const named = endpoints.map((endpoint) => /^POST \/video\/([a-z0-9]+)$/.exec(endpoint)?.[1]).filter(Boolean);
  return [...new Set(named)].filter((name) => name !== "adicionaaudio");
}

customElements.define("jobs-page", JobsPage);
