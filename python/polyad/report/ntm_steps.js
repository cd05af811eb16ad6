// Steps through a sequence of a Neural Turing Machine: what it saw and said, where its heads looked,
// and its memory, one time step at a time. SEQUENCES is put before this file by ntm_page.py; its
// arrays are bytes in base64: 0 .. 255 for 0 .. 1, and 128 + 127 v / most for a signed v.
"use strict";
(() => {
  const root = document.getElementById("steps");
  const find = (name) => root.querySelector(`[data-is="${name}"]`);
  const [slider, count, say, choice, play] = ["slider", "count", "say", "choice", "play"].map(find);
  const [story, looks, memory] = ["story", "looks", "memory"].map(find);
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const READ = [0, 114, 178], WRITE = [213, 94, 0];
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const shade = (of, part) => `rgba(${of.join(",")},${part})`;
  let shown, at = 0, timer = null;

  function load(index) {
    const raw = SEQUENCES[index];
    shown = { ...raw };
    for (const name of ["inputs", "targets", "outputs", "mask", "weights", "memory"])
      if (raw[name]) shown[name] = bytes(raw[name]);
    slider.max = shown.steps - 1;
    go(Math.min(at, shown.steps - 1));
  }

  function go(step) {
    at = Math.max(0, Math.min(shown.steps - 1, step));
    slider.value = at;
    count.textContent = `step ${at + 1} of ${shown.steps}`;
    draw();
  }

  // A canvas as many device pixels wide as it is shown, so that cells have sharp edges.
  function surface(canvas, height) {
    const scale = window.devicePixelRatio || 1, width = canvas.clientWidth;
    canvas.style.height = `${height}px`;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    const pen = canvas.getContext("2d");
    pen.setTransform(canvas.width / width, 0, 0, canvas.height / height, 0, 0);
    pen.font = `600 12px ${getComputedStyle(root).fontFamily}`;
    pen.textBaseline = "middle";
    return [pen, width];
  }

  const LEFT = 58; // where names stand

  function drawStory() {
    const { steps, channels, outs } = shown;
    const strips = [["input", "inputs", channels], ["target", "targets", outs], ["output", "outputs", outs]];
    const cells = strips.reduce((sum, strip) => sum + strip[2], 0);
    const tall = Math.max(3, Math.min(11, 260 / cells)), gap = 9;
    const [pen, width] = surface(story, cells * tall + gap * 3 + 4);
    const wide = (width - LEFT - 1) / steps;
    const ink = colour("--ink"), rule = colour("--rule"), soft = colour("--soft");
    const line = wide > 5 ? 0.8 : 0;
    let top = 2;
    for (const [name, key, rows] of strips) {
      pen.fillStyle = soft;
      pen.fillText(name, 0, top + rows * tall / 2);
      for (let t = 0; t < steps; t++) {
        const counts = key === "inputs" || shown.mask[t];
        if (!counts) {
          pen.fillStyle = rule;
          pen.globalAlpha = 0.45;
          pen.fillRect(LEFT + t * wide, top, wide, rows * tall);
          pen.globalAlpha = 1;
          continue;
        }
        for (let row = 0; row < rows; row++) {
          const byte = shown[key][t * rows + row];
          const value = key === "inputs" ? (byte - 128) / 127 : byte / 255;
          if (Math.abs(value) < 0.01) continue;
          pen.fillStyle = shade(value > 0 ? hue(READ) : hue(WRITE), Math.min(1, Math.abs(value)));
          pen.fillRect(LEFT + t * wide, top + row * tall, wide - line, tall - line);
        }
        if (key === "outputs")
          for (let row = 0; row < rows; row++) {
            const wrong = (shown.outputs[t * rows + row] > 127) !== (shown.targets[t * rows + row] > 127);
            if (!wrong) continue;
            pen.fillStyle = shade(hue(WRITE), 1);
            pen.beginPath();
            pen.arc(LEFT + (t + 0.5) * wide - line / 2, top + (row + 0.5) * tall - line / 2,
              Math.max(1.4, Math.min(wide, tall) * 0.28), 0, 7);
            pen.fill();
          }
      }
      pen.strokeStyle = rule;
      pen.lineWidth = 1;
      pen.strokeRect(LEFT - 0.5, top - 0.5, steps * wide + 1, rows * tall + 1);
      top += rows * tall + gap;
    }
    pen.strokeStyle = ink;
    pen.lineWidth = 1.6;
    pen.strokeRect(LEFT + at * wide - 1, 1, wide + 1.4, top - gap + 1);
  }

  // Colours keep their distance from a dark ground.
  const hue = (of) => dark.matches ? of.map((part) => Math.round(part + (255 - part) * 0.3)) : of;

  function drawLooks() {
    if (!shown.weights) return;
    const { heads, rows } = shown, tall = 44, gap = 8;
    const [pen, width] = surface(looks, heads.length * (tall + gap));
    const wide = (width - LEFT - 1) / rows;
    heads.forEach(([name, writes], k) => {
      const top = k * (tall + gap) + 2, base = top + tall - 2;
      const of = hue(writes ? WRITE : READ);
      pen.fillStyle = shade(of, 1);
      pen.fillText(name, 0, top + tall / 2);
      pen.fillStyle = colour("--rule");
      pen.fillRect(LEFT, base, rows * wide, 1);
      const full = Math.max(0.05, most(k)[1]); // what is spread over many rows is still to be seen
      for (let row = 0; row < rows; row++) {
        const part = shown.weights[(at * heads.length + k) * rows + row] / 255 / full;
        if (part < 0.02) continue;
        pen.fillStyle = shade(of, 0.35 + 0.65 * part * Math.min(1, 2 * full));
        pen.fillRect(LEFT + row * wide, base - part * (tall - 4), Math.max(1, wide - (wide > 3 ? 0.6 : 0)),
          part * (tall - 4));
      }
    });
  }

  function drawMemory() {
    if (!shown.memory) return;
    const { rows, width: columns, heads } = shown, tall = Math.max(3, Math.min(8, 170 / columns));
    const [pen, width] = surface(memory, columns * tall + 22);
    const wide = (width - LEFT - 1) / rows, size = rows * columns;
    const image = new ImageData(rows, columns), up = hue(READ), down = hue(WRITE);
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++) {
        const value = (shown.memory[(at + 1) * size + row * columns + column] - 128) / 127;
        const of = value > 0 ? up : down, to = 4 * (column * rows + row);
        image.data.set([of[0], of[1], of[2], Math.min(255, 255 * Math.abs(value) ** 0.8)], to);
      }
    const small = document.createElement("canvas");
    small.width = rows;
    small.height = columns;
    small.getContext("2d").putImageData(image, 0, 0);
    pen.imageSmoothingEnabled = false;
    pen.drawImage(small, LEFT, 1, rows * wide, columns * tall);
    pen.strokeStyle = colour("--rule");
    pen.strokeRect(LEFT - 0.5, 0.5, rows * wide + 1, columns * tall + 1);
    heads.forEach(([, writes], k) => {
      const [row, part] = most(k);
      if (part < 0.3) return;
      pen.strokeStyle = shade(hue(writes ? WRITE : READ), 1);
      pen.lineWidth = 1.6;
      pen.strokeRect(LEFT + row * wide - 0.8, 1, wide + 1.6, columns * tall);
    });
    pen.fillStyle = colour("--soft");
    pen.fillText("memory", 0, columns * tall / 2);
    pen.font = pen.font.replace("600 12px", "400 11px");
    pen.textAlign = "center";
    const every = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512].find((n) => n * wide > 34) || 1024;
    for (let row = 0; row < rows; row += every)
      pen.fillText(row, LEFT + (row + 0.5) * wide, columns * tall + 13);
  }

  // The row to which head k gives most at this step, and how much.
  function most(k) {
    const { heads, rows, weights } = shown, from = (at * heads.length + k) * rows;
    let best = 0;
    for (let row = 1; row < rows; row++) if (weights[from + row] > weights[from + best]) best = row;
    return [best, weights[from + best] / 255];
  }

  function tell() {
    const { outs, mask, heads } = shown;
    const parts = [];
    if (mask[at]) {
      let wrong = 0;
      for (let row = 0; row < outs; row++)
        wrong += (shown.outputs[at * outs + row] > 127) !== (shown.targets[at * outs + row] > 127);
      parts.push(wrong ? `It answers; ${wrong} of ${outs} bits are wrong.`
        : `It answers; ${outs === 1 ? "the bit is" : `all ${outs} bits are`} right.`);
    } else parts.push("It watches: this step's output does not count.");
    (heads || []).forEach(([name, writes], k) => {
      const [row, part] = most(k);
      const head = name.replace(/( \d+)?$/, " head$1");
      parts.push(`The ${head} ${writes ? "writes to" : "reads"} ` +
        (part < 0.3 ? "many rows at once" : `row ${row} (${Math.round(100 * part)} %)`) + ".");
    });
    say.textContent = parts.join(" ");
  }

  function draw() {
    drawStory();
    drawLooks();
    drawMemory();
    tell();
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "▶";
    play.setAttribute("aria-label", "play");
  }

  function toggle() {
    if (timer) return stop();
    if (at === shown.steps - 1) go(0);
    play.textContent = "❚❚";
    play.setAttribute("aria-label", "pause");
    const pause = Math.max(60, Math.min(350, 12000 / shown.steps));
    timer = setInterval(() => (at < shown.steps - 1 ? go(at + 1) : stop()), pause);
  }

  slider.addEventListener("input", () => { stop(); go(Number(slider.value)); });
  find("back").addEventListener("click", () => { stop(); go(at - 1); });
  find("on").addEventListener("click", () => { stop(); go(at + 1); });
  play.addEventListener("click", toggle);
  choice.addEventListener("change", () => { stop(); load(choice.selectedIndex); });
  const seek = (event) => {
    if (event.type === "pointermove" && !event.buttons) return;
    stop();
    const box = story.getBoundingClientRect();
    go(Math.floor((event.clientX - box.left - LEFT) / (box.width - LEFT - 1) * shown.steps));
  };
  story.addEventListener("pointerdown", seek);
  story.addEventListener("pointermove", seek);
  window.addEventListener("resize", draw);
  dark.addEventListener("change", draw);
  load(0);
  const first = shown.mask.indexOf(1);
  go(first < 0 ? 0 : Math.min(shown.steps - 1, first + Math.floor((shown.steps - first) / 3)));
})();
