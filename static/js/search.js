/* The search box: suggestions while typing. Without this it is a plain form. */
(() => {
  const PAUSE = 150; // milliseconds between two questions to the server, at least
  const box = document.querySelector("[data-search]");
  const input = box.querySelector("input");
  const list = box.querySelector("[role=listbox]");
  const status = box.querySelector("[data-search-status]");

  let options = [];
  let active = -1;
  let partial = "";
  let askedAt = -PAUSE;
  let timer = 0;
  let asking = null;

  input.setAttribute("role", "combobox");
  input.setAttribute("aria-autocomplete", "list");
  input.setAttribute("aria-controls", list.id);
  input.setAttribute("aria-expanded", "false");

  const typed = () => input.value.slice(0, input.selectionStart);

  function mark(index) {
    active = index;
    for (const [at, item] of [...list.children].entries()) {
      item.setAttribute("aria-selected", String(at === index));
      if (at === index) item.scrollIntoView({ block: "nearest" });
    }
    if (index < 0) input.removeAttribute("aria-activedescendant");
    else input.setAttribute("aria-activedescendant", list.children[index].id);
  }

  function show(found) {
    options = found;
    list.replaceChildren(
      ...found.map((option, at) => {
        const item = document.createElement("li");
        item.id = `search-option-${at}`;
        item.setAttribute("role", "option");
        const text = document.createElement("code");
        text.textContent = option.text;
        const about = document.createElement("span");
        about.textContent = option.about;
        item.append(text, about);
        return item;
      }),
    );
    list.hidden = !found.length;
    input.setAttribute("aria-expanded", String(!list.hidden));
    const count = (found.length === 1 ? status.dataset.one : status.dataset.many).replace("{}", found.length);
    status.textContent = found.length ? count : "";
    mark(-1);
  }

  function close() {
    clearTimeout(timer);
    timer = 0;
    if (asking) asking.abort();
    asking = null;
    if (!list.hidden) show([]);
  }

  async function ask() {
    timer = 0;
    askedAt = performance.now();
    if (asking) asking.abort();
    const mine = (asking = new AbortController());
    const text = typed();
    try {
      const address = `${box.dataset.search}?q=${encodeURIComponent(text)}`;
      const answer = await fetch(address, { signal: mine.signal });
      if (!answer.ok) return close();
      const offer = await answer.json();
      if (mine !== asking || text !== typed()) return;
      partial = offer.partial;
      show(offer.options.filter((option) => option.text !== partial));
    } catch {
      if (mine === asking) close();
    }
  }

  function askSoon() {
    if (!timer) timer = setTimeout(ask, Math.max(0, askedAt + PAUSE - performance.now()));
  }

  function choose(option) {
    const end = input.selectionStart;
    const follows = input.value[end] === " ";
    const text = option.text + (option.more || follows ? "" : " ");
    input.setRangeText(text, end - partial.length, end, "end");
    close();
    if (option.more) askSoon();
  }

  input.addEventListener("input", askSoon);
  input.addEventListener("click", () => {
    if (!input.value) askSoon();
  });
  input.addEventListener("blur", close);
  input.form.addEventListener("submit", close);

  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const down = event.key === "ArrowDown";
    if (list.hidden) {
      if (down) {
        event.preventDefault();
        askSoon();
      }
      return;
    }
    if (down || event.key === "ArrowUp") {
      const count = options.length + 1; // one place of them is the text itself
      mark(((active + 1 + (down ? 1 : count - 1)) % count) - 1);
    } else if ((event.key === "Enter" || event.key === "Tab") && active >= 0 && !event.shiftKey) {
      choose(options[active]);
    } else if (event.key === "Escape") {
      close();
    } else {
      return;
    }
    event.preventDefault();
  });

  list.addEventListener("pointerdown", (event) => event.preventDefault());
  list.addEventListener("click", (event) => {
    const item = event.target.closest("[role=option]");
    if (item) choose(options[[...list.children].indexOf(item)]);
  });
})();
