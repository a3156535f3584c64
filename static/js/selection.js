/* Rows that are ticked stay ticked while they change: one by one, from the last to this one with
   Shift, all that are shown by the box above them, and then all that match. A bar with what can be
   done with them takes the place of the filters. Without this it is a plain form. */
(() => {
  const bar = document.querySelector("[data-selection]");
  const all = document.querySelector("[data-pick-all]");
  if (!bar || !all) return;
  const matching = bar.querySelector("[data-matching]");
  const copy = bar.querySelector("[data-copy-ids]");
  const said = bar.querySelector("[data-selected]");
  const total = Number(bar.dataset.selection);
  let last = null; // the box that was ticked last: where a range begins
  let whole = false; // all that match, also those that are not shown

  const boxes = () => [...document.querySelectorAll("[data-pick]")];
  const picked = () => boxes().filter((box) => box.checked);

  function show() {
    const number = picked().length;
    const shown = boxes().length;
    whole &&= number === shown;
    const text = whole ? said.dataset.all : said.dataset.selected.replace("{}", number);
    if (said.textContent !== text) said.textContent = text;
    bar.toggleAttribute("data-none", number === 0);
    matching.hidden = whole || number < shown || total <= shown;
    copy.hidden = whole;
    for (const button of bar.querySelectorAll("[data-few]")) button.hidden = whole;
    all.checked = number > 0 && number === shown;
    all.indeterminate = number > 0 && number < shown;
  }

  function tick(checked) {
    for (const box of boxes()) box.checked = checked;
    last = null;
    show();
  }

  function range(box) {
    const found = boxes();
    const [from, to] = [found.indexOf(last), found.indexOf(box)].sort((a, b) => a - b);
    if (from >= 0) for (const one of found.slice(from, to + 1)) one.checked = box.checked;
  }

  document.addEventListener("click", (event) => {
    if (!event.target.matches("[data-pick]")) return;
    if (event.shiftKey && last) range(event.target);
    last = event.target;
    show();
  });
  all.addEventListener("change", () => tick(all.checked));
  matching.addEventListener("click", () => {
    whole = true;
    show();
    bar.querySelector("[name=format]").focus();
  });
  bar.querySelector("[data-unselect]").addEventListener("click", () => {
    tick(false);
    all.focus();
  });
  copy.addEventListener("click", () => umbelCopy(picked().map((box) => box.value).join("\n"), copy));
  bar.addEventListener("formdata", ({ formData }) => {
    if (!whole) return;
    formData.delete("id");
    for (const field of bar.querySelectorAll("[type=hidden]")) formData.set(field.name, field.value);
  });
  addEventListener("pageshow", show);

  all.hidden = false;
  show();
})();
