/* A value's tree: the arrow keys go through its rows, and the row with the focus or the pointer has
   buttons that copy it, or the path to it. What is copied is cut out of the raw text: a number of
   thirty digits stays one, which it would not as a number of JavaScript. */
(() => {
  const tools = document.createElement("span");
  tools.className = "tree-tools";
  let shownIn = null;

  const rawOf = (row) => {
    const box = row.closest("[data-raw]");
    const raw = box && document.getElementById(box.dataset.raw);
    return raw ? raw.textContent : "";
  };

  function partOf(row) {
    const [begin, end] = row.dataset.at.split(",").map(Number);
    // Places are counted in characters, not in the halves that a string of JavaScript is made of.
    const text = [...rawOf(row)].slice(begin, end).join("");
    return text.startsWith('"') ? JSON.parse(text) : text;
  }

  function pathOf(row) {
    let path = "";
    for (let at = row; at && "at" in at.dataset; at = at.parentElement.closest("[data-at]")) {
      if ("key" in at.dataset) path = `[${at.dataset.key}]${path}`;
    }
    return row.closest("[data-tree]").dataset.tree + path;
  }

  function button(words, text) {
    const made = document.createElement("button");
    made.type = "button";
    made.className = "plain";
    made.textContent = words;
    made.addEventListener("click", (event) => {
      event.preventDefault();
      event.stopPropagation();
      umbelCopy(text(), made);
    });
    return made;
  }

  function show(row) {
    if (row === shownIn && tools.isConnected) return;
    const { copyValue, copyPath } = row.closest("[data-raw]").dataset;
    shownIn = row;
    tools.replaceChildren(button(copyValue, () => partOf(row)), button(copyPath, () => pathOf(row)));
    row.append(tools);
  }

  function hide() {
    shownIn = null;
    tools.remove();
  }

  const rowOf = (node) => node.closest && node.closest(".tree li[data-at]");
  const isSeen = (row) => row.checkVisibility();

  function prepare() {
    for (const tree of document.querySelectorAll("[data-tree]")) {
      const first = tree.querySelector("li[data-at]");
      if (first && !tree.querySelector("li[tabindex='0']")) first.tabIndex = 0;
    }
  }

  document.addEventListener("pointerover", (event) => {
    const row = rowOf(event.target);
    if (row) show(row);
    else if (!tools.contains(document.activeElement) && !tools.contains(event.target)) hide();
  });

  document.addEventListener("focusin", (event) => {
    const row = rowOf(event.target);
    if (row && !tools.contains(event.target)) show(row);
  });

  document.addEventListener("keydown", (event) => {
    const row = rowOf(event.target);
    if (!row || tools.contains(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
    const rows = [...row.closest("[data-tree]").querySelectorAll("li[data-at]")].filter(isSeen);
    const place = rows.indexOf(row);
    const fold = row.querySelector(":scope > details");
    const above = row.parentElement.closest("li[data-at]");
    let next = null;
    if (event.key === "ArrowDown") next = rows[place + 1];
    else if (event.key === "ArrowUp") next = rows[place - 1];
    else if (event.key === "Home") next = rows[0];
    else if (event.key === "End") next = rows.at(-1);
    else if (event.key === "ArrowRight" && fold && !fold.open) fold.open = true;
    else if (event.key === "ArrowRight") next = rows[place + 1];
    else if (event.key === "ArrowLeft" && fold && fold.open) fold.open = false;
    else if (event.key === "ArrowLeft") next = above;
    else return;
    event.preventDefault();
    if (!next) return;
    for (const other of row.closest("[data-tree]").querySelectorAll("li[tabindex='0']")) other.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });

  document.addEventListener("umbel:changed", prepare);
  prepare();
})();
