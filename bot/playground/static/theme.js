// Light and dark: the system decides until the person does.

const KEY = "theme";
const system = matchMedia("(prefers-color-scheme: dark)");

export const currentTheme = () => localStorage.getItem(KEY) ?? (system.matches ? "dark" : "light");

/** Put the theme on the document; called once before anything is drawn. */
export function applyTheme() {
  document.documentElement.dataset.theme = currentTheme();
}

export function toggleTheme() {
  const next = currentTheme() === "dark" ? "light" : "dark";
  if (next === (system.matches ? "dark" : "light")) localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, next);
  applyTheme();
}

system.addEventListener("change", applyTheme);
