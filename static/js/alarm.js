/* The icon and the title of the tab: well, trouble with how much of it, or not connected. */
(() => {
  const icon = document.querySelector("link[rel=icon]");
  const root = document.documentElement;
  const first = document.title.replace(/^\(\d+\) /, "");

  function show() {
    const alarm = document.getElementById("alarm");
    if (!alarm) return;
    const away = root.dataset.stream === "away";
    const href = icon.dataset[away ? "away" : alarm.dataset.alarm];
    if (icon.getAttribute("href") !== href) icon.setAttribute("href", href);
    const titled = document.querySelector("[data-title]");
    const pressing = Number(alarm.dataset.pressing);
    const title = (pressing && !away ? `(${pressing}) ` : "") + (titled ? titled.dataset.title : first);
    if (document.title !== title) document.title = title;
  }

  document.addEventListener("umbel:changed", show);
  const watched = new MutationObserver(show);
  watched.observe(root, { attributeFilter: ["data-stream"] });
  const alarm = document.getElementById("alarm");
  if (alarm) watched.observe(alarm, { attributeFilter: ["data-alarm", "data-pressing"] });
})();
