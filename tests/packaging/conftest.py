"""The wheel under test, and what may be asked of an interpreter that holds nothing else."""

import importlib.metadata
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def root():
    """The project's folder; skips where only the tests are there."""
    if not (ROOT / "pyproject.toml").exists():
        pytest.skip("needs the project's sources")
    return ROOT


@pytest.fixture(scope="session")
def wheel():
    """The built wheel that POLYAD_WHEEL names."""
    path = os.environ.get("POLYAD_WHEEL")
    if not path:
        pytest.skip("POLYAD_WHEEL does not name a wheel")
    return Path(path).resolve(strict=True)


@pytest.fixture(scope="session")
def unpacked(wheel, tmp_path_factory):
    """A folder with what the wheel holds."""
    folder = tmp_path_factory.mktemp("wheel")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="session")
def objects():
    """The object files of the build whose folder POLYAD_BUILD_DIR names, by ISA level."""
    path = os.environ.get("POLYAD_BUILD_DIR")
    if not path:
        pytest.skip("POLYAD_BUILD_DIR does not name a build folder")
    found = {
        level: sorted(Path(path).resolve(strict=True).glob(f"**/polyad_cpu_{level}.dir/**/*.o"))
        for level in ("v2", "v3", "v4")
    }
    assert found["v2"], f"{path}: no object files of the kernels"
    return found


@pytest.fixture(scope="session")
def bare_python(unpacked, tmp_path_factory):
    """Runs code where the wheel and the distributions asked for are all that can be imported.

    ``python -I -S`` knows the standard library only; the folder put before it holds links to the
    packages of those distributions. torch is not merely unimported there: it cannot be found.
    """

    def run(code, *distributions, warnings="error", environment=None):
        folder = tmp_path_factory.mktemp("site")
        for name in distributions:
            _link(name, folder)
        for entry in unpacked.iterdir():
            (folder / entry.name).symlink_to(entry)
        start = f"import sys; sys.path.insert(0, {str(folder)!r})\n"
        return subprocess.run(
            [sys.executable, "-I", "-S", "-W", warnings, "-c", start + code],
            capture_output=True,
            text=True,
            timeout=120,
            env={"PATH": os.environ["PATH"], **(environment or {})},
        )

    return run


def _link(name, folder):
    distribution = importlib.metadata.distribution(name)
    for top in {file.parts[0] for file in distribution.files if file.parts[0] != ".."}:
        source = Path(distribution.locate_file(top))
        if source.name != "__pycache__" and source.exists():
            (folder / top).symlink_to(source)
