// What encoders tried of a job, and what FFmpeg said.

import { h } from "../dom.js";
import { seconds, time, when } from "../format.js";
import { act, copy, pill } from "../ui.js";
import { hasAttempts, isTold } from "../jobs/describe.js";

const OUTCOMES = {
  RUNNING: ["run", "Running", "play"],
  COMPLETED: ["ok", "Done", "check"],
  FAILED: ["bad", "Failed", "cross"],
  INTERRUPTED: ["warn", "Tried again", "retry"],
  CANCELLED: ["mute", "Cancelled", "stop"],
  TIMED_OUT: ["bad", "Timed out", "clock"],
  OVERTAKEN: ["mute", "Overtaken", "clock"],
};
// Those before are folded up.
const MAX_SHOWN = 12;

/** The attempts at the tasks of a job; null where one did, of which the timeline tells. */
export function attemptsCard(job) {
  if (!hasAttempts(job)) return null;
  const found = job.attempts;
  const list = (attempts) => h("ul", { class: "attempts" }, ...attempts.map((one) => attempt(one, job)));
  const older = found.slice(0, -MAX_SHOWN);
  return h(
    "section",
    { class: "card", "aria-label": "Attempts" },
    h("h2", {}, "Attempts"),
    older.length > 0 && h("details", {}, h("summary", {}, `${older.length} before these`), list(older)),
    list(found.slice(-MAX_SHOWN)),
  );
}

function attempt({ item, task, encoder, codec, startTime, endTime, outcome, message }, job) {
  const [kind, word, sign] = OUTCOMES[outcome] ?? ["mute", outcome, "info"];
  const ran = endTime ? (new Date(endTime) - new Date(startTime)) / 1000 : NaN;
  const facts = [encoder, codec, endTime && (ran < 10 ? `${ran.toFixed(1)} s` : seconds(ran))];
  return h(
    "li",
    {},
    h("time", { class: "mono small muted", dateTime: startTime, title: when(startTime) }, time(startTime)),
    h(
      "div",
      {},
      h(
        "div",
        { class: "attempt-line" },
        job.total > 1 && h("b", {}, item || `task ${(task ?? 0) + 1}`),
        ...facts.filter(Boolean).map((text) => h("span", {}, text)),
      ),
      message && outcome !== "CANCELLED" && !isTold(message, job) && h("p", { class: "small muted" }, message),
    ),
    pill(kind, word, sign),
  );
}

/** The end of what FFmpeg said in an attempt. */
export function logCard({ item, encoder, time: at, text }, { total }) {
  const what = [total > 1 && item, encoder && `on ${encoder}`, at && time(at)].filter(Boolean).join(" · ");
  return h(
    "section",
    { class: "card json", "aria-label": "FFmpeg's log" },
    h(
      "div",
      { class: "log-head" },
      h("h2", {}, "What FFmpeg said"),
      h("span", { class: "small muted" }, what),
      act("Copy", () => copy(text, "Copied"), { sign: "copy" }),
    ),
    h("pre", { class: "mono", tabIndex: 0, "aria-label": "The end of FFmpeg's log" }, text),
  );
}
