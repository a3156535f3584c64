/* Rows of lists change many times a second and hold nothing that htmx looks after. They come as an
   event of their own and are matched node by node: a fifth of what a swap of each costs. What a
   reader has done to a row stays: its tick, the focus, a selection of text. */
(() => {
  const isTicking = (node) => node.nodeName === "TIME" && ("ago" in node.dataset || "lasting" in node.dataset);

  function matchAttributes(node, fresh) {
    let same = true;
    for (const { name, value } of fresh.attributes) {
      if (node.getAttribute(name) === value) continue;
      node.setAttribute(name, value);
      same = false;
    }
    if (node.attributes.length === fresh.attributes.length) return same;
    for (const { name } of [...node.attributes]) if (!fresh.hasAttribute(name)) node.removeAttribute(name);
    return false;
  }

  function match(node, fresh) {
    if (node.isEqualNode(fresh)) return;
    if (node.nodeName !== fresh.nodeName) return node.replaceWith(fresh);
    if (node.nodeType !== Node.ELEMENT_NODE) {
      if (node.data !== fresh.data) node.data = fresh.data;
      return;
    }
    // The text of a moment is not as it came: times.js makes an age of it.
    if (matchAttributes(node, fresh) && isTicking(fresh)) return;
    const before = [...node.childNodes];
    const after = [...fresh.childNodes];
    after.forEach((child, place) => (place < before.length ? match(before[place], child) : node.append(child)));
    for (const child of before.slice(after.length)) child.remove();
  }

  document.addEventListener("rows", (event) => {
    const came = document.createElement("template");
    came.innerHTML = event.detail.data;
    for (const fresh of came.content.children) {
      const row = document.getElementById(fresh.id);
      if (row) match(row, fresh);
    }
  });
})();
