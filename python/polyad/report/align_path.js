// The path of a document: a point for every bead where its source and target sentences meet, marks
// at the edges for sentences that are in none. DOCUMENTS is put before this file by align.py.
"use strict";
const Path = (() => {
  const root = document.getElementById("path");
  const find = (name) => root.querySelector(`[data-is="${name}"]`);
  const plot = find("plot"), choice = find("choice"), say = find("say");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const BEAD = [0, 114, 178], NULLS = [213, 94, 0];
  const hue = (of) => dark.matches ? of.map((part) => Math.round(part + (255 - part) * 0.35)) : of;
  const shade = (of, part) => `rgba(${hue(of).join(",")},${part})`;
  const LEFT = 46, TOP = 30, EDGE = 12;
  let shown, entries, at = 0, view, size = { width: 0, height: 0 };

  const has = (index) => DOCUMENTS.some((one) => one.index === index);

  // All beads and null beads in document order, as places to go to with the keys.
  function load(index) {
    shown = DOCUMENTS.find((one) => one.index === index);
    choice.value = index;
    const { n, m, spans } = shown, source = new Uint8Array(n), target = new Uint8Array(m);
    entries = [];
    for (let k = 0; k < shown.scores.length; k++) {
      const [a, b, c, d] = spans.slice(4 * k, 4 * k + 4);
      const both = shown.scattered[k]; // the few beads that leave out a sentence in their midst
      if (both) {
        for (const i of both[0]) source[i] = 1;
        for (const j of both[1]) target[j] = 1;
      } else {
        source.fill(1, a, b);
        target.fill(1, c, d);
      }
      entries.push({ bead: k, a, b, c, d, both });
    }
    const beads = entries.length;
    let row = 0, column = 0;
    for (let k = 0; k <= beads; k++) { // a null bead stands before the bead that follows it
      const to = k < beads ? entries[k] : { a: n, c: m };
      for (; row < to.a; row++) if (!source[row]) entries.push({ bead: -1, a: row, b: row + 1, c: to.c, d: to.c, after: k });
      for (; column < to.c; column++)
        if (!target[column]) entries.push({ bead: -1, a: to.a, b: to.a, c: column, d: column + 1, after: k });
    }
    const order = (entry) => entry.bead < 0 ? entry.after - 0.5 : entry.bead;
    entries = entries.map((entry, k) => [entry, k]).sort((x, y) => order(x[0]) - order(y[0]) || x[1] - y[1])
      .map((pair) => pair[0]);
    at = 0;
    whole();
  }

  function whole() {
    view = { x: 0, y: 0, w: Math.max(1, shown.n), h: Math.max(1, shown.m) };
    draw();
  }

  // Come closer to, or go away from, the bead that is chosen.
  function zoom(factor) {
    const { n, m } = shown, entry = entries[at];
    const least = Math.min(12, n), w = Math.min(n, Math.max(least, view.w * factor));
    view = { ...view, w, h: Math.min(m, Math.max(1, w * m / n)) };
    if (entry) follow(entry, true);
    draw();
  }

  function follow(entry, centre = false) {
    const clamp = (value, most) => Math.max(0, Math.min(Math.max(0, most), value));
    const x = (entry.a + entry.b) / 2, y = (entry.c + entry.d) / 2;
    if (centre || x < view.x || x > view.x + view.w || y < view.y || y > view.y + view.h)
      view = { ...view, x: clamp(x - view.w / 2, shown.n - view.w), y: clamp(y - view.h / 2, shown.m - view.h) };
  }

  function go(to) {
    if (!entries.length) return;
    at = Math.max(0, Math.min(entries.length - 1, to));
    follow(entries[at]);
    draw();
    tell();
  }

  function texts(list, from, to, own) {
    const found = list ? list.slice(from, to).filter((text, k) => text && (!own || own.includes(from + k))) : [];
    return found.length ? found : ["–"];
  }

  function tell() {
    const entry = entries[at];
    say.replaceChildren();
    if (!entry) return;
    const add = (text, kind) => {
      const line = document.createElement("p");
      line.className = kind;
      line.dir = "auto";
      line.textContent = text.replace(/[\u0000-\u0008\u000b-\u001f]/g, (c) => String.fromCharCode(0x2400 + c.charCodeAt(0)));
      say.append(line);
    };
    const range = (from, to) => from === to ? "none" : to === from + 1 ? `${to}` : `${from + 1}–${to}`;
    const score = entry.bead < 0 ? null : shown.scores[entry.bead];
    const place = (side, from, to) => entry.both ? entry.both[side].map((k) => k + 1).join(", ") : range(from, to);
    add(`source ${place(0, entry.a, entry.b)} · target ${place(1, entry.c, entry.d)}` +
      (entry.bead < 0 ? " · in no bead"
        : ` · ${score === null ? "no score" : `score ${score.toFixed(3)}`} · ${REVIEW.labels[shown.labels[entry.bead]]}`), "of");
    for (const text of texts(shown.source, entry.a, entry.b, entry.both?.[0])) add(text, "source");
    for (const text of texts(shown.target, entry.c, entry.d, entry.both?.[1])) add(text, "target");
  }

  // ------------------------------------------------------------------------------------- drawing

  const left = (x) => LEFT + EDGE + (x - view.x) / view.w * size.width;
  const down = (y) => TOP + EDGE + (y - view.y) / view.h * size.height;

  function grid(pen, count, begin, span, place, ticks) {
    const every = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000]
      .find((step) => span / step <= ticks) || span;
    for (let k = Math.ceil(begin / every) * every; k <= Math.min(count, begin + span); k += every) {
      if (k > 0) place(k);
    }
  }

  function draw() {
    const scale = window.devicePixelRatio || 1, all = plot.clientWidth;
    if (!all || !shown) return;
    size.width = all - LEFT - EDGE - 6;
    size.height = Math.max(170, Math.min(460, size.width * view.h / view.w));
    const height = size.height + TOP + EDGE + 8;
    plot.style.height = `${height}px`;
    plot.width = Math.round(all * scale);
    plot.height = Math.round(height * scale);
    const pen = plot.getContext("2d");
    pen.setTransform(plot.width / all, 0, 0, plot.height / height, 0, 0);
    pen.font = `11px ${getComputedStyle(root).fontFamily}`;
    const right = LEFT + EDGE + size.width, bottom = TOP + EDGE + size.height;
    pen.fillStyle = colour("--soft");
    pen.strokeStyle = colour("--rule");
    pen.lineWidth = 1;
    pen.textAlign = "center";
    grid(pen, shown.n, view.x, view.w, (k) => {
      const x = left(k - 0.5);
      if (x < LEFT + EDGE || x > right) return;
      pen.globalAlpha = 0.6;
      pen.beginPath();
      pen.moveTo(x, TOP + EDGE);
      pen.lineTo(x, bottom);
      pen.stroke();
      pen.globalAlpha = 1;
      pen.fillText(k, x, TOP - 5);
    }, size.width / 60);
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    grid(pen, shown.m, view.y, view.h, (k) => {
      const y = down(k - 0.5);
      if (y < TOP + EDGE || y > bottom) return;
      pen.globalAlpha = 0.6;
      pen.beginPath();
      pen.moveTo(LEFT + EDGE, y);
      pen.lineTo(right, y);
      pen.stroke();
      pen.globalAlpha = 1;
      pen.fillText(k, LEFT - 6, y);
    }, size.height / 32);
    pen.textBaseline = "alphabetic";
    pen.textAlign = "left";
    pen.fillText("source sentence →", LEFT + EDGE, 12);
    pen.save();
    pen.translate(10, TOP + EDGE);
    pen.rotate(Math.PI / 2);
    pen.fillText("target sentence →", 0, 0);
    pen.restore();
    pen.strokeRect(LEFT + EDGE - 0.5, TOP + EDGE - 0.5, size.width + 1, size.height + 1);

    pen.save();
    pen.beginPath();
    pen.rect(LEFT, TOP, right - LEFT + 1, bottom - TOP + 1);
    pen.clip();
    const cell = Math.min(size.width / view.w, size.height / view.h), least = Math.max(3, Math.min(7, cell));
    pen.strokeStyle = shade(BEAD, 0.35);
    pen.beginPath();
    let begun = false;
    for (const entry of entries) {
      if (entry.bead < 0) continue;
      const x = left((entry.a + entry.b) / 2), y = down((entry.c + entry.d) / 2);
      if (begun) pen.lineTo(x, y); else pen.moveTo(x, y);
      begun = true;
    }
    pen.stroke();
    for (const entry of entries) {
      const [x, y, w, h] = box(entry, least);
      if (x > right || y > bottom || x + w < LEFT || y + h < TOP) continue;
      if (entry.bead < 0) {
        pen.fillStyle = shade(NULLS, 1);
        pen.fillRect(x, y, w, h);
        continue;
      }
      const score = shown.scores[entry.bead];
      pen.fillStyle = shade(BEAD, score === null ? 0.6 : 0.3 + 0.7 * Math.max(0, Math.min(1, score)));
      pen.beginPath();
      pen.roundRect(x, y, w, h, Math.min(2.5, w / 2, h / 2));
      pen.fill();
    }
    pen.restore();
    const entry = entries[at];
    if (entry) {
      const [x, y, w, h] = box(entry, least);
      pen.strokeStyle = colour("--ink");
      pen.lineWidth = 1.8;
      pen.strokeRect(x - 3, y - 3, w + 6, h + 6);
    }
  }

  // Where an entry is drawn: beads as wide and high as their sentences, null beads at an edge.
  function box({ bead, a, b, c, d }, least) {
    const wide = (from, to, place) => {
      const begin = place(from), span = Math.max(least, place(to) - begin - 1);
      return [(begin + place(to)) / 2 - span / 2, span];
    };
    if (bead < 0 && a === b) {
      const [y, h] = wide(c, d, down);
      return [LEFT + 1, y, EDGE - 4, Math.max(2, h - 1)];
    }
    const [x, w] = wide(a, b, left);
    if (bead < 0) return [x, TOP + 1, Math.max(2, w - 1), EDGE - 4];
    const [y, h] = wide(c, d, down);
    return [x, y, w, h];
  }

  function nearest(event) {
    const frame = plot.getBoundingClientRect();
    const px = event.clientX - frame.left, py = event.clientY - frame.top;
    let best = -1, least = Infinity;
    entries.forEach((entry, k) => {
      const [x, y, w, h] = box(entry, 3);
      const dx = Math.max(x - px, 0, px - x - w), dy = Math.max(y - py, 0, py - y - h);
      if (dx * dx + dy * dy < least) [best, least] = [k, dx * dx + dy * dy];
    });
    return least < 40 * 40 ? best : -1;
  }

  function point(event) {
    const to = nearest(event);
    if (to < 0 || to === at) return;
    at = to;
    draw();
    tell();
  }

  const keys = {
    ArrowRight: () => go(at + 1), ArrowDown: () => go(at + 1), ArrowLeft: () => go(at - 1), ArrowUp: () => go(at - 1),
    Home: () => go(0), End: () => go(entries.length - 1), PageDown: () => go(at + 20), PageUp: () => go(at - 20),
    "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), 0: whole,
  };
  plot.addEventListener("keydown", (event) => {
    const act = event.ctrlKey || event.altKey || event.metaKey ? null : keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  plot.addEventListener("pointermove", point);
  plot.addEventListener("pointerdown", point);
  choice.addEventListener("change", () => { load(Number(choice.value)); tell(); });
  find("closer").addEventListener("click", () => zoom(0.5));
  find("farther").addEventListener("click", () => zoom(2));
  find("whole").addEventListener("click", whole);
  window.addEventListener("resize", draw);
  dark.addEventListener("change", draw);

  // Show a bead of a document, from the part above.
  function show(index, bead) {
    load(index);
    const to = entries.findIndex((entry) => entry.bead === bead);
    while (view.w > 60 && view.w > shown.n / 64) view = { ...view, w: view.w / 2, h: view.h / 2 };
    at = to;
    follow(entries[to], true);
    draw();
    tell();
    root.scrollIntoView({ block: "nearest" });
    plot.focus({ preventScroll: true });
  }

  for (const { index, name } of DOCUMENTS) {
    const option = document.createElement("option");
    option.value = index;
    option.textContent = name || `document ${index + 1}`;
    choice.append(option);
  }
  if (DOCUMENTS.length) {
    load(DOCUMENTS[0].index);
    tell();
  }
  return { has, show };
})();
