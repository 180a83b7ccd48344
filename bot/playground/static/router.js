// The address: #/person/channel/place, where place is a thread's timestamp, "home" or nothing. A reload returns to it.

/** A permalink of Slack's kind (/archives/C…/p…) becomes an address of this page. */
export function takePermalink(user) {
  const found = /^\/archives\/([A-Z0-9]+)(?:\/p(\d+)(\d{6}))?/.exec(location.pathname);
  if (!found) return;
  const place = new URLSearchParams(location.search).get("thread_ts") ?? (found[2] ? `${found[2]}.${found[3]}` : null);
  history.replaceState(null, "", `/${routeTo({ user, channel: found[1], place })}`);
}

/** Read the address into {user, channel, place}; missing parts are null. */
export function readRoute(hash = location.hash) {
  const [user, channel, place] = hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  return { user: user || null, channel: channel || null, place: place || null };
}

export function routeTo({ user, channel, place }) {
  return `#/${[user, channel, place].filter(Boolean).map(encodeURIComponent).join("/")}`;
}

/** Go to a place; `replace` leaves no step in the history. */
export function navigate(route, { replace = false } = {}) {
  const target = routeTo(route);
  if (target === location.hash) return;
  if (replace) {
    history.replaceState(null, "", target);
    dispatchEvent(new HashChangeEvent("hashchange"));
  } else {
    location.hash = target;
  }
}
