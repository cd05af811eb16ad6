"""What is imported when: heavy packages only by those who use them."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import polyad

PACKAGE = Path(polyad.__file__).parent
LAZY = (
    "torch",
    "lightning",
    "sklearn",
    "scipy",
    "matplotlib",
    "pandas",
    "xgi",
    "gensim",
    "kiwipiepy",
    "pyarrow",
    "sacrebleu",
    "sentencex",
)
# Modules that are themselves imported only by those who have the package.
ALLOWED = {
    "torch": (
        "nn/",
        "optim.py",
        "models/",
        "recipes/capsnet_training.py",
        "recipes/ntm_training.py",
        "recipes/training.py",
        "reference/capsule.py",
        "reference/ntm.py",
    ),
    "lightning": ("recipes/training.py",),
    "sklearn": ("models/",),
    "matplotlib": ("report/",),
}


def run(code):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120
    )


def imported_after(code):
    result = run(f"{code}\nimport sys\nprint(*(n for n in {LAZY!r} if n in sys.modules))")
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()[-1].split()


def test_import_polyad_imports_nothing_heavy():
    assert imported_after("import polyad") == []
    assert imported_after("import polyad.align, polyad.align.formats, polyad.align.split") == []


def test_command_line_help_imports_nothing_heavy():
    code = (
        "import sys\nsys.argv = ['polyad', '--help']\nfrom polyad.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
    )
    assert imported_after(code) == []


def test_numpy_ops_do_not_import_torch():
    code = (
        "import numpy as np, polyad\n"
        "edges = polyad.Hyperedges.from_lists([[0]])\n"
        "polyad.ops.hypernet.match(np.ones((1, 1), np.uint8), edges)\n"
    )
    assert imported_after(code) == []


def top_level_imports(tree):
    """Names of the packages that running a module imports, outside functions and TYPE_CHECKING."""
    pending = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]
        elif isinstance(node, ast.If):
            if "TYPE_CHECKING" not in ast.dump(node.test):
                pending += node.body
            pending += node.orelse
        elif isinstance(node, ast.Try):
            pending += node.body + node.orelse + node.finalbody
            for handler in node.handlers:
                pending += handler.body
        elif isinstance(node, ast.With | ast.ClassDef):
            pending += node.body


def test_heavy_packages_are_imported_at_the_top_only_where_allowed():
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        module = path.relative_to(PACKAGE).as_posix()
        for name in set(top_level_imports(ast.parse(path.read_text()))) & set(LAZY):
            if not module.startswith(ALLOWED.get(name, ())) or module.endswith("__init__.py"):
                wrong.append(f"{module}: {name}")
    assert wrong == []


@pytest.mark.parametrize("first", ["torch", "polyad"])
def test_one_openmp_runtime_in_either_order(first):
    pytest.importorskip("torch")
    second = {"torch": "polyad", "polyad": "torch"}[first]
    result = run(
        f"import {first}, {second}, polyad\n"
        "import numpy as np, torch\n"
        "polyad.set_num_threads(2)\n"
        "edges = polyad.Hyperedges.from_lists([[0], [1]])\n"
        "polyad.ops.hypernet.match(np.ones((2000, 2), np.uint8), edges)\n"
        "torch.ones(1 << 20).sum()\n"
        "print(*polyad.config()['openmp'], sep='\\n')\n"
    )
    assert result.returncode == 0, result.stderr
    mapped = {os.path.realpath(path) for path in result.stdout.splitlines()}
    assert len(mapped) == 1, mapped
