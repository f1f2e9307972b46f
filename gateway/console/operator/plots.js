// Plots as SVG of our own: stacked columns by day, drawn as wide as there is room, so that their texts are of one size
// everywhere. The same figures stand below as a table, for those who do not see them.

import { h } from "../dom.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 200;
const LEFT = 56;
// Half of the name of the last day.
const RIGHT = 14;
const BOTTOM = 24;
const TOP = 10;
const LINES = 4;
const COLORS = 6;
// Room for the name of a day.
const NAME_WIDTH = 44;

function draw(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  node.append(...children);
  return node;
}

/** Return a round number that is not smaller: 1, 2 or 5 and zeros. */
export function roundUp(value) {
  if (!(value > 0)) return 1;
  const ten = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * ten).find((step) => step >= value * 0.999999);
}

/** Return the last days, the oldest first, as the API writes them. */
export function lastDays(count, today = new Date()) {
  return Array.from({ length: count }, (_, at) => new Date(today.getTime() - (count - 1 - at) * 86_400_000).toISOString().slice(0, 10));
}

/**
 * Return the columns of `points`, each {day, series, value}: one for each day, with the series above each other. `text`
 * writes a value.
 */
export function columns({ title, days, points, text }) {
  const series = [...new Set(points.map((point) => point.series))].sort();
  const values = new Map();
  for (const { day, series: name, value } of points) {
    const key = `${day} ${name}`;
    values.set(key, (values.get(key) ?? 0) + value);
  }
  const of = (day, name) => values.get(`${day} ${name}`) ?? 0;
  const total = (day) => series.reduce((sum, name) => sum + of(day, name), 0);
  const top = roundUp(Math.max(...days.map(total)));
  const plot = draw("svg", { height: HEIGHT, class: "plot", role: "img", "aria-label": spoken(title, days, total, text) });
  new ResizeObserver(([{ contentRect }]) => {
    const width = Math.max(contentRect.width, LEFT + days.length);
    plot.replaceChildren(
      ...grid(width, top, text),
      ...days.flatMap((day, at) => column(day, at, days, series, of, top, text, width)),
    );
  }).observe(plot);
  return h(
    "figure",
    { class: "plot-figure" },
    h("figcaption", {}, h("h2", {}, title), legend(series)),
    plot,
    h("details", {}, h("summary", {}, "As a table"), table(title, days, series, of, text)),
  );
}

function spoken(title, days, total, text) {
  const sum = days.reduce((all, day) => all + total(day), 0);
  return `${title}: ${text(sum)} in ${days.length} days. The table below has the figures.`;
}

const y = (value, top) => HEIGHT - BOTTOM - (value / top) * (HEIGHT - BOTTOM - TOP);

function grid(width, top, text) {
  return Array.from({ length: LINES + 1 }, (_, at) => {
    const value = (top * at) / LINES;
    const height = y(value, top);
    return draw(
      "g",
      {},
      draw("line", { x1: LEFT, x2: width, y1: height, y2: height, class: "plot-line" }),
      draw("text", { x: LEFT - 8, y: height + 4, "text-anchor": "end", class: "plot-text" }, text(value)),
    );
  });
}

function column(day, at, days, series, of, top, text, width) {
  const step = (width - LEFT - RIGHT) / days.length;
  const x = LEFT + at * step + step * 0.15;
  let below = 0;
  const parts = series.map((name, place) => {
    const value = of(day, name);
    const bar = draw("rect", {
      x,
      y: y(below + value, top),
      width: step * 0.7,
      height: Math.max(y(below, top) - y(below + value, top), 0),
      class: `series-${place % COLORS}`,
    });
    bar.append(draw("title", {}, `${day} ${name}: ${text(value)}`));
    below += value;
    return bar;
  });
  const isNamed = (days.length - 1 - at) % Math.ceil(NAME_WIDTH / step) === 0;
  const label = draw("text", { x: x + step * 0.35, y: HEIGHT - 6, "text-anchor": "middle", class: "plot-text" }, isNamed ? day.slice(5) : "");
  return [...parts, label];
}

function legend(series) {
  return h(
    "ul",
    { class: "legend" },
    ...series.map((name, place) => h("li", {}, h("i", { class: `swatch series-${place % COLORS}` }), name)),
  );
}

function table(title, days, series, of, text) {
  const filled = days.filter((day) => series.some((name) => of(day, name))).reverse();
  return h(
    "table",
    { class: "plain" },
    h("caption", { class: "sr-only" }, title),
    h("thead", {}, h("tr", {}, ...["Day", ...series].map((name) => h("th", { scope: "col" }, name)))),
    h(
      "tbody",
      {},
      ...filled.map((day) => h("tr", {}, h("th", { scope: "row" }, day), ...series.map((name) => h("td", {}, text(of(day, name)))))),
    ),
  );
}
