"""The committed stubs are what the native modules have."""

import subprocess
import sys

import pytest


def test_stubs_are_up_to_date(root, unpacked, monkeypatch):
    pytest.importorskip("pybind11_stubgen")
    monkeypatch.setenv("PYTHONPATH", str(unpacked))  # the wheel's _cuda too, if it has one
    result = subprocess.run(
        [sys.executable, root / ".ci" / "stubs", "--check"], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
