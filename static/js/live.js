/* Live pages: hx-sse does the work; this connects again when it would not, and says so.

   hx-sse 4.0.1 never tries again after a first refusal, and never notices a stream that has
   gone silent. It reads `connection.reader` and `_htmx.sse`, which are its internals: the
   version is pinned, and tests/browser holds this file to it. */
(() => {
  const SILENCE = 25000; // milliseconds; the server says something every 10 s
  const LONGEST = 15000; // between two tries after a refusal
  const GRACE = 1500; // a reconnection that succeeds at once is not worth a word

  const root = document.documentElement;
  let delay = 500;
  let heardAt = 0;
  let heardTime = Date.now();
  let connection = null;
  let paused = false;
  let worry = 0;

  const isStream = (node) => node && node.hasAttribute && node.hasAttribute("data-live");

  function say(state) {
    root.dataset.stream = state;
    const shown = document.querySelector("[data-live-word]");
    const word = shown && shown.dataset.words.split("|")[["live", "paused", "away"].indexOf(state)];
    if (shown && shown.textContent !== word) shown.textContent = word;
    const banner = document.querySelector("[data-offline]");
    if (!banner) return;
    if (state === "away" && banner.hidden) {
      const since = banner.querySelector("[data-offline-since]");
      since.dateTime = new Date(heardTime).toISOString();
      document.dispatchEvent(new CustomEvent("umbel:times"));
    }
    banner.hidden = state !== "away";
  }

  function live() {
    clearTimeout(worry);
    worry = 0;
    say(paused ? "paused" : "live");
  }

  function away() {
    if (!worry) worry = setTimeout(() => say("away"), GRACE);
  }

  function heard() {
    heardAt = performance.now();
    heardTime = Date.now();
    live();
  }

  document.addEventListener("htmx:finally:request", (event) => {
    const node = event.target;
    if (!isStream(node) || (node._htmx && node._htmx.sse)) return;
    away();
    setTimeout(() => htmx.trigger(node, "live:retry"), delay * (0.7 + 0.6 * Math.random()));
    delay = Math.min(delay * 2, LONGEST);
  });

  document.addEventListener("htmx:sse:after:connection", (event) => {
    delay = 500;
    connection = event.detail.connection;
    heardAt = performance.now();
  });

  document.addEventListener("htmx:sse:before:message", (event) => {
    heard();
    if (paused) event.preventDefault();
  });

  document.addEventListener("htmx:sse:error", away);
  document.addEventListener("bye", away, true);

  setInterval(() => {
    if (document.hidden || !connection) return;
    if (!connection.reader) return away();
    if (performance.now() - heardAt > SILENCE) {
      heardAt = performance.now();
      away();
      connection.reader.cancel();
    }
  }, 1000);

  /* What a reader has opened stays open when its fragment is sent again. */
  htmx.registerExtension("umbel", {
    htmx_before_morph_attr: (node, detail) => !(detail.attrName === "open" && node.tagName === "DETAILS"),
  });

  document.addEventListener("htmx:sse:after:message", (event) => {
    if (event.detail.message.event) return; // rows.js says by itself what it has changed
    const titled = document.querySelector("[data-title]");
    if (titled && document.title !== titled.dataset.title) document.title = titled.dataset.title;
    document.dispatchEvent(new CustomEvent("umbel:changed"));
  });

  const button = document.querySelector("[data-pause]");
  if (button) {
    const pause = button.title;
    button.hidden = false;
    button.addEventListener("click", () => {
      paused = !paused;
      button.setAttribute("aria-pressed", String(paused));
      const word = paused ? button.dataset.resume : pause;
      button.setAttribute("aria-label", word);
      button.title = word;
      live();
      // Connecting again brings everything that was missed.
      if (!paused && connection && connection.reader) connection.reader.cancel();
    });
  }
})();
