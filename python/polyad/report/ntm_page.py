"""The HTML page of a Neural Turing Machine's run."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyad.report.ntm import Record
from polyad.report.page import Page, Picture, flat
from polyad.run import Run

STEP_BYTES = 700_000
"""The page steps through sequences whose memory, over all steps, is at most so many numbers."""

_VERBS = {
    "copy": "learns to copy",
    "repeat-copy": "learns to copy repeatedly",
    "associative-recall": "learns to recall by association",
    "n-grams": "learns to predict bits",
    "priority-sort": "learns to sort",
}
_TASKS = {
    "copy": "It sees vectors of random bits, then a delimiter (the last channel), and is asked for "
    "the same vectors again.",
    "repeat-copy": "It sees vectors of random bits, then a delimiter with a number, and is asked "
    "for so many copies of the vectors, and an end marker (the last output) after them.",
    "associative-recall": "It sees items of several vectors, each after a delimiter, then one of "
    "them again between two other delimiters, and is asked for the item that came after it.",
    "n-grams": "It sees bits one by one and gives the probability that the next is 1. How likely "
    "that is depends on the bits just before, in a way that every sequence draws anew.",
    "priority-sort": "It sees vectors, each with a priority (the channel below the bits; blue is "
    "above zero, vermilion below), and is asked for the first of them in falling order.",
}


_LEARNING = Picture(
    "learning",
    "While it learned",
    "Bits a sequence against sequences of training, beside figures of the paper",
    "Bits a sequence: the cross-entropy of all target bits of a sequence, here of held-out ones. "
    "Grey marks are read off the printed learning curves of Graves, Wayne and Danihelka (2014), "
    "good to a factor of about two; one at the lower end is a curve that is about 0 from there on.",
)
_SEQUENCE = Picture(
    "sequence",
    "One sequence",
    "Input, target and output of a sequence over time",
    "Time runs to the right, a row per channel. Steps whose output does not count are grey. A dot "
    "marks a wrong bit; where there is none, all are right.",
)
_PREDICTED = Picture(
    "sequence",
    "One sequence",
    "The probability given to a 1, and the bits that came, over time",
    "The curve is the probability that the next bit is 1; the points are the bits that came, "
    "vermilion where the other was likelier. Even the best estimator is often surprised.",
)
_HEADS = Picture(
    "heads",
    "Where the heads looked",
    "The weightings of the heads over time",
    "The same sequence. Under the input, a row per place in memory (only those that were used): "
    "how much of its attention a head gave it. The places form a ring: 0 follows the last. A head "
    "that writes is vermilion, one that reads blue.",
)
_MEMORY = Picture(
    "memory",
    "The memory, before and after",
    "The contents of the memory before the sequence, when the answer begins, and after it",
    "A column per row of memory that was used; blue is above zero, vermilion below. What stands "
    "there when the answer begins is all that the heads can read.",
)
_LONGER = Picture(
    "longer",
    "Longer than any it was trained on",
    "Targets and outputs of longer sequences",
    "Only the steps that count. A dot marks a wrong bit.",
)


def write_page(run: Run, records: Sequence[Record]) -> None:
    """Write report.html: figures, pictures, a sequence to step through, settings.

    Args:
        run: The run.
        records: The sequences that the page can step through.
    """
    metrics = run.metrics()
    task = str(run.setting("task", dict).get("name"))
    network = run.setting("network", dict)
    with_memory = network.get("network", "ntm") == "ntm"
    what = "A Neural Turing Machine" if with_memory else "An LSTM"
    page = Page(f"{what} {_VERBS.get(task, 'learns')}", _lead(with_memory))
    page.text(_TASKS.get(task, ""))
    page.tiles(_tiles(metrics, task))
    for picture in (_LEARNING, _PREDICTED if task == "n-grams" else _SEQUENCE, _HEADS):
        page.section(run, picture)
    steps = _chosen(records)
    if steps:
        page.heading("Step through it")
        page.text(
            "Drag the slider, or press play: what the machine saw and said at each step, where its "
            "heads looked, and what then stood in its memory."
            if with_memory
            else "Drag the slider: what the network saw and said at each step."
        )
        page.interactive(*_steps(steps))
    page.section(run, _MEMORY)
    page.heading(_LONGER.title if run.picture("longer").is_file() else "Other sizes")
    table = run.table("longer")
    if table is not None:
        page.table(*table)
    if run.picture("longer").is_file():
        page.picture(run.picture("longer"), _LONGER.alternative, _LONGER.caption)
    page.heading("Go on")
    page.text("The folder of this page is a run; these commands read it.")
    page.command(
        f"polyad evaluate {run.path} --sequences 10000\ntensorboard --logdir {run.file('logs')}"
    )
    page.folded(
        "Every figure (metrics.json)",
        [(name, f"{value:,.6g}") for name, value in metrics.items()],
    )
    page.folded("Settings (settings.json)", list(flat(run.settings)))
    page.save(run.file("report.html"))


def _chosen(records: Sequence[Record]) -> list[Record]:
    """Return the first sequence and the longest, as far as the page has room for them."""
    fitting = [r for r in records if r.memory is None or r.memory.size <= STEP_BYTES]
    longest = max(fitting, key=lambda record: len(record.inputs), default=None)
    return [r for i, r in enumerate(fitting) if i == 0 or r is longest]


def _lead(with_memory: bool) -> str:
    if not with_memory:
        return (
            "A recurrent network without a memory beside it, trained on the same sequences: what a "
            "Neural Turing Machine is compared with."
        )
    return (
        "A network with a memory beside it: at every step its heads choose rows of the memory by "
        "content or by moving on from where they were, erase and add to some, and read others. "
        "Nobody tells it how to use them; it learns that from examples."
    )


def _tiles(metrics: Mapping[str, float], task: str) -> list[tuple[str, str]]:
    tiles = []
    for name, form, text in (
        ("bits_per_sequence", "{:.4g}", "bits a fresh sequence"),
        ("bits_per_sequence_optimal", "{:.4g}", "bits for the best estimator there is"),
        ("wrong_bits_per_sequence", "{:.4g}", "wrong bits a fresh sequence"),
        ("wrong_bits_per_sequence_length_120", "{:.4g}", "wrong bits at length 120, of 960"),
        ("sequences_train", "{:,.0f}", "sequences of training"),
        ("seconds_train", "{:,.1f} s", "of training"),
        ("parameters", "{:,.0f}", "parameters"),
    ):
        if name in metrics and not (task == "n-grams" and name.startswith("wrong")):
            tiles.append((form.format(metrics[name]), text))
    return tiles


def _steps(records: Sequence[Record]) -> tuple[str, str, str]:
    """Return body, style and script of the part that steps through sequences."""
    options = "".join(
        f"<option>{escape(record.label)} ({len(record.inputs)} steps)</option>"
        for record in records
    )
    keys = (("back", "◀", "a step back"), ("play", "▶", "play"), ("on", "▶|", "a step on"))
    buttons = "".join(
        f'<button type="button" data-is="{name}" aria-label="{text}">{sign}</button>'
        for name, sign, text in keys
    )
    with_memory = records[0].weights is not None
    parts = (
        '<h3>Where the heads look</h3><canvas data-is="looks"></canvas>'
        "<h3>The memory after the step: across its rows, down their numbers</h3>"
        '<canvas data-is="memory"></canvas>'
        if with_memory
        else '<canvas data-is="looks" hidden></canvas><canvas data-is="memory" hidden></canvas>'
    )
    body = (
        '<div class="steps" id="steps"><div class="bar">'
        f'<select data-is="choice" aria-label="sequence">{options}</select>{buttons}'
        '<input data-is="slider" type="range" min="0" value="0" step="1" aria-label="time step">'
        '<output data-is="count"></output></div><p class="say" data-is="say"></p>'
        f'<canvas data-is="story" class="seek"></canvas>{parts}'
        "<noscript><p>This part needs JavaScript.</p></noscript></div>"
    )
    folder = files("polyad.report")
    style = (folder / "controls.css").read_text(encoding="utf-8")
    code = (folder / "ntm_steps.js").read_text(encoding="utf-8")
    content = json.dumps([_packed(record) for record in records])
    return body, style, f"const SEQUENCES = {content};\n{code}"


def _packed(record: Record) -> dict[str, Any]:
    """Return a record as the script takes it."""
    largest = max(1.0, float(np.abs(record.inputs).max()))
    packed: dict[str, Any] = {
        "steps": len(record.inputs),
        "channels": record.inputs.shape[1],
        "outs": record.targets.shape[1],
        "inputs": _bytes(128 + 127 * record.inputs / largest),
        "targets": _bytes(255 * record.targets),
        "outputs": _bytes(255 * record.outputs),
        "mask": _bytes(record.mask),
    }
    if record.weights is not None and record.memory is not None:
        heads = record.heads()
        weights = np.stack([weights for _, _, weights in heads], axis=1)
        most = max(1e-9, float(np.abs(record.memory[1:]).max()))
        packed |= {
            "heads": [[name, writes] for name, writes, _ in heads],
            "rows": weights.shape[2],
            "width": record.memory.shape[2],
            "weights": _bytes(255 * weights),
            "memory": _bytes(128 + 127 * record.memory / most),
        }
    return packed


def _bytes(values: NDArray[Any]) -> str:
    rounded = np.clip(np.rint(np.asarray(values, np.float64)), 0, 255).astype(np.uint8)
    return base64.b64encode(rounded.tobytes()).decode()
