/* A task beside the list: the chevron of its row, or Space or "v" on it, opens the panel; it follows
   the focus through the list, and Escape or "back" closes it. Without this a chevron is a button
   that loads the page with its panel. */
(() => {
  const PAUSE = 400; // milliseconds between two looks at one task: it may change many times a second
  const SETTLE = 120; // who goes through the list by key does not want every panel on the way
  const ELSEWHERE = 5000; // between two looks at a task that is not in the list
  const form = document.getElementById("peek-form");
  if (!form) return;

  let opener = null; // what had the focus before
  let asking = null;
  let timer = 0;
  let askedAt = -PAUSE;

  const panel = () => document.getElementById("peek");
  const peeked = () => panel()?.dataset.peeked;
  const buttonOf = (row) => row.querySelector("button[name=peek]");
  const rowOf = (node) => node.closest?.(".tasks > tbody > tr");

  function address(id) {
    const url = new URL(location.href);
    url.searchParams.delete("peek");
    if (id) url.searchParams.set("peek", id);
    if (!url.search) url.search = "?q=";
    return url.pathname + url.search;
  }

  /* Single keys are off for who switched them off in the sheet of keys.js. */
  function keys() {
    try {
      return localStorage.getItem("umbel.keys") !== "off";
    } catch {
      return true;
    }
  }

  function mark() {
    const row = panel() && document.getElementById(panel().dataset.row);
    for (const one of document.querySelectorAll("tr[data-peeked]")) if (one !== row) delete one.dataset.peeked;
    if (row) row.dataset.peeked = "";
  }

  function put(text) {
    const fresh = document.createRange().createContextualFragment(text).firstElementChild;
    const before = panel();
    const same = before && before.dataset.peeked === fresh.dataset.peeked;
    const top = same ? before.scrollTop : 0;
    const within = before?.contains(document.activeElement);
    for (const details of same ? before.querySelectorAll("details[open]") : []) {
      const again = [...fresh.querySelectorAll("details")].find((one) => one.textContent === details.textContent);
      if (again) again.open = true;
    }
    fresh.querySelector("[data-peek-close]").href = address(null);
    if (before) before.replaceWith(fresh);
    else document.body.append(fresh);
    document.body.toggleAttribute("data-peeking", true);
    fresh.scrollTop = top;
    if (within) document.getElementById("peek-title").focus({ preventScroll: true });
    mark();
    document.dispatchEvent(new CustomEvent("umbel:changed", { detail: [] }));
  }

  async function load(id) {
    clearTimeout(timer);
    timer = 0;
    askedAt = performance.now();
    asking?.abort();
    const mine = (asking = new AbortController());
    try {
      const answer = await fetch(`/ui/peek/${encodeURIComponent(id)}`, { signal: mine.signal });
      if (!answer.ok) return false;
      const text = await answer.text();
      if (mine !== asking) return false;
      const before = panel();
      // Someone who marks a text in it to copy it should not lose the mark.
      if (before?.dataset.text === text || (before?.dataset.peeked === id && before.contains(getSelection().anchorNode) && !getSelection().isCollapsed)) return true;
      put(text);
      panel().dataset.text = text;
      return true;
    } catch {
      return false;
    }
  }

  async function open(id, { push, focus }) {
    if (push) history.pushState(null, "", address(id));
    else history.replaceState(null, "", address(id));
    if ((await load(id)) && focus) document.getElementById("peek-title").focus({ preventScroll: true });
  }

  function remove() {
    asking?.abort();
    asking = null;
    clearTimeout(timer);
    const row = panel() && document.getElementById(panel().dataset.row);
    const within = panel()?.contains(document.activeElement) || document.activeElement === document.body;
    panel()?.remove();
    document.body.toggleAttribute("data-peeking", false);
    mark();
    if (within) (opener?.isConnected ? opener : row && buttonOf(row))?.focus({ preventScroll: true });
    opener = null;
  }

  function close() {
    history.replaceState(null, "", address(null));
    remove();
  }

  function toggle(button, focus) {
    if (peeked() === button.value) return close();
    if (!panel()) opener = document.activeElement === document.body ? button : document.activeElement;
    open(button.value, { push: !panel(), focus });
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[name=peek]");
    const closing = event.target.closest("[data-peek-close]");
    if (button) {
      event.preventDefault();
      toggle(button, event.detail === 0);
    } else if (closing && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      close();
    }
  });

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    if (document.querySelector(":modal, :popover-open")) return;
    if (event.key === "Escape" && panel() && !event.target.closest("input:not([type=checkbox]), select, textarea")) {
      event.preventDefault();
      return close();
    }
    const row = rowOf(event.target);
    const space = event.key === " " && event.target.tagName === "A";
    if (!row || !(space || (event.key === "v" && keys()))) return;
    event.preventDefault();
    toggle(buttonOf(row), false);
  }, true);

  document.addEventListener("focusin", (event) => {
    const row = panel() && rowOf(event.target);
    const id = row && buttonOf(row).value;
    if (!id || id === peeked()) return;
    clearTimeout(timer);
    timer = setTimeout(open, SETTLE, id, { push: false, focus: false });
  });

  function again() {
    if (panel() && !timer) timer = setTimeout(() => load(peeked()), Math.max(0, askedAt + PAUSE - performance.now()));
  }

  document.addEventListener("umbel:rows", (event) => {
    if (panel() && event.detail.some((row) => row.id === panel().dataset.row)) again();
    if (panel()) mark();
  });

  setInterval(() => {
    const live = document.documentElement.dataset.stream === "live" && !document.hidden;
    if (live && panel() && !document.getElementById(panel().dataset.row)) again();
  }, ELSEWHERE);

  addEventListener("popstate", () => {
    const id = new URL(location.href).searchParams.get("peek");
    if (!id) remove();
    else if (id !== peeked()) load(id);
  });

  mark();
})();
