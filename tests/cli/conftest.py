"""Small made data, and the command line as a function."""

from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from types import SimpleNamespace

import numpy as np
import pytest
from cli_cases import FAST, bars

from polyad.cli import app

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")


def run(*words):
    """Run ``polyad`` with the given words; returns exit code, stdout and stderr."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
        app([str(word) for word in words])
    return SimpleNamespace(code=end.value.code, out=out.getvalue(), err=err.getvalue())


@pytest.fixture(scope="session")
def polyad():
    """Give the command line as a function."""
    return run


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
    result = run("train", "hypernet", "--data", pictures, "--out", folder, *FAST)
    assert result.code == 0, result.err
    return folder
