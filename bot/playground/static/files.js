// Files of messages: pictures are drawn, everything else is a card to download.

import { h } from "./dom.js";
import { icon } from "./icons.js";

const DRAWN = ["image/png", "image/jpeg"];

/** Where the server gives a file to the person at the page, if they may see it. */
export const fileUrl = (id, store) => `/page/files?${new URLSearchParams({ user: store.me.id, file: id })}`;

/** Render the files of a message. */
export function renderFiles(files, store) {
  return h(
    "div.files",
    {},
    files.map((file) => (DRAWN.includes(file.mimetype) ? renderPicture(file, store) : renderCard(file, store))),
  );
}

function renderPicture(file, store) {
  return h(
    "figure.file",
    {},
    h("figcaption", {}, file.title),
    h(
      "a",
      { href: fileUrl(file.id, store), target: "_blank", rel: "noopener" },
      h("img", { src: fileUrl(file.id, store), alt: file.title, loading: "lazy" }),
    ),
  );
}

function renderCard(file, store) {
  return h(
    "a.file-card",
    { href: fileUrl(file.id, store), download: file.name },
    icon("file"),
    h("span.file-name", {}, h("strong", {}, file.title), h("small.quiet", {}, `${file.name} · ${sizeOf(file.size)}`)),
  );
}

const sizeOf = (bytes) =>
  bytes < 1000 ? `${bytes} B` : bytes < 1e6 ? `${Math.round(bytes / 1000)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
