// One job in the list: made once, then only what has changed is set.

import { fill, h, icon } from "../dom.js";
import { ago, usd, when } from "../format.js";
import { go, href } from "../router.js";
import { pill, progress } from "../ui.js";
import { buttons, results } from "./actions.js";
import {
  failedClips,
  failure,
  fraction,
  isActive,
  notes,
  options,
  progressText,
  shortId,
  sign,
  state,
  title,
  took,
  warnings,
} from "./describe.js";
import { thumbnail } from "./thumb.js";

const PICTURE_AFTER_MS = 120;

export class JobRow extends HTMLElement {
  #gone = new AbortController();
  #drawn = {};
  #parts = {};
  onChange = null;
  /** Is told that the row is picked, or no more, and whether all up to it are. */
  onPick = null;

  /** Build the row of a job. */
  begin(job) {
    this.job = job;
    this.className = "job";
    this.setAttribute("role", "listitem");
    const box = h("input", { type: "checkbox", "aria-label": `Pick ${title(job)}`, title: "Pick (x); with Shift all up to here" });
    box.addEventListener("click", (event) => this.onPick?.(box.checked, event.shiftKey));
    const parts = {
      box,
      picture: h("div", { class: "job-picture" }, icon(sign(job))),
      title: h("a", { class: "job-title", href: href(`/jobs/${job.id}`) }),
      sub: h("div", { class: "job-sub muted small" }),
      what: h("div", { class: "job-what" }),
      state: h("div", { class: "job-state" }),
      took: h("div", { class: "job-took" }),
      cost: h("div", { class: "job-cost" }),
      actions: h("div", { class: "job-actions" }),
    };
    this.#parts = parts;
    fill(
      this,
      h("label", { class: "job-pick" }, box),
      parts.picture,
      h("div", { class: "job-name" }, parts.title, parts.sub),
      parts.what,
      parts.state,
      parts.took,
      parts.cost,
      parts.actions,
    );
    this.addEventListener("click", (event) => {
      if (event.target.closest("a, button, label")) return;
      if (event.ctrlKey || event.metaKey || event.shiftKey) {
        getSelection().removeAllRanges();
        return this.onPick?.(event.shiftKey || !box.checked, event.shiftKey);
      }
      if (!getSelection().toString()) go(`/jobs/${job.id}`);
    });
  }

  disconnectedCallback() {
    this.#gone.abort();
  }

  /** Show how the job is, and where it stands in the list. */
  update(job, position, total, isPicked) {
    this.job = job;
    this.pick(isPicked);
    const { title: link, sub, what } = this.#parts;
    this.setAttribute("aria-posinset", position);
    this.setAttribute("aria-setsize", total);
    this.#draw("title", title(job), () => {
      link.textContent = title(job);
      link.title = (job.inputs ?? []).map((input) => input.name).join("\n");
    });
    const own = notes(job);
    this.#draw("sub", JSON.stringify([own, ago(job.createTime), job.tenant]), () =>
      fill(
        sub,
        ...own.slice(0, 2).map((note) => h("span", { class: "note", title: note }, note)),
        job.tenant && h("span", { class: "note" }, `tenant ${job.tenant}`),
        h("span", { title: job.id }, shortId(job)),
        h("time", { dateTime: job.createTime, title: when(job.createTime) }, ago(job.createTime)),
      ),
    );
    this.#draw("what", job.operation + options(job), () =>
      fill(what, h("span", {}, job.operation), h("span", { class: "muted small" }, options(job))),
    );
    this.#drawState(job);
    this.tick();
    this.#drawActions(job);
    this.#drawPicture(job);
  }

  /** Show how long the job has run by now. */
  tick() {
    const text = took(this.job);
    if (this.#parts.took.textContent !== text) this.#parts.took.textContent = text;
    const cost = this.job.progress?.costUsd ?? this.job.cost?.usd;
    const price = cost === undefined ? "" : usd(cost);
    if (this.#parts.cost.textContent !== price) this.#parts.cost.textContent = price;
  }

  #draw(name, signature, work) {
    if (this.#drawn[name] === signature) return;
    this.#drawn[name] = signature;
    work();
  }

  #drawState(job) {
    const { word, kind, sign: mark } = state(job);
    const told = isActive(job) ? progressText(job) : failure(job);
    const done = fraction(job);
    this.dataset.status = job.status;
    this.#draw("state", JSON.stringify([job.status, told, done, warnings(job).length]), () => {
      const warned = warnings(job);
      const failed = failedClips(job).length;
      fill(
        this.#parts.state,
        h(
          "div",
          { class: "job-state-line" },
          pill(kind, word, mark),
          isActive(job) && h("span", { class: "small told", title: told }, told),
          warned.length > 0 && pill("warn", warned.length === 1 ? "1 warning" : `${warned.length} warnings`, "warn"),
          failed > 0 && pill("bad", `${failed} of ${job.total} failed`, "cross"),
        ),
        job.status === "IN_PROGRESS" && progress(done, `Progress of ${title(job)}`),
        job.error &&
          h("div", { class: job.status === "CANCELLED" ? "small muted clamp" : "small bad clamp", title: told }, told),
        !job.error &&
          warned.length > 0 &&
          h("div", { class: "small muted clamp", title: warned[0].message }, warned[0].message),
      );
    });
  }

  #drawActions(job) {
    this.#draw("actions", job.status + Boolean(job.output), () => {
      const { actions, title: link } = this.#parts;
      const hadFocus = actions.contains(document.activeElement);
      fill(actions, ...buttons(job, { onChange: this.onChange, isShort: true }));
      if (hadFocus) link.focus();
    });
  }

  #drawPicture(job) {
    this.#draw("picture", String(results(job).length > 0), () => {
      const signal = this.#gone.signal;
      // Rows that only fly past ask for nothing.
      setTimeout(async () => {
        if (signal.aborted) return;
        const src = await thumbnail(job, signal);
        if (src && !signal.aborted) fill(this.#parts.picture, h("img", { src, alt: "", decoding: "async" }));
      }, PICTURE_AFTER_MS);
    });
  }

  /** Show whether the row is picked. */
  pick(isPicked) {
    this.#parts.box.checked = isPicked;
    this.classList.toggle("job-picked", isPicked);
  }

  focusLink() {
    this.#parts.title.focus();
  }
}

customElements.define("job-row", JobRow);
