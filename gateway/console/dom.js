// Elements without markup: every text is a text, so that nothing that others named or wrote becomes HTML.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element. `props` are properties, attributes, listeners (onclick), `class`, `dataset` and `style` (objects). */
export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) set(node, name, value);
  node.append(...kept(children));
  return node;
}

/** Replace the children of a node. */
export function fill(node, ...children) {
  node.replaceChildren(...kept(children));
  return node;
}

function kept(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

function set(node, name, value) {
  if (value === undefined || value === null) return;
  if (typeof value === "function") node.addEventListener(name.slice(2), value);
  else if (name === "class") node.className = value;
  else if (name === "dataset") Object.assign(node.dataset, value);
  else if (name === "style") for (const [key, text] of Object.entries(value)) node.style.setProperty(key, text);
  else if (name in node && !name.includes("-")) node[name] = value;
  else if (value !== false) node.setAttribute(name, value === true ? "" : value);
}

const PATHS = {
  play: "M8 5.500v13l11-6.500z",
  stop: "M7 7h10v10H7z",
  retry: "M19 12a7 7 0 1 1-2.200-5.100M19 4v4.500h-4.500",
  download: "M12 4v11m-4.500-4.500L12 15l4.500-4.500M5 19.500h14",
  edit: "M5 19h3.500L19 8.500 15.500 5 5 15.500zM13.500 7l3.500 3.500",
  check: "m5 12.500 4.500 4.500L19 7.500",
  cross: "m6.500 6.500 11 11m0-11-11 11",
  close: "m6.500 6.500 11 11m0-11-11 11",
  warn: "M12 4.500 21 19.500H3zM12 10v4.500m0 2.200v.3",
  clock: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zm0 3.500V12l3 2",
  queue: "M5 7h14M5 12h14M5 17h8",
  film: "M4 6h16v12H4zM8 6v12m8-12v12M4 12h16",
  image: "M4 5.500h16v13H4zM4 16l4.500-4.500 4 4 3-3L20 17M15 9.500v.2",
  sound: "M4 10v4h3.500L12 18V6l-4.500 4zM15.500 9a4.200 4.200 0 0 1 0 6m2.300-8.500a8 8 0 0 1 0 11",
  copy: "M9 9h10v10H9zM15 9V5H5v10h4",
  plus: "M12 5v14M5 12h14",
  gauge: "M4.500 17a8 8 0 1 1 15 0M12 15l3.500-5",
  key: "M14.500 4.500a5 5 0 1 0 1 9.900 5 5 0 0 0-1-9.900zM11 13l-6.500 6.500M7 17l2 2",
  auto: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zm0 0v16m2-15.500v15m3-13v11",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 3v2m0 14v2M3 12h2m14 0h2M5.600 5.600 7 7m10 10 1.400 1.400m0-12.800L17 7M7 17l-1.400 1.400",
  moon: "M19.500 14.500A8 8 0 0 1 9.500 4.500a8 8 0 1 0 10 10z",
  back: "M19 12H5m6-6-6 6 6 6",
  search: "M10.500 4.500a6 6 0 1 0 0 12 6 6 0 0 0 0-12zm4.500 10.500 5 5",
  down: "m6 9.500 6 6 6-6",
  up: "m6 14.500 6-6 6 6",
  info: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zm0 7v5m0-8.200V8",
  help: "M9 9.500a3 3 0 1 1 4.300 2.700c-.8.4-1.300 1-1.300 1.800m0 3.200v.3M12 3.500a8.500 8.500 0 1 0 0 17 8.500 8.500 0 0 0 0-17z",
};

/** Make an icon, which says nothing to screen readers: its button has a label. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", `icon icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name] ?? PATHS.info);
  svg.append(path);
  return svg;
}
