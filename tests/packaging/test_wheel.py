"""What the wheel contains, links and needs. Skipped unless POLYAD_WHEEL names one."""

import importlib.metadata
import re
import subprocess
import zipfile

import pytest
from packaging.requirements import Requirement

BASELINE = {"libc.so.6", "libm.so.6", "libgcc_s.so.1", "libstdc++.so.6", "libpthread.so.0"}
LOADERS = {"ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}


def needed(library):
    """The libraries that the dynamic loader must find for ``library``."""
    listing = subprocess.run(
        ["readelf", "--dynamic", "--wide", library], check=True, capture_output=True, text=True
    ).stdout
    return set(re.findall(r"\(NEEDED\).*\[(.+)\]", listing))


def with_dependencies(*distributions):
    """The distributions and all that they require."""
    found, pending = [], list(distributions)
    while pending:
        name = pending.pop().lower().replace("_", "-")
        if name in found:
            continue
        found.append(name)
        for text in importlib.metadata.requires(name) or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                pending.append(requirement.name)
    return found


def extension(unpacked, name):
    found = list((unpacked / "polyad").glob(f"{name}.*.so"))
    if name == "_cuda" and not found:
        pytest.skip("the wheel was built without nvcc")
    (library,) = found
    return library


def test_cpu_module_needs_openmp_and_the_c_runtime(unpacked):
    assert needed(extension(unpacked, "_cpu")) <= BASELINE | LOADERS | {"libgomp.so.1"}


def test_cuda_module_needs_no_driver_and_no_toolkit(unpacked):
    rest = needed(extension(unpacked, "_cuda")) - BASELINE - LOADERS
    assert rest <= {"libdl.so.2", "librt.so.1", "libgomp.so.1"}


@pytest.mark.parametrize("name", ["_cpu", "_cuda"])
def test_no_symbol_of_torch_is_asked_for(unpacked, name):
    symbols = subprocess.run(
        ["nm", "--dynamic", "--undefined-only", extension(unpacked, name)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert not re.findall(r"\S*(?:c10|torch|cblas|openblas)\S*", symbols)


@pytest.mark.parametrize("level", ["v3", "v4"])
def test_no_weak_symbol_above_the_baseline(objects, level):
    if not objects[level]:
        pytest.skip("one level on this architecture")
    weak = {}
    for path in objects[level]:
        listing = subprocess.run(
            ["nm", "--defined-only", "--demangle", path], check=True, capture_output=True, text=True
        ).stdout
        # V, W: weak; u: unique in the process, as a static of an inline function is
        found = re.findall(r"^[0-9a-f]+ ([VWvwu]) (.+)$", listing, flags=re.MULTILINE)
        if found:
            weak[path.name] = found
    assert not weak
    assert len(objects[level]) == len(objects["v2"])


def test_imports_with_numpy_alone(bare_python):
    result = bare_python(
        "import polyad, numpy as np\n"
        "edges = polyad.Hyperedges.from_lists([[0, 1], [2]])\n"
        "x = np.array([[1, 1, 0], [0, 1, 1]], np.uint8)\n"
        "print(polyad.ops.hypernet.match(x, edges).astype(int).tolist())\n"
        "print(polyad.config()['torch'])\n",
        "numpy",
    )
    assert result.stderr == ""
    assert result.stdout.split("\n")[:2] == ["[[1, 0], [0, 1]]", "not installed"]


def test_command_line_starts_with_the_hard_dependencies(bare_python):
    result = bare_python(
        "sys.argv = ['polyad', '--help']\nfrom polyad.cli import main\nmain()\n",
        *with_dependencies("numpy", "rich", "typer"),
    )
    assert result.returncode == 0, result.stderr
    assert "demo" in result.stdout


def test_demo_names_the_extra_that_is_missing(bare_python, tmp_path):
    out = tmp_path / "run"
    result = bare_python(
        f"sys.argv = ['polyad', 'demo', '--out', {str(out)!r}]\n"
        "from polyad.cli import main\nmain()\n",
        *with_dependencies("numpy", "rich", "typer"),
    )
    assert result.returncode == 1
    assert "polyad[demo]" in result.stderr
    assert "Traceback" not in result.stderr
    assert not out.exists()


def test_cuda_module_imports_without_a_driver(unpacked, bare_python):
    extension(unpacked, "_cuda")
    result = bare_python(
        "from polyad import _cuda\nimport polyad\n"
        "print(_cuda.architectures())\nprint(polyad.config()['cuda_devices'])\n",
        "numpy",
        environment={"CUDA_VISIBLE_DEVICES": ""},
    )
    assert result.returncode == 0, result.stderr
    architectures, devices = result.stdout.splitlines()
    assert "sm_80" in architectures
    assert devices == "0"


def test_size(wheel):
    assert wheel.stat().st_size < 50_000_000


def test_contents(wheel, root):
    """Every module of the sources, the stubs and the marker, and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if name.startswith("polyad/")}
        others = {name.split("/")[0] for name in archive.namelist()} - {"polyad"}
    (info,) = others
    assert re.fullmatch(r"polyad-[0-9.]+\.dist-info", info)
    sources = root / "python"
    expected = {
        str(path.relative_to(sources))
        for path in sources.glob("polyad/**/*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".so"
    }
    assert {name for name in names if not name.endswith(".so")} == expected
    assert {re.sub(r"\..*", "", name) for name in names if name.endswith(".so")} <= {
        "polyad/_cpu",
        "polyad/_cuda",
    }
