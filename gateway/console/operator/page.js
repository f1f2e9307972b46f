// Operator: how the service fares, and what it costs. All of it from the public API, by a key that may see it.

import { get } from "../api.js";
import { fill, h } from "../dom.js";
import { ago, bytes, count, seconds, usd, when } from "../format.js";
import { Page, useStyle } from "../page.js";
import { pill, problem, progress } from "../ui.js";
import { columns, lastDays } from "./plots.js";

const LOOK_SECONDS = 5;
const MONEY_SECONDS = 60;
const DAYS = 14;
const STATES = { READY: "ok", STARTING: "run", PLANNED: "run", ENDING: "warn", ENDED: "mute" };

export default class OperatorPage extends Page {
  #parts = {
    figures: h("dl", { class: "figures" }),
    encoders: h("div", {}),
    machines: h("div", {}),
    money: h("div", {}),
    usage: h("div", {}),
  };

  async show() {
    await useStyle(new URL("./operator.css", import.meta.url));
    const { figures, encoders, machines, money, usage } = this.#parts;
    const card = (label, ...inside) => h("section", { class: "card stack", "aria-label": label }, ...inside);
    fill(
      this,
      h("h1", { class: "sr-only" }, "Operator"),
      h(
        "div",
        { class: "stack" },
        card("Now", figures),
        h("div", { class: "halves" }, card("Encoders", h("h2", {}, "Encoders"), encoders), card("Rented machines", h("h2", {}, "Rented machines"), machines)),
        h("div", { class: "halves" }, card("Dollars", money), card("Usage", usage)),
      ),
    );
    await Promise.all([this.every(LOOK_SECONDS, () => this.#now()), this.every(MONEY_SECONDS, () => this.#days())]);
  }

  async #now() {
    const [fleet, jobs] = await Promise.all([
      get("/fleet", { signal: this.signal }),
      get("/jobs", { query: { page_size: 1 }, signal: this.signal }),
    ]);
    fill(this.#parts.figures, ...figuresOf(fleet, jobs.counts ?? {}));
    fill(this.#parts.encoders, encoderTable(fleet.encoders ?? []));
    fill(this.#parts.machines, machineTable(fleet), ...(fleet.providers ?? []).map(providerLine));
  }

  async #days() {
    const days = lastDays(DAYS);
    const { money, usage } = this.#parts;
    await Promise.all([
      shown(money, async () => costPlot(await get("/fleet/costs", { query: { days: DAYS }, signal: this.signal }), days)),
      shown(usage, async () => usageParts(await get("/usage", { query: { since: days[0] }, signal: this.signal }), days)),
    ]);
  }
}

/** Fill a card with what `make` returns, or with why that cannot be had: the others stay. */
async function shown(card, make) {
  try {
    fill(card, await make());
  } catch (error) {
    if (error.name !== "AbortError") fill(card, problem(error));
  }
}

function figure(name, value, beside = "", kind = "") {
  return h("div", { class: `figure ${kind}` }, h("dt", {}, name), h("dd", {}, h("b", {}, value), beside && h("span", { class: "muted small" }, beside)));
}

function figuresOf(fleet, counts) {
  const { encoders = [], recent = {}, disk = {}, policy = {} } = fleet;
  const ready = encoders.filter((one) => one.ready);
  const sum = (name) => ready.reduce((all, one) => all + (one[name] ?? 0), 0);
  const isLow = Number(disk.freeBytes) < Number(disk.floorBytes);
  const limit = policy.maxUsdPerDay !== undefined ? `of ${usd(policy.maxUsdPerDay)} a day` : "";
  return [
    figure("Encoders", count(ready.length), ready.length < encoders.length ? `of ${encoders.length}; the others do not answer` : "", ready.length ? "" : "figure-bad"),
    figure("Slots", `${count(sum("busy"))} / ${count(sum("slots"))}`, "busy"),
    figure("Queue", count(fleet.waiting ?? 0), fleet.running === 1 ? "1 task runs" : `${count(fleet.running ?? 0)} tasks run`),
    figure("Wait p50", waitText(recent.waitP50Seconds), "24 h"),
    figure("Wait p95", waitText(recent.waitP95Seconds), "24 h"),
    figure("Failed in 24 h", `${count(recent.failed ?? 0)} / ${count(recent.ended ?? 0)}`, `${count(recent.cancelled ?? 0)} cancelled`, recent.failed ? "figure-bad" : ""),
    figure("Disk free", bytes(Number(disk.freeBytes ?? 0)), isLow ? "too little: new jobs are refused" : `of ${bytes(Number(disk.sizeBytes ?? 0))}`, isLow ? "figure-bad" : ""),
    figure("Today", usd(fleet.usdToday ?? 0), [`${usd(fleet.usdPerHour ?? 0)} an hour`, limit].filter(Boolean).join(", ")),
    figure("Jobs kept", count(Object.values(counts).reduce((all, one) => all + one, 0)), `${count(counts.IN_PROGRESS ?? 0)} run, ${count(counts.IN_QUEUE ?? 0)} wait`),
  ];
}

function waitText(value) {
  if (value === undefined) return "–";
  return value < 1 ? `${Math.round(value * 1000)} ms` : seconds(value);
}

function table(caption, heads, rows, none) {
  if (!rows.length) return h("p", { class: "muted" }, none);
  return h(
    "div",
    // What can be scrolled by the mouse can be by keys.
    { class: "scrolled", tabIndex: 0, role: "region", "aria-label": `${caption}, as a table` },
    h(
      "table",
      { class: "plain" },
      h("thead", {}, h("tr", {}, ...heads.map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, ...rows.map((cells) => h("tr", {}, ...cells.map((cell) => h("td", {}, cell))))),
    ),
  );
}

function encoderTable(encoders) {
  const rows = encoders.map((one) => [
    h("div", {}, h("code", {}, one.name), one.knownAs && h("p", { class: "muted small" }, `tenants see ${one.knownAs}`)),
    one.ready ? pill("ok", "answers", "check") : pill("bad", "does not answer", "warn"),
    h("div", { class: "load" }, progress(one.slots ? one.busy / one.slots : 0, `${one.name}: busy slots`), `${count(one.busy ?? 0)} / ${count(one.slots ?? 0)}`),
    (one.codecs ?? []).join(", "),
    one.rented ? "rented" : "own",
  ]);
  return table("Encoders", ["Encoder", "State", "Slots", "Codecs", "Whose"], rows, "No encoder is known. Start one, or set ENCODERS.");
}

function machineTable(fleet) {
  const machines = (fleet.machines ?? []).slice(0, 50);
  const rows = machines.map((one) => [
    h("div", {}, h("b", {}, one.provider), one.description && h("p", { class: "muted small" }, one.description)),
    pill(STATES[one.state] ?? "mute", one.state.toLowerCase()),
    `${usd(one.usdPerHour ?? 0)}/h`,
    usd(one.usd ?? 0),
    `${count(one.busy ?? 0)} / ${count(one.slots ?? 0)}`,
    h("span", { title: one.createTime ? when(one.createTime) : null }, one.createTime ? ago(one.createTime) : ""),
    h("span", { class: "small" }, one.reason ?? ""),
  ]);
  return table("Rented machines", ["Machine", "State", "Price", "Cost", "Slots", "Since", "Why"], rows, "Nothing is rented, and nothing was lately.");
}

function providerLine(provider) {
  const text = provider.fault || provider.notice;
  return h("p", { class: "small provider" }, pill(provider.fault ? "bad" : "ok", provider.name), text && h("span", {}, text));
}

function costPlot(costs, days) {
  const points = (costs.days ?? []).map(({ date, provider, usd: value }) => ({ day: date, series: provider, value: value ?? 0 }));
  return columns({ title: `Dollars by provider, ${DAYS} days`, days, points, text: usd });
}

function usageParts(answer, days) {
  const list = answer.usage ?? [];
  const points = list.map((one) => ({ day: one.date, series: one.tenant || "default", value: one.encoderSeconds ?? 0 }));
  const work = (value) => (value < 60 ? `${Number(value.toPrecision(2))} s` : `${count(Math.round(value / 60))} min`);
  return h(
    "div",
    { class: "stack" },
    columns({ title: `Work of encoders by tenant, ${DAYS} days`, days, points, text: work }),
    tenantTable(list),
  );
}

function tenantTable(list) {
  const tenants = new Map();
  for (const one of list) {
    const sum = tenants.get(one.tenant || "default") ?? { jobs: 0, failed: 0, output: 0, encoder: 0, cost: 0, bytes: 0 };
    sum.jobs += Number(one.jobs ?? 0);
    sum.failed += Number(one.failedJobs ?? 0);
    sum.output += one.outputSeconds ?? 0;
    sum.encoder += one.encoderSeconds ?? 0;
    sum.cost += one.costUsd ?? 0;
    sum.bytes += Number(one.resultBytes ?? 0);
    tenants.set(one.tenant || "default", sum);
  }
  const rows = [...tenants]
    .sort((one, other) => other[1].encoder - one[1].encoder)
    .map(([name, sum]) => [name, count(sum.jobs), count(sum.failed), seconds(sum.output), seconds(sum.encoder), usd(sum.cost), bytes(sum.bytes)]);
  return table("Usage of tenants", ["Tenant", "Jobs", "Failed", "Results", "Encoders", "Cost", "Stored"], rows, "No job has ended in these days.");
}

customElements.define("operator-page", OperatorPage);
