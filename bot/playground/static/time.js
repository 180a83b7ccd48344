// Slack timestamps in words. Slack's `ts` is seconds and microseconds since 1970, as text.

const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "long", month: "long", day: "numeric" });
const precise = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hour12: false,
});

const dateOf = (ts) => new Date(Number(ts) * 1000);

export const timeOf = (ts) => clock.format(dateOf(ts));

export const fullTimeOf = (ts) => full.format(dateOf(ts));

export const preciseTimeOf = (iso) => precise.format(new Date(iso));

export const dayOf = (ts) => dateOf(ts).toDateString();

/** Name a day relative to now: "Today", "Yesterday", or the date. */
export function dayName(ts, now = Date.now()) {
  const day = dayOf(ts);
  if (day === new Date(now).toDateString()) return "Today";
  if (day === new Date(now - 86_400_000).toDateString()) return "Yesterday";
  return weekday.format(dateOf(ts));
}

/** Say how long ago a message was, roughly, for thread summaries. */
export function agoOf(ts, now = Date.now()) {
  const seconds = Math.max(0, now / 1000 - Number(ts));
  if (seconds < 60) return "just now";
  if (seconds < 3600) return plural(Math.floor(seconds / 60), "minute");
  if (seconds < 86_400) return plural(Math.floor(seconds / 3600), "hour");
  return dayName(ts, now);
}

const FORMATS = {
  date_num: { year: "numeric", month: "2-digit", day: "2-digit" },
  date: { year: "numeric", month: "long", day: "numeric" },
  date_short: { year: "numeric", month: "short", day: "numeric" },
  date_long: { weekday: "long", year: "numeric", month: "long", day: "numeric" },
  time: { hour: "numeric", minute: "2-digit" },
  time_secs: { hour: "numeric", minute: "2-digit", second: "2-digit" },
};

/** Write a moment as Slack's date format says, such as "{date_short_pretty} {time}"; null for a token nobody knows. */
export function formatDate(ts, format) {
  let isKnown = true;
  const words = format.replace(/\{(\w+?)(_pretty)?\}/g, (_, name, pretty) => {
    if (name === "ago") return agoOf(ts);
    isKnown &&= name in FORMATS;
    const near = pretty ? dayName(ts) : "";
    if (near === "Today" || near === "Yesterday") return near.toLowerCase();
    return isKnown ? new Intl.DateTimeFormat(undefined, FORMATS[name]).format(dateOf(ts)) : "";
  });
  return isKnown ? words : null;
}

const plural = (count, unit) => `${count} ${unit}${count === 1 ? "" : "s"} ago`;

/** Write milliseconds as people read them. */
export function durationOf(ms) {
  if (ms === null || ms === undefined) return "";
  if (ms < 1) return "<1 ms";
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
}
