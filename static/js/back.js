/* Back to the list as it was: the link above a task leads to the search that it was opened from. Without
   scripts it leads to the list of all; Escape is of keys.js. */
(() => {
  const KEY = "umbel:list";
  const from = document.referrer ? new URL(document.referrer) : null;

  function aim() {
    const link = document.querySelector("[data-back]");
    try {
      if (from && from.origin === location.origin && from.pathname === "/ui/tasks") {
        sessionStorage.setItem(KEY, from.pathname + from.search);
      }
      const list = sessionStorage.getItem(KEY);
      if (list && link) link.setAttribute("href", list);
    } catch {
      // A browser that keeps nothing for us leads to the list of all.
    }
  }

  document.addEventListener("umbel:changed", aim);
  aim();
})();
