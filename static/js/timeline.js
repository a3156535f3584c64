/* The time of a task: the bar of what goes on grows here, by the rules of app/web/pages/timeline.py,
   and pointing at a bar, or going to it by Tab, says its exact times below. */
(() => {
  const NARROWEST = 0.9; // percent of the drawing
  const DWARFING = 6; // a wait that is so many times all the rest is drawn as twice the rest
  const WORDY = 9; // percent that have room for a duration
  let resting = null; // what stands below while nobody points

  function widths(weights) {
    const whole = weights.reduce((sum, weight) => sum + weight, 0);
    const least = Math.min(NARROWEST, 100 / weights.length);
    const wide = weights.map((weight) => Math.max(least, whole ? (weight / whole) * 100 : 0));
    const all = wide.reduce((sum, width) => sum + width, 0);
    return wide.map((width) => (width / all) * 100);
  }

  const set = (node, name, value) => {
    const text = `${value.toFixed(3)}%`;
    if (node.getAttribute(name) !== text) node.setAttribute(name, text);
  };

  /* Where a moment is, in percent. */
  function place(bars, at) {
    const bar = bars.find((each) => at < each.end);
    if (!bar) return 100;
    return bar.x + bar.width * Math.max(0, (at - bar.begin) / Math.max(bar.end - bar.begin, 0.001));
  }

  function grow() {
    const drawing = document.querySelector("[data-timeline]");
    if (document.hidden || !drawing || !drawing.querySelector(".stretch.open")) return;
    const now = Date.now() / 1000;
    const bars = [...drawing.querySelectorAll(".stretch")].map((node) => {
      const begin = Number(node.dataset.begin);
      const end = node.dataset.end ? Number(node.dataset.end) : Math.max(now, begin);
      return { node, begin, end, weight: node.dataset.weight ? Number(node.dataset.weight) : end - begin };
    });
    const longest = bars.reduce((most, bar) => (bar.weight > most.weight ? bar : most));
    const rest = bars.reduce((sum, bar) => sum + bar.weight, 0) - longest.weight;
    const dwarfs = !longest.node.classList.contains("run") && rest > 0 && longest.weight > rest * DWARFING;
    if (dwarfs) longest.weight = rest * 2;
    let x = 0;
    widths(bars.map((bar) => bar.weight)).forEach((width, number) => {
      Object.assign(bars[number], { x, width });
      set(bars[number].node, "x", x);
      set(bars[number].node, "width", width);
      bars[number].node.classList.toggle("narrow", width < WORDY);
      bars[number].node.classList.toggle("broken", dwarfs && bars[number] === longest);
      x += width;
    });
    for (const node of drawing.querySelectorAll(".blind")) {
      const from = place(bars, Number(node.dataset.begin));
      const to = node.dataset.end ? place(bars, Number(node.dataset.end)) : 100;
      set(node, "x", from);
      set(node, "width", Math.max(NARROWEST / 2, to - from));
    }
  }

  function point(event) {
    const readout = document.querySelector("[data-readout]");
    if (!readout) return;
    const bar = event.target.closest && event.target.closest(".stretch");
    if (bar) {
      if (resting === null) resting = readout.innerHTML;
      readout.textContent = bar.getAttribute("aria-label");
    } else if (resting !== null && !(document.activeElement && document.activeElement.closest(".stretch"))) {
      readout.innerHTML = resting;
      resting = null;
    }
  }

  document.addEventListener("pointerover", point);
  document.addEventListener("focusin", point);
  document.addEventListener("umbel:changed", () => {
    resting = null;
    grow();
  });
  document.addEventListener("visibilitychange", grow);
  setInterval(grow, 1000);
  grow();
})();
