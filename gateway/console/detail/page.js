// One job: its result beside its input, what happened, what is wrong, and all that is known of it.

import { get, mediaUrl, pause, watch } from "../api.js";
import { fill, h, icon } from "../dom.js";
import { time, usd, when } from "../format.js";
import { go, href } from "../router.js";
import { Page, useStyle } from "../page.js";
import { act, copy, pill, progress } from "../ui.js";
import { buttons, download, learn, player, results } from "../jobs/actions.js";
import {
  failedClips,
  failure,
  fraction,
  isActive,
  mainInput,
  notes,
  options,
  progressText,
  state,
  title,
  took,
  warnings,
} from "../jobs/describe.js";
import "./compare.js";
import { attemptsCard, logCard } from "./attempts.js";
import { copyButton, facts, media, pairs, warning } from "./facts.js";
import { inputsCard } from "./inputs.js";
import { assetFacts, events, Live } from "./timeline.js";

const WEBHOOK_SECONDS = 5;
const ANEW_SECONDS = 3;
// While a job runs it is read anew this often at most: a watch tells of no attempts.
const REREAD_MS = 2000;

export default class JobPage extends Page {
  #live = new Live();
  #hooks = [];
  #logs = [];
  #head = h("div", { class: "detail-head" });
  #media = h("div", { class: "detail-media" });
  #side = h("div", { class: "stack" });
  #lower = h("div", { class: "stack" });
  #shownMedia = "";

