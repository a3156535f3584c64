/* Live pages: one stream for each page that somebody can see, and what it brings put in place.

   Paused, the newest of every part is kept and counted, and all of it is drawn at once when the
   reader goes on. Hidden, there is no stream at all. Texts come from the page, in its language. */
(() => {
  const SILENCE = 4000; // milliseconds: the server says something every 2 s
  const STALLED = 10000; // a stream that is silent for so long is opened anew
  const GRACE = 1500; // a connection that comes back at once is not worth a word
  const HIDDEN = 2000; // nobody sees the page for so long: its stream is closed
  const FIRST = 500; // between two tries, doubled up to the longest
  const LONGEST = 5000;
  const URGENT = ["troubles", "as-of", "alarm"]; // what is away is said on a paused page too
  const RATE = "umbel:rate";

  const place = document.querySelector("[data-live]");
  if (!place) return;
  const root = document.documentElement;
  const words = place.dataset;
  const states = { live: words.sayLive, paused: words.sayPaused, away: words.sayAway, waiting: words.sayWaiting };
  const find = (name) => document.querySelector(`[${name}]`);
  const latest = new Map(); // by id, the text of each part and row as it last came
  const held = new Map(); // by id, what waits while the page is paused
  const broken = new Set(); // parts that could not be put in place: not tried again
  let source = null;
  let retry = 0;
  let worry = 0;
  let leaving = 0;
  let delay = FIRST;
  let heardAt = 0;
  let heardTime = Date.now();
  let begun = false; // the stream has said something
  let isAway = false;
  let paused = false;
  let changes = 0;
  let rate = "";
  try {
    rate = localStorage.getItem(RATE) || "";
  } catch {
    // A browser that keeps nothing for us shows everything as it happens.
  }

  function put(node, text) {
    if (node && node.textContent !== text) node.textContent = text;
  }

  function exactly(node, moment) {
    node.dateTime = new Date(moment).toISOString();
    node.hidden = false;
  }

  /* Says how live the page is: in its head, on its root for style sheets, and in a banner. */
  function say() {
    const state = isAway ? "away" : paused ? "paused" : begun ? "live" : "waiting";
    if (root.dataset.stream !== state) {
      root.dataset.stream = state;
      put(find("data-live-word"), states[state]);
      put(find("data-live-said"), states[state]);
    }
    root.toggleAttribute("data-stale", isAway || Boolean(document.querySelector("#troubles .banner")));
    const waiting = find("data-waiting");
    if (waiting) {
      waiting.hidden = !paused || !changes;
      put(waiting, (changes === 1 ? words.sayOne : words.sayMany).replace("#", changes.toLocaleString(root.lang)));
    }
    const banner = find("data-offline");
    if (banner && banner.hidden === isAway) {
      if (isAway) exactly(banner.querySelector("time"), heardTime);
      banner.hidden = !isAway;
      document.dispatchEvent(new CustomEvent("umbel:times"));
    }
  }

  function away(at_once) {
    clearTimeout(worry);
    const tell = () => {
      isAway = true;
      say();
    };
    if (at_once === true) tell();
    else worry = setTimeout(tell, GRACE);
  }

  function heard() {
    clearTimeout(worry);
    heardAt = performance.now();
    heardTime = Date.now();
    begun = true;
    isAway = false;
    delay = FIRST;
    if (!paused) exactly(find("data-updated"), heardTime);
    say();
  }

  /* The stream */
  function open() {
    close();
    const address = words.live + (rate ? `${words.live.includes("?") ? "&" : "?"}every=${rate}` : "");
    source = new EventSource(address);
    heardAt = performance.now();
    source.onmessage = (event) => take(event.data.split(/\n(?=<hx-partial )/), false);
    source.addEventListener("rows", (event) => take(event.data.split(/\n(?=<tr )/), true));
    source.addEventListener("heartbeat", heard);
    source.onerror = again;
  }

  function close() {
    clearTimeout(retry);
    if (source) source.close();
    source = null;
    begun = false;
  }

  function again() {
    close();
    away();
    retry = setTimeout(open, delay * (0.7 + 0.6 * Math.random()));
    delay = Math.min(delay * 2, LONGEST);
  }

  function look() {
    if (!source) return;
    const silence = performance.now() - heardAt;
    if (silence > STALLED) again();
    if (silence > SILENCE) away(true);
  }

  /* What came: parts and rows by their ids, of which only those count that look different. */
  function take(texts, rows) {
    for (const text of texts) {
      const id = (rows ? /^<tr id="([^"]*)"/ : /hx-target="#([^"]*)"/).exec(text)?.[1];
      if (!id || latest.get(id) === text || broken.has(id)) continue;
      if (paused && latest.has(id) && !URGENT.includes(id) && !id.startsWith("badge-")) changes += 1;
      latest.set(id, text);
      held.set(id, text);
    }
    heard();
    show(paused ? URGENT : [...held.keys()], false);
  }

  function show(ids, whole) {
    const parts = [];
    const rows = [];
    for (const id of ids) {
      const text = held.get(id);
      if (!held.delete(id)) continue;
      if (text.startsWith("<tr ")) rows.push(text);
      else parts.push([id, text]);
    }
    if (parts.length) swap(parts);
    if (rows.length) document.dispatchEvent(new CustomEvent("umbel:came", { detail: { rows, whole } }));
    if (parts.length || whole) changed(parts);
  }

  function changed(parts) {
    document.dispatchEvent(new CustomEvent("umbel:changed", { detail: parts.map(([id]) => id) }));
    say();
  }

  const swapped = (text) => htmx.swap({ sourceElement: place, target: place, swap: "none swapEmpty:false", text });

  /* A part that can't be put in place must not keep the others from it, nor be tried for ever. */
  function swap(parts) {
    swapped(parts.map(([, text]) => text).join("\n")).catch(async () => {
      for (const [id, text] of parts) {
        await swapped(text).catch((error) => {
          broken.add(id);
          find("data-broken").hidden = false;
          console.error(`The part ${id} of this page could not be shown:`, error);
        });
      }
    });
  }

  /* What a reader has opened stays open when its part is sent again. */
  htmx.registerExtension("umbel", {
    htmx_before_morph_attr: (node, detail) => !(detail.attrName === "open" && node.tagName === "DETAILS"),
  });

  /* Nobody sees it: no stream. Somebody does again: all that is different comes at once. */
  function seen() {
    clearTimeout(leaving);
    if (document.hidden) leaving = setTimeout(leave, HIDDEN);
    else if (!source) {
      delay = FIRST;
      open();
      say();
    }
  }

  function leave() {
    clearTimeout(worry);
    close();
    isAway = false;
    say();
  }

  document.addEventListener("visibilitychange", seen);
  addEventListener("pageshow", seen);
  addEventListener("pagehide", leave);
  addEventListener("offline", () => away(true));
  addEventListener("online", () => !document.hidden && open());
  setInterval(look, 500);

  /* Pause, and how often */
  const button = find("data-pause");
  button.hidden = false;
  button.addEventListener("click", () => {
    paused = !paused;
    changes = 0;
    button.setAttribute("aria-pressed", String(paused));
    button.title = paused ? words.sayResume : words.sayPause;
    button.setAttribute("aria-label", button.title);
    if (!paused) {
      show([...held.keys()], true);
      if (begun) exactly(find("data-updated"), heardTime);
    }
    say();
  });

  find("data-live-menu").hidden = false;
  for (const choice of document.querySelectorAll("[data-rate]")) {
    if (choice.value === rate) choice.checked = true;
    choice.addEventListener("change", () => {
      rate = choice.value;
      try {
        localStorage.setItem(RATE, rate);
      } catch {
        // It is chosen for this page alone.
      }
      if (source) open();
    });
  }
  rate = document.querySelector("[data-rate]:checked").value;

  if (!document.hidden) open();
  say();
})();
