/* Rows that are ticked stay ticked while they change, and are counted above the list. */
(() => {
  const bar = document.querySelector("[data-selection]");
  const all = document.querySelector("[data-pick-all]");
  if (!bar || !all) return;
  const boxes = () => [...document.querySelectorAll("[data-pick]")];
  const picked = () => boxes().filter((box) => box.checked);
  all.hidden = false;

  function count() {
    const number = picked().length;
    const total = boxes().length;
    const shown = bar.querySelector("[data-selected]");
    const text = shown.dataset.selected.replace("{}", number);
    if (shown.textContent !== text) shown.textContent = text;
    bar.hidden = number === 0;
    all.checked = number > 0 && number === total;
    all.indeterminate = number > 0 && number < total;
  }

  function tick(checked) {
    for (const box of boxes()) box.checked = checked;
    count();
  }

  document.addEventListener("change", (event) => {
    if (event.target === all) tick(all.checked);
    else if (event.target.matches("[data-pick]")) count();
  });
  bar.querySelector("[data-unselect]").addEventListener("click", () => tick(false));
  bar.querySelector("[data-copy-ids]").addEventListener("click", (event) => {
    umbelCopy(picked().map((box) => box.value).join("\n"), event.currentTarget);
  });
  document.addEventListener("umbel:changed", count);
  count();
})();
