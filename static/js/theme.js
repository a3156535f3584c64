/* Light or dark: as the system has it until somebody chooses; kept in a cookie, so that the
   server draws the next page right at once. */
(() => {
  const YEAR = 31536000; // seconds
  const root = document.documentElement;
  const button = document.querySelector("[data-theme-toggle]");
  if (!button) return;
  button.hidden = false;
  button.addEventListener("click", () => {
    const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    const theme = (root.dataset.theme || system) === "dark" ? "light" : "dark";
    root.dataset.theme = theme;
    document.cookie = `umbel_theme=${theme}; path=/; max-age=${YEAR}; samesite=lax`;
  });
})();
