// Judging beads: shows one after the other, takes verdicts from keys and buttons, keeps them in the
// browser and in files, and says how right the alignment is. REVIEW is put before this file by
// align.py; the figures are those of polyad.align.review, which tests compare.
"use strict";
const Judge = (() => {
  const root = document.getElementById("judge");
  const find = (name) => root.querySelector(`[data-is="${name}"]`);
  const say = find("say"), note = find("note"), file = find("file");
  const { items, bands } = REVIEW, key = `polyad-review-${REVIEW.digest}`;
  const VERDICTS = ["correct", "partly", "wrong", "skipped"];
  const fresh = () => ({ at: 0, done: [], verdicts: items.map(() => null), notes: items.map(() => "") });
  let state = fresh();

  // ------------------------------------------------------------------------------- what is shown

  // Characters that would be invisible, or would end the text for some tools, are drawn.
  const visible = (text) => text.replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, (c) =>
    c === "\u007f" ? "\u2421" : String.fromCharCode(0x2400 + c.charCodeAt(0)));

  function sentence(place, number, text, kind) {
    const line = document.createElement("p");
    line.className = kind;
    line.dir = "auto";
    const count = document.createElement("span");
    count.className = number > 998 ? "number long" : "number";
    count.textContent = number + 1;
    line.append(count, visible(text));
    place.append(line);
  }

  function side(place, { own, lines }) {
    place.replaceChildren();
    for (const [number, text] of lines) {
      // A file may join the texts of a bead at its first sentence, and lack those that are in none.
      if (text || number === own[0]) sentence(place, number, text, own.includes(number) ? "own" : "near");
    }
  }

  const judged = () => state.verdicts.filter((verdict) => verdict).length;

  function show() {
    const item = items[state.at], verdict = state.verdicts[state.at];
    side(find("source"), item.source);
    side(find("target"), item.target);
    const told = [`bead ${state.at + 1} of ${items.length}`];
    if (item.name) told.push(item.name);
    if (verdict) // a score that is seen first would lead the judge
      told.push(item.score === null ? "no score" : `score ${item.score.toFixed(3)}`, `found by ${item.label}`);
    find("place").textContent = visible(told.join(" · "));
    for (const button of root.querySelectorAll("[data-verdict]"))
      button.setAttribute("aria-pressed", String(button.dataset.verdict === verdict));
    note.value = state.notes[state.at];
    find("progress").max = items.length;
    find("progress").value = judged();
    find("count").textContent = `${judged()} of ${items.length}`;
    find("undo").disabled = !state.done.length;
    find("find").disabled = !Path.has(item.document);
    table();
  }

  function tell(text, bad = false) {
    say.textContent = text;
    say.classList.toggle("bad", bad);
  }

  // ----------------------------------------------------------------------------- what is decided

  function keep() {
    try {
      localStorage.setItem(key, JSON.stringify(state));
    } catch {
      tell("This browser keeps nothing for this page: save the judgements before you close it.", true);
    }
  }

  const go = (to) => {
    state.at = Math.max(0, Math.min(items.length - 1, to));
    keep();
    show();
  };

  function nextOpen() {
    for (let k = 1; k <= items.length; k++) {
      const to = (state.at + k) % items.length;
      if (!state.verdicts[to]) return to;
    }
    return -1;
  }

  function decide(verdict) {
    state.done.push([state.at, state.verdicts[state.at]]);
    state.verdicts[state.at] = verdict;
    tell("");
    const to = nextOpen();
    if (to < 0) tell("All beads of the sample are judged. Save the judgements to keep them.");
    go(to < 0 ? state.at : to);
  }

  function undo() {
    const last = state.done.pop();
    if (!last) return;
    state.verdicts[last[0]] = last[1];
    tell("");
    go(last[0]);
  }

  // Verdicts as they are saved: whole enough to be read without the alignment.
  function told() {
    return {
      kind: REVIEW.kind, format_version: REVIEW.format_version, title: REVIEW.title,
      digest: REVIEW.digest, seed: REVIEW.seed, bands,
      judgements: items.map((item, k) => ({
        document: item.document, name: item.name,
        source: item.source.own, target: item.target.own,
        score: item.score, label: item.label, band: item.band,
        verdict: state.verdicts[k], note: state.notes[k],
      })),
    };
  }

  function save() {
    const blob = new Blob([JSON.stringify(told(), null, 1) + "\n"], { type: "application/json" });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = "judgements.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    tell(`Saved ${judged()} judgements as judgements.json; 'polyad review --judgements' prints them.`);
  }

  // Takes over what a file says; nothing changes if it is not of this sample.
  function load(text) {
    let read;
    try {
      read = JSON.parse(text);
    } catch (error) {
      return tell(`This file is not JSON: ${error.message}`, true);
    }
    if (!read || read.kind !== REVIEW.kind) return tell("This file holds no judgements.", true);
    if (read.format_version !== REVIEW.format_version)
      return tell(`Format ${read.format_version} of judgements is not known here.`, true);
    if (read.digest !== REVIEW.digest) return tell("These are judgements of another sample.", true);
    const found = Array.isArray(read.judgements) ? read.judgements : [];
    if (found.length !== items.length ||
        !found.every((one) => one && (one.verdict === null || VERDICTS.includes(one.verdict))))
      return tell("This file is damaged: its judgements are not those of this sample.", true);
    found.forEach((one, k) => {
      if (one.verdict) state.verdicts[k] = one.verdict;
      if (one.note) state.notes[k] = String(one.note);
    });
    state.done = [];
    const to = state.verdicts.indexOf(null);
    go(to < 0 ? 0 : to);
    tell(`Loaded; ${judged()} of ${items.length} beads are judged.`);
  }

  // --------------------------------------------------------------------------- how right it is

  const Z = 1.959963984540054;

  function wilson(right, count, beads) {
    if (!count) return null;
    const share = right / count;
    if (count >= beads) return [share, share, share];
    const n = count * (beads - 1) / (beads - count), wide = 1 + Z * Z / n;
    const centre = (share + Z * Z / (2 * n)) / wide;
    const half = Z / wide * Math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n));
    return [share, Math.min(share, centre - half), Math.max(share, centre + half)];
  }

  function stratified(rows, right) {
    const known = rows.filter((row) => row.judged);
    if (!known.length) return null;
    const total = known.reduce((sum, row) => sum + row.beads, 0);
    let share = 0, below = 0, above = 0;
    for (const row of known) {
      const weight = row.beads / total;
      const [p, low, high] = wilson(right(row), row.judged, row.beads);
      share += weight * p;
      below += (weight * (p - low)) ** 2;
      above += (weight * (high - p)) ** 2;
    }
    return [share, Math.max(0, share - Math.sqrt(below)), Math.min(1, share + Math.sqrt(above))];
  }

  function accuracy() {
    const rows = bands.map((band) => ({ ...band, correct: 0, partly: 0, wrong: 0, skipped: 0 }));
    items.forEach((item, k) => { if (state.verdicts[k]) rows[item.band][state.verdicts[k]]++; });
    const strict = (row) => row.correct, lax = (row) => row.correct + row.partly;
    for (const row of rows) row.judged = row.correct + row.partly + row.wrong;
    const scored = rows.filter((row) => row.low !== null);
    for (const row of rows) {
      const up = scored.filter((other) => row.low !== null && other.low >= row.low);
      row.strict = wilson(row.correct, row.judged, row.beads);
      row.lax = wilson(lax(row), row.judged, row.beads);
      row.upwards = stratified(up, strict);
      row.kept = up.reduce((sum, other) => sum + other.beads, 0);
    }
    const sum = (name) => rows.reduce((total, row) => total + row[name], 0);
    return { rows, all: { beads: sum("beads"), judged: sum("judged"), correct: sum("correct"),
      partly: sum("partly"), wrong: sum("wrong"), strict: stratified(rows, strict), lax: stratified(rows, lax) } };
  }

  function table() {
    const { rows, all } = accuracy(), body = document.querySelector("#accuracy tbody");
    const percent = (x) => (100 * x).toFixed(1);
    const cell = (line, text, interval) => {
      const made = line.insertCell();
      made.append(text);
      if (interval) {
        const limits = document.createElement("i");
        limits.textContent = `${percent(interval[1])}–${percent(interval[2])}`;
        made.append(limits);
      }
    };
    const estimate = (line, of) => cell(line, of ? percent(of[0]) : "–", of);
    body.replaceChildren();
    for (const row of [...rows].reverse()) {
      const line = body.insertRow();
      cell(line, row.low === null ? "no score" : `${row.low.toFixed(3)}–${row.high.toFixed(3)}`);
      for (const name of ["beads", "judged", "correct", "partly", "wrong"]) cell(line, String(row[name]));
      estimate(line, row.strict);
      estimate(line, row.lax);
      cell(line, row.low === null ? "–" : String(row.kept));
      estimate(line, row.upwards);
    }
    const line = body.insertRow();
    line.className = "all";
    cell(line, "all, weighted");
    for (const name of ["beads", "judged", "correct", "partly", "wrong"]) cell(line, String(all[name]));
    estimate(line, all.strict);
    estimate(line, all.lax);
    cell(line, "");
    cell(line, "");
  }

  // ------------------------------------------------------------------------------ keys and clicks

  const keys = {
    1: () => decide("correct"), 2: () => decide("partly"), 3: () => decide("wrong"), s: () => decide("skipped"),
    u: undo, ArrowLeft: () => go(state.at - 1), ArrowRight: () => go(state.at + 1), n: () => note.focus(),
    j: () => { const to = nextOpen(); if (to >= 0) go(to); },
    g: () => { if (!find("find").disabled) Path.show(items[state.at].document, items[state.at].place); },
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
    if (event.target === note) {
      if (event.key === "Escape") note.blur();
      return;
    }
    if (event.target.closest("select, input, #path canvas")) return;
    const letter = /^Key[A-Z]$/.test(event.code) && !/^[a-z]$/i.test(event.key);
    const name = letter ? event.code[3] : event.key; // a keyboard may write Hangul or Cyrillic
    const act = keys[name.length === 1 ? name.toLowerCase() : name];
    if (!act || event.repeat && !event.key.startsWith("Arrow")) return;
    event.preventDefault();
    act();
  });
  for (const button of root.querySelectorAll("[data-verdict]"))
    button.addEventListener("click", () => decide(button.dataset.verdict));
  for (const [name, act] of [["undo", undo], ["back", keys.ArrowLeft], ["on", keys.ArrowRight],
    ["next", keys.j], ["find", keys.g], ["save", save], ["load", () => file.click()]])
    find(name).addEventListener("click", act);
  note.addEventListener("input", () => { state.notes[state.at] = note.value; keep(); });
  file.addEventListener("change", async () => {
    if (file.files.length) load(await file.files[0].text());
    file.value = "";
  });
  find("clear").addEventListener("click", () => {
    if (!confirm("Forget all judgements and notes of this page?")) return;
    state = fresh();
    tell("");
    go(0);
  });

  function begin() {
    try {
      const kept = JSON.parse(localStorage.getItem(key) || "null");
      if (kept && kept.verdicts.length === items.length && kept.notes.length === items.length) state = kept;
    } catch { /* nothing was kept that can be used */ }
    show();
  }

  return { begin, accuracy, told, load };
})();
Judge.begin();
