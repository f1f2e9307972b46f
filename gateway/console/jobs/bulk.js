// What is done with several jobs at once: they are picked in the list, by pointer or keyboard.

import { post } from "../api.js";
import { fill, h, icon } from "../dom.js";
import { count } from "../format.js";
import { act, ask, toast } from "../ui.js";
import { ABILITIES, results, save } from "./actions.js";
import { isActive } from "./describe.js";

const AT_ONCE = 4;
// Browsers drop links that are followed faster.
const BETWEEN_DOWNLOADS_MS = 400;

/** The jobs that are picked, by their ids; who listens to "change" is told when others are. */
export class Picked extends EventTarget {
  #ids = new Set();
  #last = null;

  get size() {
    return this.#ids.size;
  }

  has(id) {
    return this.#ids.has(id);
  }

  /** Pick a job, or let go of it; with `ids`, the list as it is shown, all from the last one on to it. */
  set(id, wanted, ids = null) {
    const [from, to] = ids && this.#last ? [ids.indexOf(this.#last), ids.indexOf(id)] : [-1, -1];
    const found = from >= 0 && to >= 0 ? ids.slice(Math.min(from, to), Math.max(from, to) + 1) : [id];
    for (const one of found) wanted ? this.#ids.add(one) : this.#ids.delete(one);
    this.#last = id;
    this.#tell();
  }

  /** Pick these jobs and no others. */
  only(ids) {
    this.#ids = new Set(ids);
    this.#last = null;
    this.#tell();
  }

  /** Let go of jobs that are no longer in the list. */
  keep(isThere) {
    const gone = [...this.#ids].filter((id) => !isThere(id));
    for (const id of gone) this.#ids.delete(id);
    if (gone.length) this.#tell();
  }

  ids() {
    return [...this.#ids];
  }

  #tell() {
    this.dispatchEvent(new Event("change"));
  }
}

/** The bar with what can be done with the jobs that are picked. `jobs` returns them; `onChange` is told of each change. */
export function bulkBar(picked, { jobs, onChange }) {
  const bar = h("div", { class: "bulk", role: "region", "aria-label": "Picked jobs", hidden: true });
  let drawn = "";
  const draw = () => {
    const found = jobs();
    bar.hidden = picked.size === 0;
    const kinds = [found.filter(isActive).length, found.filter(retriable).length, found.filter(hasFiles).length];
    const signature = JSON.stringify([picked.size, kinds]);
    if (bar.hidden || signature === drawn) return;
    drawn = signature;
    const [active, over, made] = kinds;
    const hadFocus = bar.contains(document.activeElement);
    fill(
      bar,
      h("b", { role: "status" }, `${count(picked.size)} picked`),
      h(
        "div",
        { class: "bulk-actions" },
        active > 0 && act(`Cancel ${count(active)}`, () => cancelAll(jobs().filter(isActive), onChange), { sign: "stop" }),
        over > 0 && act(`Retry ${count(over)}`, () => retryAll(jobs().filter(retriable), onChange), { sign: "retry" }),
        made > 0 && act(`Download ${count(made)}`, () => downloadAll(jobs().filter(hasFiles)), { sign: "download" }),
      ),
      h(
        "button",
        { class: "button quiet icon-only", type: "button", "aria-label": "Pick none", title: "Pick none (Esc)", onclick: () => picked.only([]) },
        icon("close"),
      ),
    );
    if (hadFocus && !bar.contains(document.activeElement)) bar.querySelector("button")?.focus();
  };
  picked.addEventListener("change", draw);
  return { bar, draw };
}

function retriable(job) {
  return ABILITIES.retry && !isActive(job);
}

function hasFiles(job) {
  return results(job).length > 0;
}

async function cancelAll(jobs, onChange) {
  const some = jobs.length === 1 ? "this job" : `these ${count(jobs.length)} jobs`;
  const sure = await ask({
    title: `Cancel ${some}?`,
    text: "What they have made so far is thrown away.",
    action: jobs.length === 1 ? "Cancel the job" : "Cancel the jobs",
    danger: true,
  });
  if (!sure) return;
  await each(jobs, "cancelled", async (job) => {
    await post(`/job/${job.id}/cancel`);
    await onChange(job.id);
  });
}

async function retryAll(jobs, onChange) {
  await each(jobs, "queued anew", async (job) => {
    const next = await post(`/job/${job.id}/retry`);
    await onChange(next.id, next);
  });
}

/** Save all results, one after the other: a browser asks once whether a page may save several. */
async function downloadAll(jobs) {
  const found = jobs.flatMap(results);
  for (const result of found) {
    save(result);
    await new Promise((resolve) => setTimeout(resolve, BETWEEN_DOWNLOADS_MS));
  }
  toast(found.length === 1 ? "1 file is saved." : `${count(found.length)} files are saved.`);
}

/** Do the work for each job, some at a time; one that fails keeps no other from it. */
async function each(jobs, what, work) {
  const left = [...jobs];
  const errors = [];
  const worker = async () => {
    for (let job = left.shift(); job; job = left.shift()) {
      try {
        await work(job);
      } catch (error) {
        errors.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  const done = jobs.length - errors.length;
  if (done) toast(`${count(done)} ${done === 1 ? "job was" : "jobs were"} ${what}.`);
  if (errors.length) toast(`${count(errors.length)} could not be: ${errors[0].message}`, { kind: "bad" });
}
