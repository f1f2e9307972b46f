// The jobs that are known to this tab, the newest first: pages of the list as they are wanted, and what changes in them.

import { ApiError, get } from "../api.js";
import { isActive, isPreview, matches } from "./describe.js";

const PAGE = 200;
// So many of the newest are asked for each time, and so many of the others that have not ended.
const HEAD = 30;
const OTHERS = 6;
// A list that is further behind than that many pages begins anew.
const GAP_PAGES = 5;
// Then a list begins anew, once its top is shown: links in it end, and jobs are not kept for ever.
const AGE_MS = 6 * 3600 * 1000;

export class JobList extends EventTarget {
  #known = new Map();
  #places = new Map();
  #token = "";
  #loading = null;
  #turn = 0;
  #begunAt = 0;
  // Those that were not shown, by their states: other filters begin a list anew, and it is still known what is not to be counted.
  #hidden = new Map();
  filter = {};
  /** Jobs that are shown, the newest first. */
  shown = [];
  counts = {};
  isComplete = false;

  get all() {
    return [...this.#known.values()];
  }

  get size() {
    return this.#known.size;
  }

  get isLoading() {
    return this.#loading !== null;
  }

  job(id) {
    return this.#known.get(id);
  }

  /** Return how many jobs there are by status, without those that are known and not shown. */
  get countsShown() {
    if (!this.filter.hidden) return this.counts;
    const left = { ...this.counts };
    for (const status of this.#hidden.values()) left[status] = Math.max((left[status] ?? 0) - 1, 0);
    return left;
  }

  /** Return how many jobs are known that are not shown: of an operation, or the console's own. */
  get hiddenCount() {
    return this.all.filter((job) => this.#isHidden(job)).length;
  }

  #isHidden(job) {
    return Boolean(this.filter.hidden) && (job.operation === this.filter.hidden || isPreview(job));
  }

  /** Begin anew with {status, operation, created_after, metadata, text, hidden}; `hidden` is an operation. */
  async reset(filter, signal) {
    this.#turn += 1;
    this.#known.clear();
    if (!filter.status && !filter.operation && !filter.created_after && !filter.metadata) this.#hidden.clear();
    this.#places.clear();
    this.#loading = null;
    Object.assign(this, { filter, shown: [], isComplete: false });
    this.#token = "";
    this.#begunAt = Date.now();
    await this.more(signal);
  }

  /** Show what matches another text, of what is known. */
  search(text) {
    this.filter = { ...this.filter, text };
    this.#arrange();
  }

  /** Ask for the next page of older jobs, if there is one. */
  more(signal) {
    if (this.isComplete) return Promise.resolve();
    this.#loading ??= this.#next(signal).finally(() => (this.#loading = null));
    return this.#loading;
  }

  async #next(signal) {
    const turn = this.#turn;
    const page = await this.#page(PAGE, this.#token, signal);
    if (turn !== this.#turn) return;
    this.#token = page.nextPageToken;
    this.isComplete = !page.nextPageToken;
    this.#take(page.jobs);
  }

  /** Ask for what is new, and how those are that have not ended; `seen` are ids of the ones on the screen. */
  async refresh(seen, signal) {
    const isOld = Date.now() - this.#begunAt > AGE_MS;
    if (isOld && (!this.shown.length || seen.has(this.shown[0].id))) return this.reset(this.filter, signal);
    const turn = this.#turn;
    const fresh = [];
    let page = await this.#page(HEAD, "", signal);
    fresh.push(...page.jobs);
    this.counts = page.counts;
    for (let at = 0; this.#isBehind(page); at += 1) {
      if (at === GAP_PAGES) return turn === this.#turn && this.reset(this.filter, signal);
      page = await this.#page(PAGE, page.nextPageToken, signal);
      fresh.push(...page.jobs);
    }
    if (turn !== this.#turn) return;
    const told = new Set(fresh.map((job) => job.id));
    const others = this.all.filter((job) => isActive(job) && !told.has(job.id));
    others.sort((one, other) => seen.has(other.id) - seen.has(one.id));
    const answers = await Promise.all(others.slice(0, OTHERS).map((job) => this.#one(job, signal)));
    if (turn !== this.#turn) return;
    this.#take([...fresh, ...answers.filter(Boolean)]);
    if (answers.includes(null)) this.#arrange();
  }

  #isBehind(page) {
    return (
      this.size > 0 && page.nextPageToken && page.jobs.length > 0 && !page.jobs.some((job) => this.#known.has(job.id))
    );
  }

  async #one(job, signal) {
    try {
      return await get(`/job/${job.id}`, { signal });
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 404)) throw error;
      this.#known.delete(job.id);
      return null;
    }
  }

  #page(size, token, signal) {
    const { text, hidden, ...query } = this.filter;
    return get("/jobs", { query: { ...query, page_size: size, page_token: token }, signal });
  }

  /** Note what a job is now. */
  update(...jobs) {
    this.#take(jobs);
  }

  #take(jobs) {
    let isSame = !this.filter.text;
    for (const job of jobs) {
      if (this.#isHidden(job)) this.#hidden.set(job.id, job.status);
      const isWanted = !this.filter.status || job.status === this.filter.status;
      isSame &&= isWanted && (this.#places.has(job.id) || this.#isHidden(job));
      if (isWanted) this.#known.set(job.id, job);
      else this.#known.delete(job.id);
    }
    if (!isSame) return this.#arrange();
    for (const job of jobs) if (this.#places.has(job.id)) this.shown[this.#places.get(job.id)] = job;
    return this.#tell();
  }

  #arrange() {
    const found = this.all.filter((job) => !this.#isHidden(job) && matches(job, this.filter.text));
    // Ids sort by the time of submission.
    this.shown = found.sort((one, other) => (one.id < other.id ? 1 : one.id > other.id ? -1 : 0));
    this.#places = new Map(this.shown.map((job, at) => [job.id, at]));
    this.#tell();
  }

  #tell() {
    this.dispatchEvent(new Event("change"));
  }
}
