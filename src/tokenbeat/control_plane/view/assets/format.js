// How numbers and times read. A count is a Number, or a BigInt past 2^53; neither is ever rounded here,
// except by compact(), which only the chart's axis uses.

const grouped = new Intl.NumberFormat("en-US");
const short = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const second = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", timeZone: "UTC" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });

export const count = (value) => grouped.format(value);
export const compact = (value) => short.format(value);
export const minuteOf = (time) => clock.format(time);
export const secondOf = (time) => second.format(time);
export const dayOf = (time) => day.format(time);
export const momentOf = (time) => full.format(time);

export function plural(value, one, many = `${one}s`) {
  return `${count(value)} ${Number(value) === 1 ? one : many}`;
}

/** A share in percent: never "0 %" for something, never "100 %" for less than everything. */
export function percent(part, whole) {
  const some = Number(part);
  const all = Number(whole);
  if (all === 0) return "–";
  if (some === 0) return "0 %";
  const share = (100 * some) / all;
  if (share < 0.1) return "< 0.1 %";
  if (share > 99.9 && some < all) return "> 99.9 %";
  return `${share >= 10 ? Math.min(share, 100).toFixed(share > 99 && some < all ? 1 : 0) : share.toFixed(1)} %`;
}

/** "12 s ago": from a time to now, both in milliseconds. */
export function ago(time, now) {
  const seconds = Math.max(0, Math.round((now - time) / 1000));
  if (seconds < 2) return "just now";
  if (seconds < 90) return `${seconds} s ago`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min ago`;
  const hours = Math.round(minutes / 60);
  return hours < 36 ? `${hours} h ago` : `${Math.round(hours / 24)} days ago`;
}
