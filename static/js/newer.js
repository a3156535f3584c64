/* "12 new" is said to who can't see it: soon when it first appears, and then seldom, however fast
   it grows. */
(() => {
  const SOON = 300; // milliseconds: what comes together is one sentence
  const SELDOM = 20000; // between two sentences
  const place = document.querySelector("[data-newer-said]");
  if (!place) return;
  let saidAt = -SELDOM;
  let timer = 0;

  const text = () => document.querySelector("#newer a")?.dataset.said ?? "";

  function say() {
    timer = 0;
    if (place.textContent === text()) return;
    place.textContent = text();
    saidAt = performance.now();
  }

  document.addEventListener("umbel:changed", () => {
    if (timer || place.textContent === text()) return;
    timer = setTimeout(say, Math.max(SOON, text() ? saidAt + SELDOM - performance.now() : 0));
  });
})();
