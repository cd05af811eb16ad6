"""Figures of a Neural Turing Machine, and its page, from made records."""

import base64
import json
import re

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from test_figures import drawn, texts

from polyad.report import ntm
from polyad.report.ntm import Record
from polyad.report.ntm_page import write_page
from polyad.run import Run


def record(steps=9, *, label="a size", channels=3, outs=2, rows=12, width=4, reads=1, writes=1):
    """The first half of the steps is watched, the second is answered; one bit is wrong."""
    rng = np.random.default_rng(steps)
    targets = rng.integers(0, 2, (steps, outs)).astype(np.float32)
    mask = np.arange(steps) >= steps // 2
    targets[~mask] = 0
    outputs = np.abs(targets - 0.1)
    outputs[-1, 0] = 1 - outputs[-1, 0]
    weights = np.zeros((steps, reads + writes, rows), np.float32)
    for t in range(steps):
        weights[t, :, t % rows] = 1
    memory = rng.normal(size=(steps + 1, rows, width)).astype(np.float32)
    inputs = rng.uniform(-1, 1, (steps, channels)).astype(np.float32)
    return Record(label, inputs, targets, outputs, mask, weights, memory, reads)


def without_memory(record):
    return Record(*(getattr(record, name) for name in ("label", "inputs", "targets", "outputs", "mask")),
                  None, None, 0)  # fmt: skip


def dots(figure):
    return sum(
        len(c.get_offsets()) for axes in figure.axes for c in axes.collections
        if type(c).__name__ == "PathCollection"
    )  # fmt: skip


def test_a_wrong_bit_carries_a_dot():
    made = record()
    assert made.wrong.sum() == 1
    figure = ntm.sequence(made)
    drawn(figure)
    assert {"input", "target", "output", "time step"} <= texts(figure)
    assert dots(figure) == 1


