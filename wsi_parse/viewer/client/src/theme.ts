// Dark or light: as the system has it, until the person says otherwise.

const KEY = "wsi-parse-theme";

export function startTheme(): () => void {
  const root = document.documentElement;
  const stored = localStorage.getItem(KEY);
  if (stored === "dark" || stored === "light") root.dataset.theme = stored;
  return () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    localStorage.setItem(KEY, root.dataset.theme);
  };
}
