/* The keyboard. What a control's `aria-keyshortcuts` says, that key does; `g` and a letter follow a
   link's `data-go`. Lists are gone through by the links of their rows, so that a row's focus is the
   browser's own: seen, announced, and kept where a row changes in place. Single keys are off while
   somebody types, with Ctrl, Alt or Meta, where a dialog is open, and for who switched them off. */
(() => {
  const ROWS = ".rows > tbody > tr, .list > li, .concerns > li, .tasklist > li";
  const TYPED = "input:not([type=checkbox], [type=radio], [type=range], [type=button], [type=submit]), textarea, select, [contenteditable]";
  const SEQUENCE = 1500; // milliseconds in which a letter belongs to the "g" before it
  const OFF = "umbel.keys";
  const MAC = /Mac|iP/.test(navigator.platform);

  const help = document.querySelector("[data-help]");
  const opener = document.querySelector("[data-palette]");

  let goAt = -SEQUENCE;
  let kept = ""; // the id of the row that has the focus, and where it stands among all rows
  let place = -1;
  let early = null; // what is typed while the palette is on its way: no key may act meanwhile

  const isOff = () => remembered(() => localStorage.getItem(OFF)) === "off";
  const linkOf = (row) => row.querySelector("a[href]");
  const isTask = (link) => /^\/ui\/tasks\/[^/]+$/.test(link.pathname);
  const rows = () => [...document.querySelectorAll(ROWS)].filter((row) => linkOf(row)?.checkVisibility());

  function remembered(what) {
    try {
      return what();
    } catch {
      return null; // a browser that keeps nothing
    }
  }

  const say = (text) => document.dispatchEvent(new CustomEvent("umbel:toast", { detail: { text } }));

  /* Rows */
  function rowWithFocus(all) {
    const row = document.activeElement.closest(ROWS);
    return row ? all.indexOf(row) : -1;
  }

  function focusRow(all, at) {
    linkOf(all[at]).focus();
    all[at].scrollIntoView({ block: "nearest" });
  }

  function move(step) {
    const all = rows();
    if (!all.length) return false;
    let at = rowWithFocus(all);
    if (at < 0 && kept) at = all.findIndex((row) => row.id === kept);
    // A row that is gone has left its place to the next one.
    if (at < 0) at = place < 0 ? 0 : Math.min(step > 0 ? place : place - 1, all.length - 1);
    else at += step;
    focusRow(all, Math.max(0, Math.min(all.length - 1, at)));
    return true;
  }

  document.addEventListener("focusin", (event) => {
    const row = event.target.closest(ROWS);
    kept = row ? row.id : "";
    place = row ? rows().indexOf(row) : -1;
  });

  document.addEventListener("umbel:changed", () => {
    const row = kept && document.activeElement === document.body && document.getElementById(kept);
    if (row && linkOf(row)) linkOf(row).focus({ preventScroll: true });
  });

  /* What keys do */
  function press(key) {
    for (const control of document.querySelectorAll("[aria-keyshortcuts]")) {
      const keys = control.getAttribute("aria-keyshortcuts").split(" ");
      if (!keys.includes(key) || control.disabled || !control.checkVisibility()) continue;
      umbelDo(control);
      return true;
    }
    return false;
  }

  /* What a click on it does; `data-ask` is asked first, for a key is pressed sooner than a button. */
  window.umbelDo = (control) => {
    if (control.dataset.ask && !confirm(control.dataset.ask)) return;
    if (control.matches(TYPED)) {
      control.focus();
      if (control.setSelectionRange) control.setSelectionRange(control.value.length, control.value.length);
    } else if (control.tagName === "SUMMARY") unfold(control.parentElement);
    else control.click();
  };

  function unfold(details) {
    details.open = true;
    const field = details.querySelector("input:not([type=hidden]), textarea, select");
    if (field) field.focus();
  }

  function ask(path, question, link) {
    const form = document.createElement("form");
    form.method = "post";
    form.action = path;
    form.dataset.confirm = `${question}\n\n${link.textContent.trim()} ${idOf(link)}`; // asked by forms.js
    document.body.append(form);
    form.requestSubmit();
  }

  const idOf = (link) => decodeURIComponent(link.pathname.split("/").pop());

  function actOnRow(key) {
    const all = rows();
    const row = all[rowWithFocus(all)];
    if (!row) return false;
    const link = linkOf(row);
    if (key === "x" || key === "X") {
      const box = row.querySelector("[data-pick]");
      if (box) box.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true, shiftKey: key === "X" }));
      return Boolean(box);
    }
    if (!isTask(link)) return false;
    if (key === "r") ask(`${link.pathname}/retry`, help.dataset.askRetry, link);
    else if (key === "s") ask(`${link.pathname}/revoke`, help.dataset.askRevoke, link);
    else if (key === "e") location.assign(`${link.pathname}#edit`);
    else if (key === "c") umbelCopy(idOf(link), { dataset: { set copied(_) { say(help.dataset.copied); } } });
    else return false;
    return true;
  }

  /* Out of a row, then out of the page, to the list that it was opened from. */
  function back() {
    if (document.querySelector("dialog[open], :popover-open")) return false; // the browser closes that
    if (document.activeElement.closest(ROWS)) {
      document.activeElement.blur();
      kept = "";
      return true;
    }
    const list = document.querySelector("[data-back]") || document.querySelector("nav [aria-current=page]");
    if (!list || list.pathname === location.pathname) return false;
    if (document.referrer === list.href) history.back(); // which finds the place in it again
    else location.assign(list.href);
    return true;
  }

  function act(key) {
    if (performance.now() - goAt < SEQUENCE) {
      goAt = -SEQUENCE;
      const link = document.querySelector(`[data-go="${CSS.escape(key)}"]`);
      if (link) location.assign(link.href);
      return Boolean(link);
    }
    if (key === "g") {
      goAt = performance.now();
      return true;
    }
    if (key === "j" || key === "k") return move(key === "j" ? 1 : -1);
    if (key === "Escape") return back();
    if (key === "?") {
      openSheet();
      return true;
    }
    if (press(key) || actOnRow(key)) return true;
    if (key !== "/") return false;
    location.assign("/ui/tasks#search");
    return true;
  }

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || event.keyCode === 229) return;
    if (early !== null) {
      if (event.key.length === 1 && !event.ctrlKey && !event.altKey && !event.metaKey) early += event.key;
      return event.preventDefault();
    }
    if (document.querySelector(":modal")) return;
    const command = MAC ? event.metaKey : event.ctrlKey;
    if (command && event.key.toLowerCase() === "k" && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      return openPalette();
    }
    if (event.ctrlKey || event.altKey || event.metaKey || event.key === "Shift") return;
    if (event.target.closest(TYPED)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (isOff() || (event.repeat && event.key !== "j" && event.key !== "k")) return;
    if (act(event.key)) event.preventDefault();
  });

  /* The sheet of all keys, and the palette: loaded when they are first wanted. */
  let sheet = null;

  async function openSheet() {
    if (!sheet) {
      const answer = await fetch(`${help.pathname}?part=sheet`);
      if (!answer.ok) return location.assign(help.href);
      sheet = document.body.appendChild(document.createElement("dialog"));
      sheet.className = "dialog sheet";
      sheet.innerHTML = await answer.text();
      sheet.setAttribute("aria-labelledby", "keys-title");
      sheet.addEventListener("click", (event) => {
        if (event.target === sheet || event.target.closest("[data-close]")) sheet.close();
      });
      show();
    }
    if (!sheet.open) sheet.showModal();
  }

  async function openPalette() {
    early = "";
    try {
      if (!window.umbelPalette) await load(opener.dataset.palette);
      await umbelPalette(() => early);
    } catch {
      location.assign(opener.href);
    } finally {
      early = null;
    }
  }

  function load(address) {
    const script = document.createElement("script");
    script.src = address;
    document.head.append(script);
    return new Promise((done, failed) => Object.assign(script, { onload: done, onerror: failed }));
  }

  document.addEventListener("click", (event) => {
    if (event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const link = event.target.closest("[data-help], [data-palette]");
    if (!link) return;
    event.preventDefault();
    if (link === opener) openPalette();
    else openSheet();
  });

  function show() {
    for (const key of document.querySelectorAll(".shortcuts kbd")) if (MAC && key.textContent === "Ctrl") key.textContent = "⌘";
    for (const box of document.querySelectorAll("[data-keys-on]")) {
      box.checked = !isOff();
      box.closest("[hidden]")?.removeAttribute("hidden");
    }
  }

  document.addEventListener("change", (event) => {
    if (!event.target.matches("[data-keys-on]")) return;
    const { checked } = event.target;
    remembered(() => (checked ? localStorage.removeItem(OFF) : localStorage.setItem(OFF, "off")));
  });

  show();
  if (location.hash === "#search") document.querySelector("[data-search] input")?.focus();
  const folded = location.hash === "#edit" && document.querySelector("details#edit");
  if (folded) unfold(folded);
})();