@pytest.mark.parametrize("lengths", [(30, 60), (6, 8, 10), (250,)])
def test_longer_sequences_say_how_many_bits_are_wrong(lengths):
    figure = ntm.longer([record(n, label=f"length {n}") for n in lengths])
    drawn(figure)
    for n in lengths:
        count = 2 * (n - n // 2)
        found = [t for t in texts(figure) if f"1 of {count} bits wrong" in t]
        assert any(f"length {n}" in t for t in found)
    assert dots(figure) == len(lengths)


def test_heads_are_named_and_only_used_rows_are_drawn():
    figure = ntm.heads(record(reads=2, rows=100))
    drawn(figure)
    assert {"write\nhead", "read\nhead 1", "read\nhead 2", "input"} <= {
        t.strip() for t in texts(figure)
    }
    assert figure.axes[1].get_ylim()[0] < 20
    drawn(ntm.heads(record(rows=1, reads=4, writes=4)))


@pytest.mark.parametrize(
    ("used", "drawn_rows"),
    [
        ([50, 51, 52, 60], list(range(48, 63))),
        ([0, 1, 98, 99], [96, 97, 98, 99, 0, 1, 2, 3]),
        ([5], list(range(3, 11))),
        (range(100), list(range(100))),
        ([], list(range(100))),
    ],
)
def test_the_rows_that_are_drawn_follow_the_ring(used, drawn_rows):
    made = record(rows=100)
    made.weights[:] = 0
    made.weights[0, 0, list(used)] = 0.5
    assert ntm.used_rows(made).tolist() == drawn_rows


def test_memory_before_and_after():
    figure = ntm.memory(record())
    drawn(figure)
    assert {"before", "when the\nanswer begins", "after", "row of memory"} <= texts(figure)


def test_predicted_bits():
    figure = ntm.predicted_bits(record(40, outs=1, channels=1))
    drawn(figure)
    assert dots(figure) == 20
    assert {"P(1)", "likelier bit", "the other"} <= texts(figure)


ROWS = [
    {"sequences": 1000.0 * n, "bits_per_sequence": 80 / n**3, "bits_per_sequence_train": 90 / n**3}
    for n in (1, 2, 3, 50)
]


def test_curves_stand_beside_the_papers_figures():
    figure = ntm.learning(ROWS, "copy")
    drawn(figure)
    assert {"held out", "while training", "NTM of the paper", "LSTM of the paper"} <= texts(figure)
    assert "≤ 0.001" in texts(figure)
    figure = ntm.learning(ROWS, "priority-sort")
    drawn(figure)
    assert {"NTM of the paper, 15", "LSTM of the paper, 50"} <= texts(figure)
    figure = ntm.learning([{**row, "bits_per_sequence": 140.0} for row in ROWS], "n-grams", 131.02)
    drawn(figure)
    assert {"NTM of the paper, 133.5", "LSTM of the paper, 137", "best estimator, 131"} <= texts(
        figure
    )


@pytest.fixture
def run(tmp_path):
    settings = {
        "task": {"name": "copy", "ranges": {"longest": 2}},
        "preset": "small",
        "network": {"network": "ntm", "memory_rows": 12},
        "plan": {"lr": 1e-4},
    }
    run = Run(tmp_path / "<run>", "ntm", settings)
    run.begin()
    run.add_metrics(bits_per_sequence=0.005, wrong_bits_per_sequence=0, seconds_train=12.5)
    run.write_table("longer", ["sequences", "bits each"], [["length 120", "0.06"]])
    for name, figure in (
        ("sequence", ntm.sequence(record())),
        ("learning", ntm.learning(ROWS, "copy")),
    ):
        run.save_picture(name, figure)
    return run


def sequences(page):
    return json.loads(re.search(r"const SEQUENCES = (.*);\n", page)[1])


def test_the_page_needs_no_other_file(run):
    write_page(run, [record(), record(20, label="length <10>")])
    page = run.file("report.html").read_text(encoding="utf-8")
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    for text in ("http", "@import", "fetch(", "import(", "XMLHttpRequest", "eval("):
        assert text not in page, text
    assert page.count("<script>") == page.count("</script>") == 1
    assert "length &lt;10&gt; (20 steps)" in page
    assert "&lt;run&gt;" in page
    assert "<run>" not in page


def test_the_page_says_what_was_found(run):
    write_page(run, [record()])
    page = run.file("report.html").read_text(encoding="utf-8")
    for text in (
        "A Neural Turing Machine learns to copy", "0.005", "12.5 s", "Graves, Wayne and Danihelka",
        "read off", "length 120", "Step through it", "memory_rows", "network.memory_rows",
    ):  # fmt: skip
        assert text in page, text
    assert page.count("data:image/png;base64,") == 2


def test_what_the_page_steps_through_is_what_happened(run):
    made = record()
    write_page(run, [made])
    found = sequences(run.file("report.html").read_text(encoding="utf-8"))[0]

    def back(name, *shape):
        return np.frombuffer(base64.b64decode(found[name]), np.uint8).reshape(shape).astype(float)

    steps, rows, width = found["steps"], found["rows"], found["width"]
    assert (steps, rows, width) == (9, 12, 4)
    assert found["heads"] == [["write", True], ["read", False]]
    np.testing.assert_array_equal(back("mask", 9), made.mask)
    np.testing.assert_array_equal(back("targets", 9, 2) > 127, made.targets > 0.5)
    np.testing.assert_array_equal(back("outputs", 9, 2) > 127, made.outputs > 0.5)
    np.testing.assert_allclose(
        back("weights", 9, 2, 12)[:, 1] / 255, made.weights[:, 0], atol=0.002
    )
    most = np.abs(made.memory[1:]).max()
    shown = (back("memory", 10, 12, 4) - 128) / 127 * most
    np.testing.assert_allclose(shown[1:], made.memory[1:], atol=most / 127)


def test_the_page_has_room_for_the_first_sequence_and_the_longest(run):
    long = record(300, rows=400, width=40)
    write_page(run, [record(), record(20), record(30), long])
    found = sequences(run.file("report.html").read_text(encoding="utf-8"))
    assert [each["steps"] for each in found] == [9, 30]


def test_a_network_without_memory_has_a_page(run):
    run.settings["network"] = {"network": "lstm"}
    write_page(run, [without_memory(record())])
    page = run.file("report.html").read_text(encoding="utf-8")
    assert "An LSTM learns to copy" in page
    assert "weights" not in sequences(page)[0]
    assert "The memory after the step" not in page
