// What the decoder of a CapsNet draws when one number of a capsule changes: a grid with a row for
// each number and a column for each change, of the class that is chosen. DIMENSIONS is put before
// this file by capsnet_page.py; its images are bytes in base64, 0 .. 255, by class, number, change.
"use strict";
(() => {
  const root = document.getElementById("dimensions");
  const find = (name) => root.querySelector(`[data-is="${name}"]`);
  const [choice, grid, large, say] = ["choice", "grid", "large", "say"].map(find);
  const { labels, size, amounts, height, width, images } = DIMENSIONS;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const count = amounts.length, middle = amounts.indexOf(0), LEFT = 26, RIGHT = 12, TOP = 22;
  let bytes, at = [0, count - 1], cell = 0, tall = 0;

  // One picture on a canvas of its own size, ink on paper.
  function picture(number, change) {
    const canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = height;
    const pen = canvas.getContext("2d"), pixels = pen.createImageData(width, height);
    const from = (number * count + change) * height * width;
    for (let k = 0; k < height * width; k++) {
      pixels.data.fill(255 - bytes[from + k], 4 * k, 4 * k + 3);
      pixels.data[4 * k + 3] = 255;
    }
    pen.putImageData(pixels, 0, 0);
    return canvas;
  }

  function surface(canvas, wide, high) {
    const scale = window.devicePixelRatio || 1;
    canvas.style.width = `${wide}px`;
    canvas.style.height = `${high}px`;
    canvas.width = Math.round(wide * scale);
    canvas.height = Math.round(high * scale);
    const pen = canvas.getContext("2d");
    pen.setTransform(canvas.width / wide, 0, 0, canvas.height / high, 0, 0);
    pen.imageSmoothingEnabled = false;
    return pen;
  }

  const signed = (amount) => (amount > 0 ? "+" : amount < 0 ? "\u2212" : "") + Math.abs(amount).toFixed(2);

  function draw() {
    const room = Math.min(root.clientWidth - 34, 560);
    cell = Math.max(18, Math.floor((room - LEFT - RIGHT) / count));
    tall = Math.round(cell * height / width);
    const pen = surface(grid, LEFT + count * cell + RIGHT, TOP + size * tall);
    pen.font = `11px ${getComputedStyle(root).fontFamily}`;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.fillStyle = colour("--soft");
    amounts.forEach((amount, k) => {
      if (cell >= 34 || k === 0 || k === middle || k === count - 1)
        pen.fillText(signed(amount), LEFT + (k + 0.5) * cell, TOP / 2);
    });
    for (let d = 0; d < size; d++) {
      pen.fillStyle = colour("--soft");
      pen.fillText(d + 1, LEFT / 2, TOP + (d + 0.5) * tall);
      for (let k = 0; k < count; k++)
        pen.drawImage(picture(d, k), LEFT + k * cell + 1, TOP + d * tall + 1, cell - 2, tall - 2);
    }
    show();
  }

  function show() {
    const [number, change] = at, side = 150;
    const pen = surface(large, side, Math.round(side * height / width));
    pen.drawImage(picture(number, change), 0, 0, side, Math.round(side * height / width));
    say.textContent = amounts[change] === 0
      ? `The capsule of class ${choice.value} as it is.`
      : `Number ${number + 1} of the capsule of class ${choice.value}, changed by ${signed(amounts[change])}.`;
  }

  function pointed(event) {
    const box = grid.getBoundingClientRect();
    const change = Math.floor((event.clientX - box.left - LEFT) / cell);
    const number = Math.floor((event.clientY - box.top - TOP) / tall);
    if (change < 0 || change >= count || number < 0 || number >= size) return;
    at = [number, change];
    show();
  }

  function load() {
    bytes = Uint8Array.from(atob(images[labels.indexOf(choice.value)]), (c) => c.charCodeAt(0));
    draw();
  }

  choice.addEventListener("change", load);
  grid.addEventListener("pointermove", pointed);
  grid.addEventListener("pointerdown", pointed);
  grid.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    at = [Math.max(0, Math.min(size - 1, at[0] + step[0])), Math.max(0, Math.min(count - 1, at[1] + step[1]))];
    show();
  });
  window.addEventListener("resize", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  load();
})();
