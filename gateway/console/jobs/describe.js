// What is said of a job, as texts; nothing here touches the page.

import { clock, count, seconds } from "../format.js";

export const STATES = {
  IN_QUEUE: { word: "Queued", kind: "mute", sign: "clock" },
  IN_PROGRESS: { word: "Running", kind: "run", sign: "play" },
  COMPLETED: { word: "Done", kind: "ok", sign: "check" },
  FAILED: { word: "Failed", kind: "bad", sign: "cross" },
  CANCELLED: { word: "Cancelled", kind: "mute", sign: "stop" },
  TIMED_OUT: { word: "Timed out", kind: "bad", sign: "clock" },
};
// On jobs that the console asks for to show something: pictures of videos, their lengths.
export const PREVIEW_NOTE = { console: "preview" };
const PREVIEWS = new Set(["frame", "probe", "thumbnail"]);
const WAITS = {
  WAITING_FOR_WORKER: "waits for a free encoder",
  COLD_START: "an encoder is starting",
  ENCODING: "an encoder has begun",
};
const SIGNS = { img2vid: "image", thumbnail: "image", frame: "image", addaudio: "sound", probe: "search" };
const SHOWN_NAMES = 2;

export function isActive(job) {
  return job.status === "IN_QUEUE" || job.status === "IN_PROGRESS";
}

/** Whether a job was the console's own: of what it asks for, with its note and no other. */
export function isPreview(job) {
  const notes = Object.entries(job.metadata ?? {}).join();
  return PREVIEWS.has(job.operation) && notes === Object.entries(PREVIEW_NOTE).join();
}

export function state(job) {
  return STATES[job.status] ?? { word: job.status, kind: "mute", sign: "info" };
}

export function sign(job) {
  return SIGNS[job.operation] ?? "film";
}

/** Name a job by its inputs: "talk.mp4 + talk.srt", "12 inputs: a.png, b.png …". */
export function title(job) {
  const names = [...new Set((job.inputs ?? []).map((input) => input.name).filter(Boolean))];
  const total = job.request?.inputCount ?? names.length;
  if (!names.length) return `${job.operation} ${shortId(job)}`;
  if (total <= SHOWN_NAMES + 1) return names.join(" + ");
  const shown = names.slice(0, SHOWN_NAMES);
  return `${shown.join(" + ")} + ${total - shown.length} more`;
}

export function shortId(job) {
  return `${job.id.slice(0, 8)}…`;
}

/** Return the caller's own notes as texts: "episode: 12". */
export function notes(job) {
  return Object.entries(job.metadata ?? {}).map(([name, value]) => `${name}: ${value}`);
}

/** Return what of the options tells jobs apart: "karaoke", "1080×1920", "12 images". */
export function options(job) {
  const asked = Object.values(job.request?.operation ?? {})[0] ?? {};
  const preset = asked.style?.preset ?? asked.captions?.style?.preset ?? asked.caption_style?.preset;
  const parts = [
    preset &&
      String(preset)
        .replace(/^PRESET_/, "")
        .replaceAll("_", " ")
        .toLowerCase(),
    asked.width && asked.height && `${asked.width}×${asked.height}`,
    asked.images && asked.images.length > 1 && `${asked.images.length} images`,
    asked.scenes && `${asked.scenes.length} scenes`,
    asked.steps && `${asked.steps.length} steps`,
    job.priority && job.priority !== "normal" && job.priority,
  ];
  return parts.filter(Boolean).join(" · ");
}

/** Return the stored file that a job is about, "assets/…": its video, else its first picture; "" where it has none. */
export function mainInput(job) {
  const asked = Object.values(job.request?.operation ?? {})[0] ?? {};
  const first = asked.images?.[0] ?? asked.scenes?.[0] ?? asked.videos?.[0] ?? asked;
  const source = asked.url_video ?? first.url_video ?? first.image_url ?? asked.url_videos?.[0] ?? "";
  return /^assets\/[a-z2-7]{26}$/.test(source) ? source : "";
}

/** Return what is wrong with a result, over all clips of a batch. */
export function warnings(job) {
  const clips = job.output?.videos ?? [];
  return [...(job.output?.warnings ?? []), ...clips.flatMap((clip) => clip.warnings ?? [])];
}

/** Return the clips of a batch that failed. */
export function failedClips(job) {
  return (job.output?.videos ?? []).filter((clip) => clip.error);
}

/** "143/240 · 11 fps · 9 s left", "number 2 · starts in about 40 s". */
export function progressText(job) {
  return job.status === "IN_QUEUE" ? queueText(job) : runText(job);
}

function queueText(job) {
  const waits = job.queued ?? {};
  const passed = waits.toldAt ? (Date.now() - waits.toldAt) / 1000 : 0;
  const startsIn = waits.startsInSeconds === undefined ? undefined : waits.startsInSeconds - passed;
  return [
    waits.place && (waits.place === 1 ? "next in line" : `number ${waits.place}`),
    startsIn !== undefined && startsIn > 0
      ? `starts in about ${seconds(startsIn)}`
      : waits.reason || WAITS[waits.phase],
  ]
    .filter(Boolean)
    .join(" · ");
}

function runText(job) {
  const told = job.progress ?? {};
  const parts = told.framesTotal
    ? [
        `${count(told.framesDone)}/${count(told.framesTotal)}`,
        told.fps > 0 && `${count(Math.round(told.fps))} fps`,
        told.secondsLeft !== undefined && `${seconds(told.secondsLeft)} left`,
      ]
    : [WAITS[told.phase] && told.phase !== "ENCODING" ? WAITS[told.phase] : "reading the inputs"];
  if (job.total > 1) parts.push(`${job.processed} of ${job.total} tasks`);
  if ((job.deliveries ?? []).length && job.output) return "putting the results where they are wanted";
  return parts.filter(Boolean).join(" · ");
}

/** Return the part of a job that is done, 0 to 1; undefined while nobody knows. */
export function fraction(job) {
  const told = job.progress;
  if (told?.framesTotal) return told.framesDone / told.framesTotal;
  return job.total > 1 ? job.processed / job.total : undefined;
}

/** Return how long a job has run, or ran: "0:13". */
export function took(job, now = Date.now()) {
  if (job.status === "IN_PROGRESS" && job.startTime) return clock((now - new Date(job.startTime)) / 1000);
  return job.startTime ? clock(job.executionTime / 1000) : "";
}

/** Say why a job failed, with the field that it is about. */
export function failure(job) {
  if (!job.error) return "";
  return job.error.field && !job.error.message.includes(job.error.field)
    ? `${job.error.field}: ${job.error.message}`
    : job.error.message;
}

/** Return whether the attempts at a job's tasks are listed: of one alone the timeline tells. */
export function hasAttempts(job) {
  return (job.attempts ?? []).length > 1;
}

/** Return whether why an attempt ended is told of the job, or of its clips. */
export function isTold(message, job) {
  return message === job.error?.message || failedClips(job).some((clip) => clip.error.message === message);
}

/** Return whether a text stands in what a job is known by. */
export function matches(job, text) {
  if (!text) return true;
  const known = [job.id, job.operation, options(job), failure(job), job.error?.reason ?? "", ...notes(job)];
  known.push(...(job.inputs ?? []).map((input) => input.name), ...warnings(job).map((one) => one.reason));
  return text
    .toLowerCase()
    .split(/\s+/)
    .every((word) => known.some((one) => one.toLowerCase().includes(word)));
}
