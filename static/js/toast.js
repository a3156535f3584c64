/* Toasts: what was done, said for a few seconds. Anybody may dispatch
   new CustomEvent("umbel:toast", { detail: { text, bad, href, link } }); errors stay. */
(() => {
  const STAYS = 6000; // milliseconds
  const MOST = 3;
  const region = document.querySelector("[data-toasts]");
  if (!region) return;

  function leave(toast) {
    toast.remove();
  }

  document.addEventListener("umbel:toast", (event) => {
    const { text, bad, href, link } = event.detail;
    const toast = region.querySelector("template").content.firstElementChild.cloneNode(true);
    const words = toast.querySelector("span");
    words.textContent = text;
    if (href) {
      const anchor = document.createElement("a");
      anchor.href = href;
      anchor.textContent = link;
      words.append(" ", anchor);
    }
    toast.classList.toggle("bad", Boolean(bad));
    toast.querySelector("button").addEventListener("click", () => leave(toast));
    region.append(toast);
    const shown = region.querySelectorAll(".toast");
    if (shown.length > MOST) leave(shown[0]);
    if (bad) return;
    let timer = setTimeout(leave, STAYS, toast);
    toast.addEventListener("pointerenter", () => clearTimeout(timer));
    toast.addEventListener("pointerleave", () => (timer = setTimeout(leave, STAYS, toast)));
  });
})();
