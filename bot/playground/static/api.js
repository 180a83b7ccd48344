// The page's calls to the playground server; every failure becomes an Error with one sentence for people.

async function call(method, path, body) {
  let response;
  try {
    response = await fetch(`/page/${path}`, {
      method,
      headers: body ? { "Content-Type": "application/json" } : {},
      body: body ? JSON.stringify(body) : undefined,
    });
  } catch {
    throw new Error("The playground server does not answer. Is it still running?");
  }
  const text = await response.text();
  const answer = parse(text);
  if (!response.ok) throw new Error(answer?.error ?? `The playground server answered ${response.status} to ${path}.`);
  return answer ?? {};
}

/** Send a file's bytes; the answer names the file, to be shared with a message. */
async function upload(user, file) {
  let response;
  try {
    response = await fetch(`/page/files?${query({ user, name: file.name })}`, {
      method: "POST",
      headers: { "Content-Type": "application/octet-stream" },
      body: file,
    });
  } catch {
    throw new Error("The playground server does not answer. Is it still running?");
  }
  const answer = parse(await response.text());
  if (!response.ok) throw new Error(answer?.error ?? `The playground server answered ${response.status}.`);
  return answer.file;
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

const query = (values) =>
  new URLSearchParams(Object.entries(values).filter(([, value]) => value !== null && value !== undefined)).toString();

const post = (path) => (body) => call("POST", path, body);

export const api = {
  state: (user) => call("GET", `state?${query({ user })}`),
  messages: (options) => call("GET", `messages?${query(options)}`),
  log: (after) => call("GET", `log?${query({ after })}`),
  upload,
  send: post("messages"),
  edit: (body) => call("PATCH", "messages", body),
  remove: (body) => call("DELETE", "messages", body),
  command: post("commands"),
  shortcut: post("shortcuts"),
  action: post("actions"),
  options: post("options"),
  rename: post("sessions/rename"),
  submitView: post("views/submit"),
  closeView: post("views/close"),
  react: post("reactions"),
  stop: post("stop"),
  prompt: post("prompts"),
  open: post("open"),
  read: post("read"),
  typing: post("typing"),
  openDm: post("ims"),
  createChannel: post("channels"),
  join: post("channels/join"),
  invite: post("channels/invite"),
  leave: post("channels/leave"),
  setFault: post("faults"),
  advance: post("clock"),
  reset: post("reset"),
  refresh: post("refresh"),
};
