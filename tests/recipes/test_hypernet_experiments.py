"""The experiments run, and what they report is what they measured; on small stand-ins of the data."""

import gzip
import json
import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from polyad.recipes import experiment, hypernet_mnist, hypernet_optdigits, hypernet_recall


@pytest.fixture(scope="module")
def optdigits(tmp_path_factory):
    """scikit-learn's digits, cut into files that look like the official split."""
    folder = tmp_path_factory.mktemp("optdigits")
    x, y = load_digits(return_X_y=True)
    table = np.concatenate([x, y[:, None]], axis=1).astype(int)
    np.savetxt(folder / "optdigits.tra", table[:700], fmt="%d", delimiter=",")
    np.savetxt(folder / "optdigits.tes", table[700:1000], fmt="%d", delimiter=",")
    return folder


def test_optdigits(optdigits, monkeypatch):
    small = {
        "one_shot_binary": {"epochs": 0, "max_edges": 800},
        "learned_thermometer": {"epochs": 4, "max_edges": 400},
    }
    monkeypatch.setattr(hypernet_optdigits, "SETTINGS", small)
    figures = hypernet_optdigits.run(optdigits, seeds=2)
    assert 0.6 < figures["one_shot_binary_accuracy_mean"] < 1
    assert 0.6 < figures["learned_thermometer_accuracy_mean"] < 1
    assert figures["one_shot_binary_accuracy_seeds"] == 2
    assert figures["learned_thermometer_edges_mean"] <= 400


def test_recall(optdigits, monkeypatch):
    monkeypatch.setattr(hypernet_recall, "WIDTH", 16)
    monkeypatch.setitem(hypernet_recall.SETTINGS, "max_edges", 1400)
    figures = hypernet_recall.run(optdigits, seeds=1, mlp_epochs=2)
    for name in ("binary", "thermometer"):
        assert figures[f"hypernet_{name}_recall_mean"] > figures["majority_recall_mean"]
        assert figures[f"best_knn_{name}_recall_mean"] > figures["majority_recall_mean"]
        assert 0.4 < figures[f"masked_mlp_2x16_{name}_recall_mean"] < 1


def test_neighbours_are_the_nearest_on_what_is_observed():
    bits = np.array([[1, 1, 0, 0], [0, 0, 1, 1]], bool)
    task = hypernet_recall.Task(np.array([[1, 1, 0, 0]], bool), seed=0)
    task.observed = np.array([[True, False, False, False]])
    train, test = bits[:, :, None].astype(np.float32), np.ones((1, 4, 1), np.float32)
    share, k = hypernet_recall.best_neighbours(task, train, test, bits)
    assert k == 1
    assert share == 1.0  # the first picture agrees on the observed pixel, and on all others


def test_mnist(tmp_path, monkeypatch):
    x, y = load_digits(return_X_y=True)
    pixels = np.rint(x * 15.9).astype(np.uint8).reshape(-1, 8, 8)
    for part, rows in (("train", slice(0, 900)), ("t10k", slice(900, 1200))):
        for kind, values in (("images-idx3", pixels[rows]), ("labels-idx1", y[rows])):
            values = values.astype(np.uint8)
            header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
            with gzip.open(tmp_path / f"{part}-{kind}-ubyte.gz", "wb") as file:
                file.write(header + values.tobytes())
    monkeypatch.setitem(hypernet_mnist.SETTINGS, "epochs", 6)
    figures = hypernet_mnist.run(tmp_path, seeds=1, max_edges=400)
    assert 0.7 < figures["accuracy_mean"] < 1
    assert abs(figures["six_bit_accuracy_mean"] - figures["accuracy_mean"]) < 0.05
    assert figures["predictions_per_second_best"] > 0
    assert figures["edges_mean"] <= 400


def test_over_seeds():
    assert experiment.over_seeds("a", [1.0, 3.0]) == {
        "a_mean": 2.0,
        "a_deviation": pytest.approx(2**0.5),
        "a_seeds": 2,
    }
    assert experiment.over_seeds("a", [1.0])["a_deviation"] == 0


def test_command_line(tmp_path):
    command = [sys.executable, "-m", "polyad.recipes.hypernet_optdigits"]
    missing = subprocess.run(
        [*command, "--data", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert missing.returncode == 1
    assert "optdigits.tra" in missing.stderr
    assert "Traceback" not in missing.stderr
    usage = subprocess.run(
        [*command, "--data", ".", "--seeds", "0"], capture_output=True, text=True, check=False
    )
    assert usage.returncode == 2
    assert "--seeds: expected at least 1, got 0" in usage.stderr


def test_figures_can_be_written(tmp_path, monkeypatch):
    target = tmp_path / "figures.json"
    monkeypatch.setattr(sys, "argv", ["x", "--data", "d", "--seeds", "3", "--json", str(target)])
    experiment.main("Test.", lambda path, seeds: {"seeds": seeds, "is_d": float(path == "d")})
    assert json.loads(target.read_text()) == {"seeds": 3, "is_d": 1.0}
