"""The tree is what CONTRIBUTING says, and one concept has one name in every folder."""

import importlib
import inspect
import itertools
import re
import tomllib

import polyad


def described_paths(text):
    """The paths that the drawing of the tree in CONTRIBUTING names."""
    drawing = re.search(r"```\npolyad/\n(.*?)```", text, flags=re.DOTALL).group(1)
    folders = []
    for line in drawing.splitlines():
        match = re.match(r"((?:│   |    )*)(?:├── |└── )(.*)", line)
        if match is None:
            continue  # a description that goes on
        depth = len(match.group(1)) // 4
        # names stand two spaces apart; what has spaces in it describes them
        words = itertools.takewhile(re.compile(r"[\w./-]+").fullmatch, match.group(2).split("  "))
        names = [word for word in words if word]
        del folders[depth:]
        for name in names:
            yield "/".join([*folders, name.rstrip("/")])
        folders.append(names[-1].rstrip("/"))


def test_every_path_in_contributing_exists(root):
    paths = list(described_paths((root / "CONTRIBUTING.md").read_text()))
    assert "csrc/hypernet" in paths
    assert "python/polyad/ops" in paths
    assert [path for path in paths if not (root / path).exists()] == []


def test_every_folder_is_in_contributing(root):
    paths = set(described_paths((root / "CONTRIBUTING.md").read_text()))
    for parent in ("csrc", "python/polyad", "tests", "bench"):
        folders = {
            f"{parent}/{path.name}"
            for path in (root / parent).iterdir()
            if path.is_dir() and path.name != "__pycache__" and any(path.rglob("*.*"))
        }
        assert folders <= paths


def kernel_groups(root):
    """(family, group) of every kernel group: a contract beside its CPU kernels."""
    for path in sorted(root.glob("csrc/*/*_cpu.cpp")):
        group = path.name.removesuffix("_cpu.cpp")
        if path.parent.name != "bindings" and path.with_name(f"{group}.hpp").exists():
            yield path.parent.name, group


def test_every_kernel_group_has_its_twins(root):
    groups = list(kernel_groups(root))
    assert ("hypernet", "match") in groups
    missing = [
        twin
        for family, group in groups
        for twin in (
            f"csrc/{family}/{group}_cuda.cu",
            f"tests/ops/test_{family}_{group}.py",
            f"bench/native/{family}_{group}_bench.cpp",
        )
        if not (root / twin).exists()
    ]
    assert missing == []


def test_every_text_group_has_its_native_test(root):
    """Groups that are no kernels, as what they give depends on the text: those that are bound."""
    groups = {
        (family, group)
        for path in root.glob("csrc/bindings/*_cpu.cpp")
        for family, group in re.findall(r'#include "(align)/(\w+)\.hpp"', path.read_text())
        if (root / f"csrc/{family}/{group}.cpp").exists()
    }
    assert ("align", "ngram") in groups
    missing = [
        f"tests/native/{family}_{group}_test.cpp"
        for family, group in sorted(groups)
        if not (root / f"tests/native/{family}_{group}_test.cpp").exists()
    ]
    assert missing == []


def test_every_public_op_has_its_reference_and_its_tests(root):
    for family in polyad.ops.__all__:
        module = getattr(polyad.ops, family)
        ops = [name for name in module.__all__ if inspect.isfunction(getattr(module, name))]
        files = [root / f"python/polyad/reference/{family}.py"]
        files += sorted((root / "python/polyad/reference").glob(f"{family}_*.py"))
        reference = "".join(path.read_text() for path in files)
        tests = "".join(p.read_text() for p in (root / "tests/ops").glob(f"test_{family}_*.py"))
        for op in ops:
            assert re.search(rf"^def {op}\(", reference, flags=re.MULTILINE), op
            if len(files) > 1:  # of several files the family's own has all names
                assert hasattr(importlib.import_module(f"polyad.reference.{family}"), op), op
            assert re.search(rf'\b{op}\(|"{op}"', tests), op


def test_the_version_is_stated_once(root):
    version = polyad.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|rc\d+)?", version)
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert "version" in project["dynamic"]
    assert "version" not in project
    assert version in (root / "python/polyad/_version.py").read_text()
    for path in [*root.glob("python/**/*.py"), root / "CMakeLists.txt"]:
        if path.name != "_version.py":
            assert f'"{version}"' not in path.read_text(), path
    # A citation and a change log name the release they belong to; they must agree with it.
    assert re.search(rf"^version: {re.escape(version)}$", (root / "CITATION.cff").read_text(), re.M)
    assert re.search(rf"^## {re.escape(version)}\b", (root / "CHANGELOG.md").read_text(), re.M)


def test_constraints_cover_what_the_package_asks_for(root):
    """Every requirement of the package and its extras has one exact version per Python."""
    pins = [
        line.split(";")[0].strip()
        for line in (root / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert all(re.fullmatch(r"[a-z0-9.-]+==[0-9][0-9a-z.]*", pin) for pin in pins), pins
    pinned = {pin.split("==")[0] for pin in pins}
    project = tomllib.loads((root / "pyproject.toml").read_text())
    wanted = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *itertools.chain(*project["project"]["optional-dependencies"].values()),
    ]
    names = {re.match(r"[A-Za-z0-9._-]+", requirement).group().lower() for requirement in wanted}
    assert names - {"polyad"} <= pinned
    assert all(">=" in requirement for requirement in wanted if "polyad[" not in requirement)
