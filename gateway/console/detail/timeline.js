// What happened to a job, in order, from all that the API tells of it.

import { bytes, clock, seconds } from "../format.js";
import { hasAttempts, isTold, progressText, state } from "../jobs/describe.js";

/** Return [{at, title, text, kind}], the oldest first. `live` are events seen here, `hooks` calls of its webhook. */
export function events(job, hooks = [], live = []) {
  const found = [
    { at: job.createTime, title: "Accepted", text: accepted(job), kind: "mute" },
    taken(job),
    ...(job.attempts ?? []).flatMap((attempt) => tried(attempt, job)),
    ...live,
    ...hooks.flatMap(calls),
    job.endTime && { at: job.endTime, title: state(job).word, text: ended(job), kind: state(job).kind },
    ...deliveries(job),
  ];
  // What begins at one time happened in this order.
  return found.filter(Boolean).sort((one, other) => new Date(one.at) - new Date(other.at));
}

function taken(job) {
  const [first] = job.attempts ?? [];
  if (!job.startTime) return null;
  const text = `after ${seconds(job.delayTime / 1000)} in the queue`;
  return { at: job.startTime, title: first?.encoder ? `Taken by ${first.encoder}` : "Taken by an encoder", text, kind: "run" };
}

/** What came of an attempt, where the end of the job does not say it. */
function tried(attempt, job) {
  const { outcome, encoder, codec, startTime, endTime, encodeSeconds, message, item } = attempt;
  const what = job.total > 1 && item ? `${item}: ` : "";
  // Why is told once: at the top, with the clip, with the attempt, or here.
  const told = hasAttempts(job) || !message || isTold(message, job) ? what && item : `${what}${message}`;
  const isFirst = attempt === job.attempts[0];
  const began = !isFirst && job.total === 1 && { at: startTime, title: `Taken by ${encoder || "an encoder"}`, text: "another attempt", kind: "run" };
  const ends = {
    INTERRUPTED: { title: "The attempt ended", text: told, kind: "warn" },
    OVERTAKEN: { title: `${encoder} was overtaken`, text: `${what}another encoder was done first`, kind: "mute" },
    FAILED: job.total > 1 && { title: "A task failed", text: told, kind: "bad" },
    TIMED_OUT: job.total > 1 && { title: "A task took too long", text: told, kind: "bad" },
    COMPLETED: job.total === 1 && encodeSeconds !== undefined && { title: "FFmpeg is done", text: ffmpegText(codec, encodeSeconds), kind: "run" },
  }[outcome];
  return [began, ends && { at: endTime, ...ends }].filter(Boolean);
}

function ffmpegText(codec, encodeSeconds) {
  const by = { "": "", copy: ", nothing was encoded" }[codec ?? ""] ?? ` with ${codec}`;
  return `after ${encodeSeconds < 10 ? `${encodeSeconds.toFixed(1)} s` : seconds(encodeSeconds)}${by}`;
}

function accepted(job) {
  const parts = [job.request?.retryOf && `a retry of ${job.request.retryOf.slice(0, 8)}…`];
  if (job.priority && job.priority !== "normal") parts.push(`priority ${job.priority}`);
  if (job.deadline) parts.push(`wanted by ${new Date(job.deadline).toLocaleString()}`);
  return parts.filter(Boolean).join(", ");
}

function ended(job) {
  const made = job.output?.encoding;
  const parts = [job.startTime && `${job.error ? "after" : "in"} ${clock(job.executionTime / 1000)}`, made?.codec && `by ${made.codec}`];
  return parts.filter(Boolean).join(" ");
}

function calls(hook) {
  const told = (hook.attempts ?? []).map((attempt) => ({
    at: attempt.time,
    title: `Webhook ${hook.type}`,
    text: attempt.error || `answered ${attempt.httpStatus} in ${attempt.durationMs} ms`,
    kind: attempt.error ? "bad" : "ok",
  }));
  if (hook.state === "PENDING" && hook.nextAttemptTime) {
    told.push({ at: hook.nextAttemptTime, title: `Webhook ${hook.type}`, text: "is tried again then", kind: "mute" });
  }
  return told;
}

function deliveries(job) {
  return (job.deliveries ?? []).map((one) => ({
    at: one.nextAttemptTime ?? job.endTime ?? job.createTime,
    title: { DELIVERED: "Delivered", GIVEN_UP: "Delivery given up" }[one.state] ?? "To be delivered",
    text: [one.name, one.place && `to ${one.place}`, one.error].filter(Boolean).join(" "),
    kind: { DELIVERED: "ok", GIVEN_UP: "bad" }[one.state] ?? "mute",
  }));
}

// A long queue, or a long batch, has news without end.
const KEPT = 100;

/** Note what a watch tells, where it is news: a new place, a new phase, a clip of a batch. */
export class Live {
  #last = "";
  seen = [];

  note(event, job) {
    const told = this.#told(event, job);
    if (!told || told.title + told.text === this.#last) return;
    this.#last = told.title + told.text;
    this.seen.push({ at: new Date().toISOString(), ...told });
    if (this.seen.length > KEPT) this.seen.shift();
  }

  #told(event, job) {
    if (event.queued) {
      return { title: "Waits", text: progressText({ ...job, status: "IN_QUEUE", queued: event.queued }), kind: "mute" };
    }
    if (event.item) {
      const failed = event.item.error;
      return {
        title: failed ? "A clip failed" : "A clip is done",
        text: failed ? `${event.item.id}: ${failed.message}` : event.item.id,
        kind: failed ? "bad" : "ok",
      };
    }
    if (event.progress?.phase === "ENCODING" && event.progress.framesDone > 0) {
      return { title: "FFmpeg encodes", text: "the first frames are done", kind: "run" };
    }
    return null;
  }
}

/** Return the facts of a stored file. */
export function assetFacts(asset) {
  return [
    ["Name", asset.filename || asset.name],
    ["Type", asset.contentType],
    ["Size", bytes(asset.sizeBytes)],
    ["SHA-256", asset.sha256],
    asset.expireTime && ["Kept until", new Date(asset.expireTime).toLocaleString()],
  ].filter(Boolean);
}
