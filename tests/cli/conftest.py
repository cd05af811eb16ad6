"""Small made data, and the command line as a function."""

import struct
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from polyad.cli import app

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

FAST = ["--epochs", "2", "--max-edges", "600"]


@pytest.fixture
def polyad():
    """Run ``polyad`` with the given words; returns exit code, stdout and stderr."""

    def run(*words):
        result = CliRunner().invoke(app, [str(word) for word in words])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return SimpleNamespace(code=result.exit_code, out=result.stdout, err=result.stderr)

    return run


def bars(count, seed):
    """Pictures of 6 x 6 with a bright bar: label 0 upright, 1 lying, 2 aslant; and some noise."""
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 60, (count, 6, 6))
    y = np.arange(count) % 3
    for picture, label in zip(X, y, strict=True):
        at = rng.integers(1, 5)
        if label == 0:
            picture[:, at] += 150
        elif label == 1:
            picture[at] += 150
        else:
            np.fill_diagonal(picture, 200)
    return X.astype(np.uint8), y


def idx(array):
    """``array`` in the idx format."""
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """An .npz of pictures with training and test part."""
    path = tmp_path_factory.mktemp("data") / "bars.npz"
    (X, y), (X_test, y_test) = bars(150, 0), bars(60, 1)
    np.savez(path, x_train=X, y_train=y, x_test=X_test, y_test=y_test)
    return path


@pytest.fixture(scope="session")
def trained(pictures, tmp_path_factory):
    """A finished run; tests must not change it."""
    folder = tmp_path_factory.mktemp("runs") / "bars"
    words = ["train", "hypernet", "--data", str(pictures), "--out", str(folder), *FAST]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.stderr
    return folder
