/* Rows of lists change many times a second and hold nothing that htmx looks after. The newest of each
   waits for the next frame, and a frame takes as many as it can draw in time, or all of them where a
   reader catches up. Only cells that came otherwise than before are read, and these are matched node
   by node. What a reader has done to a row stays: its tick, the focus, a selection of text. */
(() => {
  const BUDGET = 5; // milliseconds of a frame's 16: drawing what was changed takes as long again
  const FLASHING = 8; // rows of one frame: where more change at once, nobody looks at each

  const waiting = new Map(); // by id, the newest text of each row
  const shown = new WeakMap(); // by row, the text of each of its cells as it last came
  const parsed = document.createElement("template");
  let due = 0;
  let whole = false;

  const isTicking = (node) => node.nodeName === "TIME" && ("ago" in node.dataset || "lasting" in node.dataset);

  function matchAttributes(node, fresh) {
    let same = true;
    for (const { name, value } of fresh.attributes) {
      if (node.getAttribute(name) === value) continue;
      node.setAttribute(name, value);
      same = false;
    }
    if (node.attributes.length === fresh.attributes.length) return same;
    for (const { name } of [...node.attributes]) if (!fresh.hasAttribute(name)) node.removeAttribute(name);
    return false;
  }

  function match(node, fresh) {
    if (node.isEqualNode(fresh)) return;
    if (node.nodeName !== fresh.nodeName) return node.replaceWith(fresh);
    if (node.nodeType !== Node.ELEMENT_NODE) {
      if (node.data !== fresh.data) node.data = fresh.data;
      return;
    }
    // The text of a moment is not as it came: times.js makes an age of it.
    if (matchAttributes(node, fresh) && isTicking(fresh)) return;
    const before = [...node.childNodes];
    const after = [...fresh.childNodes];
    after.forEach((child, place) => (place < before.length ? match(before[place], child) : node.append(child)));
    for (const child of before.slice(after.length)) child.remove();
  }

  /* Text is escaped, so what looks like the beginning of a cell is one. */
  function show(row, text) {
    const parts = text.split("<td");
    const before = shown.get(row);
    shown.set(row, parts);
    const same = before && before.length === parts.length && before[0] === parts[0];
    if (!same || row.cells.length !== parts.length - 1) {
      parsed.innerHTML = text;
      return match(row, parsed.content.firstElementChild);
    }
    const places = [...parts.keys()].filter((place) => parts[place] !== before[place]);
    parsed.innerHTML = parts[0] + places.map((place) => "<td" + parts[place]).join("");
    const fresh = [...parsed.content.firstElementChild.cells];
    fresh.forEach((cell, place) => match(row.cells[places[place] - 1], cell));
  }

  /* Another state than before is worth a glance; style sheets say how. */
  function flash(rows) {
    if (rows.length > FLASHING) return;
    for (const row of rows) {
      row.toggleAttribute("data-changed", false);
      requestAnimationFrame(() => row.toggleAttribute("data-changed", true));
    }
  }

  const stateOf = (row) => row.querySelector(".state")?.className;

  function draw() {
    due = 0;
    const until = whole ? Infinity : performance.now() + BUDGET;
    const rows = [];
    const turned = [];
    for (const [id, text] of waiting) {
      waiting.delete(id);
      const row = document.getElementById(id);
      if (!row) continue;
      const before = stateOf(row);
      show(row, text);
      rows.push(row);
      if (before !== stateOf(row)) turned.push(row);
      if (performance.now() > until) break;
    }
    if (waiting.size) due = requestAnimationFrame(draw);
    else whole = false;
    flash(turned);
    document.dispatchEvent(new CustomEvent("umbel:rows", { detail: rows }));
  }

  document.addEventListener("animationend", (event) => event.target.removeAttribute?.("data-changed"));

  document.addEventListener("umbel:came", (event) => {
    whole ||= event.detail.whole;
    for (const text of event.detail.rows) {
      const id = /^<tr id="([^"]*)"/.exec(text);
      if (id) waiting.set(id[1], text);
    }
    if (!due) due = requestAnimationFrame(draw);
  });
})();
