// Numbers and times as people read them, in the language and time zone of the browser.

const whole = new Intl.NumberFormat();

/** "1,234". */
export function count(value) {
  return whole.format(value);
}

/** "9 s", "2 min 5 s", "3 h 20 min"; for what is left or waited. */
export function seconds(value) {
  const total = Math.max(0, Math.round(value));
  if (total < 1 && value > 0) return "< 1 s";
  if (total < 60) return `${total} s`;
  const minutes = Math.floor(total / 60);
  if (minutes < 60) return total % 60 && minutes < 10 ? `${minutes} min ${total % 60} s` : `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.floor(hours / 24)} days`;
}

/** "0:13", "1:02:03"; for how long something took. */
export function clock(value) {
  const total = Math.max(0, Math.round(value));
  const parts = [Math.floor(total / 3600), Math.floor(total / 60) % 60, total % 60];
  const shown = parts[0] ? parts : parts.slice(1);
  return shown.map((part, at) => (at ? String(part).padStart(2, "0") : part)).join(":");
}

/** "2.4 MB". */
export function bytes(value) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let size = value;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${unit && size < 100 ? size.toFixed(1) : Math.round(size)} ${units[unit]}`;
}

/** "$0.0021", "$1.20". */
export function usd(value) {
  if (!value) return "$0";
  return value < 0.1 ? `$${value.toPrecision(2)}` : `$${value.toFixed(2)}`;
}

/** The local time of an RFC 3339 time: "14:03:07" today, else with its day. */
export function time(text) {
  const at = new Date(text);
  const hour = at.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  if (at.toDateString() === new Date().toDateString()) return hour;
  return `${at.toLocaleDateString(undefined, { day: "numeric", month: "short" })} ${hour}`;
}

/** The whole local date and time, for titles. */
export function when(text) {
  return new Date(text).toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" });
}

/** "just now", "5 min ago", "14:03", "12 May". */
export function ago(text) {
  const at = new Date(text);
  const passed = (Date.now() - at.getTime()) / 1000;
  if (passed < 10) return "just now";
  if (passed < 60) return `${Math.round(passed)} s ago`;
  if (passed < 3600) return `${Math.round(passed / 60)} min ago`;
  if (at.toDateString() === new Date().toDateString()) {
    return at.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
  }
  return at.toLocaleDateString(undefined, { day: "numeric", month: "short" });
}
