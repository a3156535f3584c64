/* Small courtesies of forms; all of them work without. */
(() => {
  const off = (field) => {
    field.disabled = true;
    field.dataset.off = "";
  };

  document.addEventListener("submit", (event) => {
    const question = event.target.dataset.confirm;
    if (question && !window.confirm(question)) {
      event.preventDefault();
      return;
    }
    if (event.target.matches("[data-filters]")) {
      // Fields that say nothing stay out of the address, but for one that says: nothing.
      for (const field of event.target.elements) if (field.name && !field.value && !("keep" in field.dataset)) off(field);
    } else if (event.target.method === "post" && event.submitter) {
      // One click, one task.
      setTimeout(off, 0, event.submitter);
    }
  });

  document.addEventListener("change", (event) => {
    const form = event.target.form;
    const choice = event.target.tagName === "SELECT";
    if (choice && form && form.matches("[data-filters]")) form.requestSubmit();
  });

  // A page that comes back from the browser's memory has its fields and buttons again.
  addEventListener("pageshow", () => {
    for (const field of document.querySelectorAll("[data-off]")) {
      field.disabled = false;
      delete field.dataset.off;
    }
  });
})();
