/* How long a task runs beside what is usual, and how long it will take at the pace that was seen here:
   both tick in the browser. A pace is said only once progress came twice while somebody looked. */
(() => {
  const ROOM = 1.3333; // how much of the bar is beyond p95, as the server draws it
  const LEAST = 3; // seconds between two reports that make a pace
  const marked = []; // what was reported while this page was open: [seconds, part of 1]
  const SIZES = [86400, 3600, 60, 1]; // seconds of a day, an hour, a minute, in the order of data-units

  const percent = (value) => `${Math.min(100, value * 100).toFixed(2)}%`;

  function words(seconds) {
    const found = SIZES.findIndex((size) => seconds >= size);
    const place = found < 0 ? SIZES.length - 1 : found;
    const unit = document.documentElement.dataset.units.split("|")[place];
    return unit.replace("{}", Math.max(1, Math.round(seconds / SIZES[place])));
  }

  function tick() {
    const panel = document.querySelector("[data-elapsed]");
    if (document.hidden || !panel) return;
    const seconds = Math.max(0, Date.now() / 1000 - Number(panel.dataset.elapsed));
    const p95 = Number(panel.dataset.p95);
    if (!p95) return;
    const late = seconds > p95;
    panel.classList.toggle("late", late);
    panel.querySelector("[data-slow]").hidden = !late;
    const width = Math.max(p95 * ROOM, seconds * 1.02);
    panel.querySelector("[data-passed]").setAttribute("width", percent(seconds / width));
    for (const line of panel.querySelectorAll("[data-mark]")) {
      const at = percent(Number(line.dataset.mark) / width);
      line.setAttribute("x1", at);
      line.setAttribute("x2", at);
    }
  }

  function pace() {
    const node = document.querySelector("[data-pace]");
    if (!node || !node.dataset.pace) return;
    const [now, part] = [performance.now() / 1000, Number(node.dataset.pace)];
    const last = marked.at(-1);
    if (last && part < last[1]) marked.length = 0; // another attempt
    if (!last || part !== last[1]) marked.push([now, part]);
    if (marked.length > 20) marked.shift();
    const [first, latest] = [marked[0], marked.at(-1)];
    const known = latest[0] - first[0] >= LEAST && latest[1] > first[1] && part < 1;
    node.hidden = !known;
    if (!known) return;
    const left = ((1 - latest[1]) * (latest[0] - first[0])) / (latest[1] - first[1]);
    node.textContent = `· ${node.dataset.words.replace("{duration}", words(left))}`;
  }

  document.addEventListener("umbel:changed", () => {
    tick();
    pace();
  });
  document.addEventListener("visibilitychange", tick);
  setInterval(tick, 1000);
  tick();
  pace();
})();
