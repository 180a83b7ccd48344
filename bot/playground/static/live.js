// The WebSocket that brings what happens in the workspace; reconnects by itself and says when it had to.

const FIRST_WAIT_MS = 400;
const LONGEST_WAIT_MS = 8000;
const PING_MS = 20_000;

/** Connect as one person; `onFrame(frame)` gets frames, `onState("open"|"lost", {again})` gets changes of the connection. */
export function connect(user, { onFrame, onState }) {
  let socket = null;
  let wait = FIRST_WAIT_MS;
  let retry = null;
  let opened = false;
  let ended = false;

  function open() {
    retry = null;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    socket = new WebSocket(`${scheme}://${location.host}/page/live?user=${encodeURIComponent(user)}`);
    socket.addEventListener("open", () => {
      wait = FIRST_WAIT_MS;
      onState("open", { again: opened });
      opened = true;
    });
    socket.addEventListener("message", (event) => onFrame(JSON.parse(event.data)));
    socket.addEventListener("close", lose);
  }

  function lose() {
    if (ended) return;
    onState("lost", {});
    retry = setTimeout(open, wait * (0.75 + Math.random() / 2));
    wait = Math.min(wait * 2, LONGEST_WAIT_MS);
  }

  const ping = setInterval(() => {
    if (socket?.readyState === WebSocket.OPEN) socket.send('{"type":"ping"}');
  }, PING_MS);
  open();

  return {
    retryNow() {
      if (retry === null) return;
      clearTimeout(retry);
      open();
    },
    end() {
      ended = true;
      clearTimeout(retry);
      clearInterval(ping);
      socket.close();
    },
  };
}
