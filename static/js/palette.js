/* The palette, loaded when it is first wanted: the server finds by what is typed, one question at a
   time; what can be done on this page (`data-command`) and what was chosen lately is known here. */
window.umbelPalette = (() => {
  const PAUSE = 100; // milliseconds without a key before the server is asked
  const LATELY = 6;
  const KEPT = "umbel.lately";
  const [BEGINS, WORD, PART, NONE] = [1, 2, 3, 5]; // as app/web/pages/palette.py has them

  const opener = document.querySelector("[data-palette]");
  const words = opener.dataset;
  const dialog = document.createElement("dialog");
  dialog.className = "palette";
  dialog.setAttribute("aria-label", opener.getAttribute("aria-label"));
  dialog.innerHTML = `<div class="ask"><input type="text" role="combobox" aria-autocomplete="list" aria-expanded="true" aria-controls="palette-options" autocomplete="off" autocapitalize="none" autocorrect="off" spellcheck="false" maxlength="200" enterkeyhint="go" autofocus><button class="plain" type="button">×</button></div><ul id="palette-options" class="found" role="listbox"></ul>`;
  const input = dialog.querySelector("input");
  const list = dialog.querySelector("ul");
  const close = dialog.querySelector("button");
  input.placeholder = words.label;
  for (const node of [input, list]) node.setAttribute("aria-label", words.label);
  close.setAttribute("aria-label", words.close);
  const style = document.createElement("link");
  style.rel = "stylesheet";
  style.href = words.style;
  const styled = new Promise((done) => (style.onload = style.onerror = done));
  document.head.append(style);
  document.body.append(dialog);

  let options = [];
  let active = 0;
  let found = { text: null, options: [] }; // what the server said last, and of what
  let asking = false;
  let timer = 0;
  let wanted = null; // the event by which somebody chose before the answer was there

  const text = () => input.value.trim();

  function fit(label) {
    const [asked, name] = [text().toLowerCase(), label.toLowerCase()];
    if (name.startsWith(asked)) return BEGINS;
    if (name.split(/[\s,._-]+/).some((word) => word.startsWith(asked))) return WORD;
    return name.includes(asked) ? PART : NONE;
  }

  function commands() {
    const controls = [...document.querySelectorAll("[data-command]")];
    return controls
      .filter((control) => !control.disabled && !control.closest("[hidden]"))
      .map((control) => {
        const label = (control.dataset.command || control.getAttribute("aria-label") || control.textContent).trim();
        return { words: label, kind: words.action, control, fits: fit(label) };
      })
      .filter((option) => option.fits < NONE);
  }

  function lately() {
    try {
      return JSON.parse(localStorage.getItem(KEPT)) || [];
    } catch {
      return [];
    }
  }

  function remember({ words: label, kind, href }) {
    const kept = [{ words: label, kind, href }, ...lately().filter((one) => one.href !== href)];
    try {
      localStorage.setItem(KEPT, JSON.stringify(kept.slice(0, LATELY)));
    } catch {
      // Where nothing can be kept, nothing is.
    }
  }

  function itemOf(option, at) {
    const item = document.createElement("li");
    item.id = `palette-option-${at}`;
    item.setAttribute("role", "option");
    if (option.nodes) item.append(...option.nodes.map((node) => node.cloneNode(true)));
    else {
      const label = item.appendChild(document.createElement("span"));
      label.className = "what";
      label.textContent = option.words;
      const kind = item.appendChild(document.createElement("span"));
      kind.className = "kind muted";
      kind.textContent = option.lately ? `${option.kind} · ${words.recent}` : option.kind;
    }
    return item;
  }

  function mark(at) {
    active = at;
    for (const [place, item] of [...list.children].entries()) {
      item.setAttribute("aria-selected", String(place === at));
      if (place === at) item.scrollIntoView({ block: "nearest" });
    }
    if (options.length) input.setAttribute("aria-activedescendant", `palette-option-${at}`);
    else input.removeAttribute("aria-activedescendant");
  }

  function show() {
    const can = commands();
    const before = text() ? [] : lately().map((one) => ({ ...one, lately: true }));
    const said = new Set([...before.map((one) => one.href), ...can.map((one) => one.control.pathname)]);
    // Until the answer to this text has come, what fits of the one before.
    const fresh = found.text === text();
    const known = found.options.filter((option) => !said.has(option.href) && (fresh || fit(option.words) < NONE));
    // What this page is about, where one can go, and what is the same on all of them.
    const here = can.filter((option) => option.control.closest("main"));
    const always = can.filter((option) => !here.includes(option));
    options = [...before, ...here, ...known, ...always];
    if (text()) options.sort((a, b) => a.fits - b.fits);
    list.replaceChildren(...options.map(itemOf));
    mark(0);
    if (wanted && found.text === text()) choose(options[0], wanted);
  }

  function read(html) {
    const parsed = new DOMParser().parseFromString(html, "text/html");
    return [...parsed.querySelectorAll("li > a")].map((link) => ({
      words: link.querySelector(".what").textContent,
      kind: link.querySelector(".kind").textContent,
      href: link.getAttribute("href"),
      fits: Number(link.dataset.fits),
      nodes: [...link.childNodes],
    }));
  }

  async function ask() {
    timer = 0;
    if (asking) return; // it asks again when its answer has come
    asking = true;
    const asked = text();
    try {
      const answer = await fetch(`${opener.pathname}?part=list&q=${encodeURIComponent(asked)}`);
      found = { text: asked, options: answer.ok ? read(await answer.text()) : [] };
    } catch {
      found = { text: asked, options: [] };
    }
    asking = false;
    if (asked !== text()) ask();
    else show();
  }

  function choose(option, event) {
    wanted = null;
    if (!option) return;
    if (option.control) {
      dialog.close();
      umbelDo(option.control);
      return;
    }
    remember(option);
    if (event.ctrlKey || event.metaKey || event.button === 1) window.open(option.href, "_blank", "noopener");
    else {
      dialog.close();
      location.assign(option.href);
    }
  }

  input.addEventListener("input", () => {
    wanted = null;
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE);
    show();
  });

  input.addEventListener("keydown", (event) => {
    if (event.isComposing || event.keyCode === 229) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && options.length) mark((active + step + options.length) % options.length);
    else if (event.key === "Enter") {
      if (found.text === text() || active > 0) choose(options[active], event);
      else wanted = event;
    } else return;
    event.preventDefault();
  });

  list.addEventListener("pointerdown", (event) => event.preventDefault());
  for (const kind of ["click", "auxclick"]) {
    list.addEventListener(kind, (event) => {
      const item = event.target.closest("[role=option]");
      if (item && event.button < 2) choose(options[[...list.children].indexOf(item)], event);
    });
  }
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });

  return async (typed) => {
    if (dialog.open) return;
    await styled;
    input.value = typed();
    found = { text: null, options: [] };
    show();
    dialog.showModal();
    ask();
  };
})();
