"""The commands as they are meant to be used."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from cli_cases import FAST, bars, idx


def numbers(path):
    content = json.loads(path.read_text())
    assert content.pop("format_version") == 1
    assert all(isinstance(value, int | float) for value in content.values())
    return content


def test_help_of_everything(polyad):
    for words in ([], ["demo"], ["info"], ["train"], ["train", "hypernet"], ["evaluate"]):
        result = polyad(*words, "--help")
        assert result.code == 0
        assert "Usage" in result.out
    for words in (["recall"], ["bench"]):
        assert polyad(*words, "-h").code == 0


def test_version(polyad):
    import polyad as package

    assert polyad("--version").out == f"polyad {package.__version__}\n"


def test_info(polyad):
    result = polyad("info")
    assert result.code == 0
    assert "digits" in result.out
    entries = json.loads(polyad("info", "--json").out)
    assert entries["models"] == ["hypernet", "ntm", "capsnet"]
    assert entries["threads"] >= 1


def test_train_leaves_a_whole_run(polyad, trained):
    names = {path.name for path in trained.rglob("*")}
    assert names == {
        *("settings.json", "metrics.json", "history.json", "model.npz", "report.html", "pictures"),
        *("learning.png", "confusion.png", "edges.png", "decision.png"),
    }
    metrics = numbers(trained / "metrics.json")
    assert metrics["samples_train"] == 150
    assert metrics["samples_test"] == 60
    assert metrics["epochs"] == 2
    assert metrics["accuracy_test_percent"] > 60  # chance is 33
    settings = json.loads((trained / "settings.json").read_text())
    assert settings["format_version"] == 1
    assert settings["model"] == "hypernet"
    history = json.loads((trained / "history.json").read_text())["columns"]
    assert history["epoch"] == [0, 1, 2]
    page = (trained / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 4
    assert "http" not in page


def test_evaluate_repeats_the_figures(polyad, trained, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    result = polyad("evaluate", run)
    assert result.code == 0
    assert result.err == ""
    before, after = numbers(trained / "metrics.json"), numbers(run / "metrics.json")
    assert f"{after['accuracy_test_percent']:.1f} % right" in result.out
    before.pop("predictions_per_second")
    after.pop("predictions_per_second")
    assert before == after


def test_evaluate_other_data(polyad, trained, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    X, y = bars(30, 5)
    rows = np.column_stack([y, X.reshape(30, -1)])
    np.savetxt(tmp_path / "other set.csv", rows, fmt="%d", delimiter=",")
    words = ["--data", tmp_path / "other set.csv", "--label-column", "first"]
    result = polyad("evaluate", run, *words)
    assert result.code == 0, result.err
    found = numbers(run / "metrics-other-set.json")
    assert found["samples_test"] == 30
    assert found["accuracy_test_percent"] > 60
    assert (run / "metrics.json").read_bytes() == (trained / "metrics.json").read_bytes()


def test_recall_draws_and_measures(polyad, trained, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    result = polyad("recall", run, "--hide", "0.25", "--count", "4", "--seed", "3")
    assert result.code == 0, result.err
    metrics = numbers(run / "metrics.json")
    assert metrics["recall_hidden_percent"] == 25
    assert metrics["recall_samples"] == 60
    assert 60 < metrics["recall_right_percent"] <= 100
    picture = run / "pictures" / "recall.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    first = picture.read_bytes()
    assert "recall.png" in result.out
    assert polyad("recall", run, "--hide", "0.25", "--count", "4", "--seed", "3").code == 0
    assert picture.read_bytes() == first
    assert numbers(run / "metrics.json") == metrics


@pytest.mark.parametrize("words", [["--encoder", "thermometer", "--levels", "4"], ["--seed", "5"]])
def test_same_seed_same_run(polyad, pictures, tmp_path, words):
    for name, threads in (("a", 1), ("b", 2)):
        more = [*FAST, *words, "--threads", threads]
        out = tmp_path / name
        result = polyad("train", "hypernet", "--data", pictures, "--out", out, *more)
        assert result.code == 0, result.err
    assert (tmp_path / "a/model.npz").read_bytes() == (tmp_path / "b/model.npz").read_bytes()
    assert polyad("recall", tmp_path / "a").code == 0
    assert numbers(tmp_path / "a/metrics.json")["recall_right_percent"] > 60


def test_tables_and_folders_train_too(polyad, tmp_path):
    X, y = bars(60, 0)
    rows = np.column_stack([X.reshape(60, -1) / 10, y])
    head = ",".join([*(f"cell {i}" for i in range(36)), "class"])
    np.savetxt(tmp_path / "bars.csv", rows, fmt="%g", delimiter=",", header=head, comments="")
    (tmp_path / "bars").mkdir()
    (tmp_path / "bars/train-images-idx3-ubyte").write_bytes(idx(X))
    (tmp_path / "bars/train-labels-idx1-ubyte").write_bytes(idx(y))
    for data in ("bars.csv", "bars"):
        out = tmp_path / f"run-{data}"
        words = ["--data", tmp_path / data, "--out", out, "--epochs", "0", "--max-edges", "300"]
        result = polyad("train", "hypernet", *words)
        assert result.code == 0, result.err
        metrics = numbers(out / "metrics.json")
        assert metrics["samples_train"] == 42  # of 20 a class, 14 are for training
        assert metrics["epochs"] == 0
        assert polyad("recall", out).code == 0
    page = (tmp_path / "run-bars.csv" / "report.html").read_text()
    assert re.search(r"<td>(cell \d+ (&gt;|&lt;=) [\d.]+, )+", page)  # edges in words


def test_force_replaces_a_run_and_nothing_else(polyad, trained, pictures, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    (run / "notes.txt").write_text("mine")
    words = ["train", "hypernet", "--data", pictures, "--out", run, "--epochs", "0"]
    assert polyad(*words, "--max-edges", "50", "--force").code == 0
    assert (run / "notes.txt").read_text() == "mine"
    assert numbers(run / "metrics.json")["edges"] <= 50
    assert not (run / "pictures" / "learning.png").exists()  # a single pass has no curve


def test_torch_is_never_imported(trained, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    program = (
        "import sys; from polyad.cli import app\n"
        "try: app(['evaluate', sys.argv[1]])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert 'torch' not in sys.modules"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, str(run)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_the_page_of_a_run_shows_its_recall(polyad, trained, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    assert polyad("recall", run).code == 0
    page = (run / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 5
    assert re.search(r"In 60 held-out pictures 50 % .* hidden, and [\d.]+ % of these", page)
