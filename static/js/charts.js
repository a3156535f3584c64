/* Reading the charts: point at a step, or go through them by the arrow keys, and the legends say its
   numbers; drag over several, or hold Shift, and their tasks are listed. Steps are kept by their
   moment, not their place: a live chart moves on under its reader. */
(() => {
  const root = document.querySelector("[data-charts]");
  if (!root) return;
  const when = root.querySelector("[data-when]");
  const note = root.querySelector("[data-note]");
  const open = root.querySelector("[data-open]");
  const scrub = root.querySelector("[data-scrub]");
  const resting = root.querySelector("[data-resting]");
  const COUNTS = 5; // of the cells of a step: all, succeeded, revoked, failed, lost
  let text = "";
  let steps = [];
  let length = 60; // seconds of one step
  let anchor = null; // the step where a selection began, and where it ends: seconds since the epoch
  let head = null;
  let query = "";
  let dragging = false;

  function read() {
    const data = document.getElementById("ended").dataset;
    if (data.steps === text) return;
    text = data.steps;
    length = Number(data.step);
    steps = text.split(";").map((step) => {
      const [at, ...cells] = step.split("|");
      return { at: Number(at), note: cells.pop(), cells };
    });
    scrub.max = String(steps.length - 1);
  }

  const indexOf = (at) => steps.findIndex((step) => step.at === at);
  const iso = (at) => `${new Date(at * 1000).toISOString().slice(0, 19)}Z`;

  const fill = (words, values) => words.replace(/\{(\w*)\}/g, (_, name) => values[name]);

  function span(first, last) {
    const end = (last + length) * 1000;
    return `${umbelTimes.form("minute").formatRange(first * 1000, end)} ${umbelTimes.offset(end)}`;
  }

  function address(first, last) {
    return `/ui/tasks?${query ? `${query}&` : ""}ended=${iso(first)}..${iso(last + length)}`;
  }

  /* Of several steps only counts can be added up; how long most of them took can't. Where nothing is
     known of one of them, the others are the least that there was. */
  function cellsOf(chosen) {
    if (chosen.length === 1) return chosen[0].cells;
    return chosen[0].cells.map((_, cell) => {
      if (cell >= COUNTS) return "—";
      const counts = chosen.map((step) => Number(step.cells[cell].replaceAll(",", "")));
      const known = counts.filter((count) => !Number.isNaN(count));
      const sum = known.reduce((total, count) => total + count, 0).toLocaleString(document.documentElement.lang);
      return known.length === counts.length ? sum : known.length ? fill(root.dataset.least, { "": sum }) : "—";
    });
  }

  function show() {
    read();
    const [from, to] = [indexOf(anchor), indexOf(head)];
    const active = from >= 0 && to >= 0;
    const [first, last] = active ? [Math.min(from, to), Math.max(from, to)] : [0, -1];
    const chosen = steps.slice(first, last + 1);
    const cells = active ? cellsOf(chosen) : [];
    for (const value of root.querySelectorAll("[data-cell]")) {
      const words = active ? cells[Number(value.dataset.cell)] : value.dataset.all;
      if (value.textContent !== words) value.textContent = words;
    }
    for (const cursor of root.querySelectorAll(".cursor")) {
      cursor.setAttribute("x", `${(100 * first) / steps.length}%`);
      cursor.setAttribute("width", active ? `${(100 * chosen.length) / steps.length}%` : "0");
    }
    when.hidden = open.hidden = !active;
    note.textContent = active ? [...new Set(chosen.map((step) => step.note).filter(Boolean))].join(" · ") : root.dataset.hint;
    resting.hidden = active;
    if (!active) return;
    when.textContent = span(chosen[0].at, chosen.at(-1).at);
    open.textContent = cells[0] === "—" ? root.dataset.list : fill(root.dataset.ended, { "": cells[0] });
    open.href = address(chosen[0].at, chosen.at(-1).at);
    scrub.value = String(to);
    const told = { time: when.textContent, ended: cells[0], succeeded: cells[1], failed: cells[3], waited: cells[7], ran: cells[10] };
    scrub.setAttribute("aria-valuetext", `${fill(root.dataset.said, told)} ${note.textContent}`);
  }

  function choose(at, extend) {
    head = at;
    if (!extend || anchor === null) anchor = at;
    show();
  }

  function clear() {
    anchor = head = null;
    dragging = false;
    show();
  }

  function stepAt(event) {
    const canvas = event.target.closest && event.target.closest(".canvas");
    if (!canvas && !dragging) return null;
    const box = (canvas || root.querySelector(".canvas")).getBoundingClientRect();
    const place = Math.floor(((event.clientX - box.left) / box.width) * steps.length);
    return steps[Math.max(0, Math.min(steps.length - 1, place))].at;
  }

  root.addEventListener("pointerdown", (event) => {
    const at = stepAt(event);
    if (at === null || event.button) return;
    query = event.target.closest(".plot").dataset.query;
    dragging = true;
    event.target.closest(".canvas").setPointerCapture(event.pointerId);
    choose(at, event.shiftKey);
  });

  root.addEventListener("pointermove", (event) => {
    const at = stepAt(event);
    if (at !== null) choose(at, dragging);
  });

  root.addEventListener("pointerup", (event) => {
    if (!dragging) return;
    dragging = false;
    // A finger is lifted to look at what it has chosen: the link beside it opens that.
    if (event.pointerType !== "touch") location.assign(open.href);
  });

  root.addEventListener("pointercancel", () => {
    if (dragging) clear(); // the finger scrolls the page
  });

  root.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "mouse" && document.activeElement !== scrub) clear();
  });

  scrub.addEventListener("focus", () => {
    query = root.dataset.query;
    if (head === null) choose(steps.at(-1).at, false);
  });

  scrub.addEventListener("blur", (event) => {
    if (event.relatedTarget !== open) clear();
  });

  scrub.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: -Infinity, End: Infinity };
    if (event.key in moves) {
      const place = Math.max(0, Math.min(steps.length - 1, indexOf(head) + moves[event.key]));
      choose(steps[place].at, event.shiftKey);
    } else if (event.key === "Enter") location.assign(open.href);
    else if (event.key === "Escape") choose(head, false);
    else return;
    event.preventDefault();
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && dragging) clear();
  });
  for (const name of ["umbel:changed", "umbel:times"]) document.addEventListener(name, show);
  scrub.hidden = false;
  show();
})();
