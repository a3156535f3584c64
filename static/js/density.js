/* How close things stand; kept in a cookie, so that the server draws the next page right at once. */
(() => {
  const YEAR = 31536000; // seconds
  const root = document.documentElement;
  const button = document.querySelector("[data-density-toggle]");
  if (!button) return;
  const show = () => button.setAttribute("aria-pressed", String(root.dataset.density === "compact"));
  button.addEventListener("click", () => {
    const density = root.dataset.density === "compact" ? "comfortable" : "compact";
    root.dataset.density = density;
    document.cookie = `umbel_density=${density}; path=/; max-age=${YEAR}; samesite=lax`;
    show();
  });
  show();
})();
