/* Buttons that copy a text. Over plain HTTP from another machine browsers offer no clipboard,
   so an old way is kept for that. */
function umbelCopy(text, button) {
  const done = () => {
    const before = button.title;
    button.title = button.dataset.done;
    button.dataset.copied = "";
    setTimeout(() => {
      button.title = before;
      delete button.dataset.copied;
    }, 1500);
  };
  if (navigator.clipboard) {
    navigator.clipboard.writeText(text).then(done, () => {});
    return;
  }
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "hushed";
  document.body.append(area);
  area.select();
  if (document.execCommand("copy")) done();
  area.remove();
}

(() => {
  const show = () => {
    for (const button of document.querySelectorAll("[data-copy][hidden]")) button.hidden = false;
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const source = document.getElementById(button.dataset.copy);
    if (source) umbelCopy(source.textContent, button);
  });
  document.addEventListener("umbel:changed", show);
  show();
})();
