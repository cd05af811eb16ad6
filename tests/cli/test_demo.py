"""The demo, on a part of the digits so that it takes seconds."""

import json

import numpy as np
import pytest

from polyad.data import Split
from polyad.recipes import digits_demo
from polyad.run import Run


@pytest.fixture
def few_digits(monkeypatch):
    """Make the digits few, for the demo and for what it trains."""
    from polyad.data import digits

    whole = digits()

    def few():
        return Split(whole.train.take(np.arange(150)), whole.test.take(np.arange(60)), whole.how)

    monkeypatch.setitem(digits_demo.NAMED, "digits", few)


def test_demo(polyad, few_digits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = polyad("demo")
    assert result.code == 0, result.err
    assert result.err == ""
    folder = tmp_path / "polyad-demo"
    assert f"pictures and figures: {folder}\n" in result.out
    assert "nothing here can be compared with optdigits results" in " ".join(result.out.split())
    names = {path.name for path in (folder / "pictures").iterdir()}
    assert {"stream.png", "recall.png", "recall-lower.png", "edges.png", "decision.png"} <= names
    metrics = json.loads((folder / "metrics.json").read_text())
    seen = [n for n in metrics if n.startswith("accuracy_test_after_")]
    assert len(seen) == 8  # 1, 2, 5 ... 100 and all 150
    assert metrics["accuracy_test_after_150_examples_percent"] > 50  # chance is 10
    assert metrics["recall_right_percent"] > metrics["recall_majority_right_percent"]
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") == len(names)
    assert "nothing here can be compared with optdigits results" in page
    for value in ("accuracy_test_percent", "recall_right_percent"):
        assert f"{metrics[value]:.1f} %" in result.out
        assert f"{metrics[value]:.1f} %" in page

    judged = folder / "align_review.html"
    assert f"page to judge beads on: {judged}\n" in result.out
    assert "What polyad is" in judged.read_text()
    for mode in ("bleualign", "accurate"):
        f1 = metrics[f"align_{mode}_f1_strict_percent"]
        assert f1 > (80 if mode == "bleualign" else 95)
        (line,) = (line for line in result.out.splitlines() if line.startswith(mode))
        assert f"{f1:.1f} %" in line

    assert polyad("evaluate", folder).code == 0
    assert polyad("recall", folder / "memory", "--hide", "0.7").code == 0

    again = polyad("demo")  # the same seed into the same folder: the same figures
    assert again.code == 0
    assert again.err == "polyad-demo holds an earlier demo, which is replaced\n"
    assert again.out == result.out


def test_demo_leaves_what_is_not_its_own(tmp_path):
    wanted = tmp_path / "polyad-demo"
    assert digits_demo.choose_folder(wanted) == (wanted, None)
    wanted.mkdir()
    assert digits_demo.choose_folder(wanted) == (wanted, None)
    (wanted / "thesis.tex").write_text("mine")
    other = tmp_path / "polyad-demo-2"
    remark = f"{wanted} is in use for something else; using {other}"
    assert digits_demo.choose_folder(wanted) == (other, remark)
    other.write_text("a file")
    assert digits_demo.choose_folder(wanted)[0] == tmp_path / "polyad-demo-3"
    Run(tmp_path / "polyad-demo-3", "hypernet", {"recipe": None}).begin()
    assert digits_demo.choose_folder(wanted)[0] == tmp_path / "polyad-demo-4"
    Run(tmp_path / "polyad-demo-4", "hypernet", {"recipe": digits_demo.RECIPE}).begin()
    assert digits_demo.choose_folder(wanted)[0] == tmp_path / "polyad-demo-4"  # an earlier demo


def test_interrupted_demo(polyad, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("polyad.recipes.digits_demo.stream", interrupted)
    result = polyad("demo")
    assert result.code == 130
    assert result.err == "polyad: interrupted\n"
    assert not any(tmp_path.iterdir())
