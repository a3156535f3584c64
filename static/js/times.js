/* Times tick here, not by messages from the server: `data-ago` shows an age, `data-lasting` how
   long something has lasted already. Without scripts they stand as they are: clock times, UTC. */
(() => {
  const UNITS = [["d", 86400, "h", 3600], ["h", 3600, "min", 60], ["min", 60, "s", 1]];

  function span(seconds, exact) {
    const whole = Math.max(0, Math.floor(seconds));
    for (const [unit, size, part, smaller] of UNITS) {
      if (whole < size) continue;
      const rest = Math.floor((whole % size) / smaller);
      const first = `${Math.floor(whole / size)} ${unit}`;
      return exact && rest ? `${first} ${rest} ${part}` : first;
    }
    return `${whole} s`;
  }

  function words(node, now) {
    const at = Date.parse(node.dateTime);
    if (Number.isNaN(at)) return null;
    const seconds = (now - at) / 1000;
    if ("lasting" in node.dataset) return span(seconds, true);
    if (seconds < -1) return `in ${span(-seconds, false)}`;
    return seconds < 1 ? "now" : `${span(seconds, false)} ago`;
  }

  function tickIn(part, now) {
    for (const node of part.querySelectorAll("time[data-ago], time[data-lasting]")) {
      const text = words(node, now);
      if (text !== null && node.textContent !== text) node.textContent = text;
    }
  }

  function tick() {
    if (!document.hidden) tickIn(document, Date.now());
  }

  document.addEventListener("umbel:rows", (event) => {
    const now = Date.now();
    for (const row of event.detail) tickIn(row, now);
  });

  for (const name of ["umbel:changed", "umbel:times", "visibilitychange"]) {
    document.addEventListener(name, tick);
  }
  tick();
  setInterval(tick, 1000);
})();
