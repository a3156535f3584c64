/* What tests/browser/looks.py has a browser do. */
({
  /* How wide some letters are in each font, and in the font that stands in for it. */
  sizes: (names) => {
    const at = (family) => {
      const context = document.createElement("canvas").getContext("2d");
      context.font = `40px ${family}`;
      return context.measureText("mmmiiiWWW").width;
    };
    return names.map((name) => [at(`"${name}", serif`), at("serif")]);
  },

  /* Puts what is the same each time in the place of what is not. */
  settle: ([words, host]) => {
    for (const name of ["data-ago", "data-lasting", "data-at"])
      for (const ticking of document.querySelectorAll(`[${name}]`)) ticking.removeAttribute(name);
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const rules = words.map(([pattern, instead]) => [new RegExp(pattern, "g"), instead]);
    while (walker.nextNode()) {
      const node = walker.currentNode;
      if (["SCRIPT", "STYLE", "NOSCRIPT"].includes(node.parentElement.tagName)) continue;
      let text = node.data.replaceAll(`@${host}`, "@host");
      for (const [pattern, instead] of rules) text = text.replace(pattern, instead);
      if (text !== node.data) node.data = text;
    }
    // A rate is told from the second minute on.
    for (const cell of document.querySelectorAll("td.flow")) cell.textContent = "1.0 / 1.0";
    document.documentElement.dataset.stream = "live";
    document.documentElement.removeAttribute("data-stale");
    const word = document.querySelector("[data-live-word]");
    if (word) word.textContent = "Live";
    for (const svg of document.querySelectorAll("main svg:not(.icon, .mark)"))
      if (!svg.closest(".pattern")) svg.style.visibility = "hidden";
  },

  /* Makes a picture small, and tells how much of it differs from the one that is kept. */
  compare: async ([seen, kept, near]) => {
    const MARK = [255, 0, 80];
    const read = async (data, scale) => {
      const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
      const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
      const size = [bitmap.width, bitmap.height].map((side) => Math.ceil(side * scale));
      const canvas = new OffscreenCanvas(...size);
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.imageSmoothingQuality = "high";
      context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
      return [canvas, context, context.getImageData(0, 0, canvas.width, canvas.height)];
    };
    const written = async (canvas) => {
      const blob = await canvas.convertToBlob({ type: "image/png" });
      const bytes = new Uint8Array(await blob.arrayBuffer());
      let text = "";
      for (const byte of bytes) text += String.fromCharCode(byte);
      return btoa(text);
    };
    const [canvas, context, pixels] = await read(seen, 0.5);
    for (let at = 0; at < pixels.data.length; at += 1) {
      const step = pixels.data[at] >> 4;
      pixels.data[at] = (step << 4) | step;
    }
    context.putImageData(pixels, 0, 0);
    const small = await written(canvas);
    if (!kept) return { small, different: 1, marked: small };
    const [, , other] = await read(kept, 1);
    const sizes = [other.width, other.height, pixels.width, pixels.height];
    if (sizes[0] !== sizes[2] || sizes[1] !== sizes[3]) return { small, different: 1, marked: small, sizes };
    let count = 0;
    for (let at = 0; at < pixels.data.length; at += 4) {
      const parts = [at, at + 1, at + 2];
      const far = parts.some((part) => Math.abs(pixels.data[part] - other.data[part]) > near);
      if (far) count += 1;
      parts.forEach((part, which) => {
        other.data[part] = far ? MARK[which] : 255 - (255 - other.data[part]) / 4;
      });
    }
    context.putImageData(other, 0, 0);
    return { small, different: count / (pixels.width * pixels.height), marked: await written(canvas) };
  },
})