  async show() {
    await Promise.all([
      useStyle(new URL("../jobs/jobs.css", import.meta.url)),
      useStyle(new URL("./detail.css", import.meta.url)),
      useStyle(new URL("./compare.css", import.meta.url)),
      learn(),
    ]);
    this.job = await get(`/job/${this.params.id}`, { signal: this.signal });
    fill(
      this,
      this.#head,
      h("div", { class: "grid2" }, h("div", { class: "stack" }, this.#media, this.#lower), this.#side),
    );
    await Promise.all([this.#readHooks(), this.#readLogs()]);
    this.#draw();
    if (isActive(this.job)) await this.#follow();
    this.every(WEBHOOK_SECONDS, async () => {
      if (!this.#hooks.some((hook) => hook.state === "PENDING")) return;
      await this.#readHooks();
      this.#draw();
    });
  }

  async #follow() {
    const clock = setInterval(() => this.#drawHead(), 1000);
    this.signal.addEventListener("abort", () => clearInterval(clock));
    for await (const event of watch(`/job/${this.job.id}/watch`, { signal: this.signal })) {
      this.#live.note(event, this.job);
      if (event.queued) this.job = { ...this.job, queued: { ...event.queued, toldAt: Date.now() } };
      else if (event.progress) this.#took(event.progress);
      this.#draw();
      this.#rereadSoon(event);
    }
    clearInterval(clock);
    if (this.signal.aborted) return;
    this.job = await get(`/job/${this.job.id}`, { signal: this.signal });
    await Promise.all([this.#readHooks(), this.#readLogs()]);
    this.#draw();
    if (!isActive(this.job)) return;
    await pause(ANEW_SECONDS, this.signal); // what lies between has ended the stream, not the job
    if (!this.signal.aborted) await this.#follow();
  }

  /** Read the job anew where its attempts may be others: it was taken, or a task of it has ended. */
  #rereadSoon({ progress: told }) {
    const news = told && `${told.phase} ${told.processed} ${told.total}`;
    if (!news || news === this.news || this.rereading) return;
    this.news = news;
    this.rereading = setTimeout(async () => {
      this.rereading = 0;
      const found = await get(`/job/${this.job.id}`, { signal: this.signal }).catch(() => null);
      if (!found || this.signal.aborted || !isActive(this.job)) return;
      const { attempts, startTime, delayTime, inputFacts } = found;
      this.job = { ...this.job, attempts, startTime, delayTime, inputFacts };
      this.#draw();
    }, this.hasReread ? REREAD_MS : 200);
    this.hasReread = true;
  }

  async #readLogs() {
    const { logs = [] } = await get(`/job/${this.params.id}/log`, { signal: this.signal }).catch((error) => {
      if (error.status === 404) return {}; // a gateway of an earlier version has none
      throw error;
    });
    this.#logs = logs;
  }

  #took(told) {
    const { startTime = new Date().toISOString() } = this.job;
    this.job = {
      ...this.job,
      status: "IN_PROGRESS",
      startTime,
      progress: told,
      processed: told.processed,
      total: told.total || this.job.total,
    };
  }

  async #readHooks() {
    const told = await get(`/job/${this.params.id}/webhooks`, { signal: this.signal });
    this.#hooks = told.deliveries ?? [];
    this.hookUrl = told.webhook_url;
  }

  #draw() {
    document.title = `${title(this.job)} · api-gpu`;
    this.#drawHead();
    this.#drawMedia();
    this.#drawSide();
    this.#drawLower();
  }

  #drawHead() {
    const job = this.job;
    const { word, kind, sign } = state(job);
    const line = [
      h("span", {}, job.operation),
      options(job) && h("span", {}, options(job)),
      ...notes(job).map((note) => h("span", { class: "note" }, note)),
      h("time", { dateTime: job.createTime, title: when(job.createTime) }, time(job.createTime)),
      took(job) && h("span", {}, took(job)),
      job.cost && h("span", {}, usd(job.cost.usd)),
    ];
    const active = isActive(job) && [
      h("p", { class: "told", role: "status" }, progressText(job)),
      job.status === "IN_PROGRESS" && progress(fraction(job), "Progress"),
    ];
    // Buttons are made anew only where others are due, as one of them may have the focus.
    const due = job.status + Boolean(job.output);
    if (due !== this.due) {
      this.due = due;
      this.actions = h("div", { class: "detail-actions" }, ...buttons(job, { onChange: (id) => this.#changed(id) }));
    }
    this.top ??= h("a", { class: "back", href: href("/jobs") }, icon("back"), "Jobs");
    this.facts ??= h("div", { class: "detail-facts" });
    fill(
      this.facts,
      h("div", { class: "detail-title" }, h("h1", {}, title(job)), pill(kind, word, sign)),
      h("div", { class: "detail-line muted" }, ...line),
      active,
    );
    if (this.#head.firstChild !== this.top || this.#head.lastChild !== this.actions)
      fill(this.#head, this.top, this.facts, this.actions);
  }

  async #changed(id) {
    if (id !== this.job.id) return go(`/jobs/${id}`);
    this.job = await get(`/job/${id}`, { signal: this.signal });
    return this.#draw();
  }

  async #drawMedia() {
    const found = results(this.job);
    const signature = JSON.stringify([this.job.status, found.map((one) => one.name), Boolean(this.job.error)]);
    if (signature === this.#shownMedia) return;
    this.#shownMedia = signature;
    if (!found.length) return fill(this.#media, this.#without());
    const [first] = found;
    const before = first.type.startsWith("video/") && found.length === 1 ? await this.#input() : null;
    if (before && !this.signal.aborted) {
      const pair = h("before-after");
      pair.begin(mediaUrl(first.url), before);
      return fill(this.#media, pair);
    }
    return fill(
      this.#media,
      found.map((one) => this.#figure(one, found.length > 1)),
    );
  }

  #figure(result, isNamed) {
    return h(
      "figure",
      { class: "result" },
      player(result),
      isNamed && h("figcaption", {}, h("span", {}, result.name), download(result, "button quiet")),
    );
  }

  #without() {
    const job = this.job;
    if (job.error) {
      const next = { CANCELLED: "Retry it, or submit it again with changes." }[job.status];
      return h(
        "div",
        { class: job.status === "CANCELLED" ? "card" : "problem" },
        icon(job.status === "CANCELLED" ? "stop" : "warn"),
        h(
          "div",
          {},
          h("p", {}, failure(job)),
          h("p", { class: "facts-line small" }, h("code", {}, job.error.reason || job.error.status)),
          next && h("p", {}, next),
        ),
      );
    }
    if (isActive(job))
      return h(
        "div",
        { class: "card waiting" },
        icon("film"),
        h("p", { class: "muted" }, "The result appears here when it is done."),
      );
    return this.#mediaReport();
  }

  /** Show what a probe found, or that there is nothing to see. */
  #mediaReport() {
    const media = this.job.output?.media;
    if (!media) return h("div", { class: "card muted" }, "This job made no file to look at.");
    return h(
      "pre",
      { class: "card mono", tabIndex: 0, "aria-label": "What the file holds" },
      JSON.stringify(media, null, 2),
    );
  }

  /** Return the input that the result is compared with: {url, isImage}; null where it cannot be shown here. */
  async #input() {
    const source = mainInput(this.job);
    if (!source || this.job.operation === "story") return null;
    try {
      const { contentType, downloadUrl } = await get(`/${source}`, { signal: this.signal });
      return { url: mediaUrl(downloadUrl), isImage: contentType.startsWith("image/") };
    } catch {
      return null; // it is gone by now
    }
  }

  #drawSide() {
    const job = this.job;
    const list = events(job, this.#hooks, this.#live.seen);
    const signature = JSON.stringify([list, job.inputs, job.inputFacts, job.cost]);
    if (signature === this.drawnSide) return;
    this.drawnSide = signature;
    fill(
      this.#side,
      h(
        "section",
        { class: "card", "aria-label": "Timeline" },
        h("h2", {}, "What happened"),
        h("ol", { class: "timeline" }, list.map(event)),
      ),
      h("section", { class: "card", "aria-label": "Facts" }, h("h2", {}, "Facts"), this.#facts()),
      this.#inputs(),
      this.#results(),
    );
  }

  /** Return the card of the inputs, made anew where more is known of them. */
  #inputs() {
    const known = JSON.stringify(this.job.inputFacts ?? []);
    if (known !== this.knownInputs) this.inputs = inputsCard(this.job, this.signal);
    this.knownInputs = known;
    return this.inputs;
  }

  #facts() {
    const job = this.job;
    const made = job.output?.encoding ?? {};
    return facts([
      ["Job", h("span", {}, h("code", {}, job.id), " ", copyButton(job.id, "the job id"))],
      job.requestId && [
        "Request",
        h("span", {}, h("code", {}, job.requestId), " ", copyButton(job.requestId, "the request id")),
      ],
      job.request?.retryOf && [
        "Retry of",
        h("a", { href: href(`/jobs/${job.request.retryOf}`) }, h("code", {}, job.request.retryOf)),
      ],
      job.tenant && ["Tenant", job.tenant],
      ...Object.entries(job.metadata ?? {}),
      made.codec && ["Codec", made.reason ? `${made.codec}: ${made.reason}` : made.codec],
      made.frames_copied && ["Frames copied", String(made.frames_copied)],
      made.whole_reason && ["All encoded", made.whole_reason],
      job.total > 1 && ["Tasks", `${job.processed} of ${job.total}`],
      job.cost && ["Cost", `${usd(job.cost.usd)}${job.cost.final ? "" : " so far"}`],
      this.hookUrl && ["Webhook", this.hookUrl],
    ]);
  }

  #results() {
    const name = this.job.output?.asset;
    if (!name) return null;
    const list = h("dl", { class: "facts" });
    this.asset ??= get(`/${name}`, { signal: this.signal });
    const [made] = this.job.resultFacts ?? [];
    const picture = made && ["Picture", media({ ...made, codec: "", sizeBytes: 0 })];
    this.asset.then(
      (asset) => fill(list, pairs([...assetFacts(asset), picture?.[1] && picture])),
      () => fill(list, pairs([["File", "is no longer kept"], picture?.[1] && picture])),
    );
    return h("section", { class: "card", "aria-label": "Result" }, h("h2", {}, "Result"), list);
  }

  #drawLower() {
    const job = this.job;
    const told = warnings(job);
    const failed = failedClips(job);
    const signature = JSON.stringify([told, failed, job.request, job.status, job.attempts, this.#logs]);
    if (signature === this.drawnLower) return;
    this.drawnLower = signature;
    fill(
      this.#lower,
      told.length > 0 &&
        h(
          "section",
          { class: "card", "aria-label": "Warnings" },
          h("h2", {}, "Warnings"),
          h("ul", { class: "warnings" }, told.map(warning)),
        ),
      failed.length > 0 &&
        h(
          "section",
          { class: "card", "aria-label": "Failed clips" },
          h("h2", {}, "Failed clips"),
          h(
            "ul",
            { class: "warnings" },
            failed.map((clip) =>
              h("li", {}, icon("cross"), h("div", {}, h("b", {}, clip.id), h("p", {}, clip.error.message))),
            ),
          ),
        ),
      attemptsCard(job),
      this.#logs.map((log) => logCard(log, job)),
      job.request?.operation && this.#json("What was asked for", job.request.operation),
      this.#json("All of the job, as the API tells it", job),
    );
  }

  #json(label, value) {
    const text = JSON.stringify(value, null, 2);
    return h(
      "details",
      { class: "card json" },
      h("summary", {}, label),
      act("Copy", () => copy(text, "Copied as JSON"), { sign: "copy" }),
      h("pre", { class: "mono", tabIndex: 0, "aria-label": label }, text),
    );
  }
}

function event({ at, title: name, text, kind }) {
  return h(
    "li",
    { class: `event event-${kind}` },
    h("time", { class: "mono small muted", dateTime: at, title: when(at) }, time(at)),
    h("div", {}, h("b", {}, name), text && h("p", { class: "small muted" }, text)),
  );
}

customElements.define("job-page", JobPage);
