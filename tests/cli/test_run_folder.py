"""The run folder as files, independent of any model."""

import json

import numpy as np
import pytest

import polyad
from polyad.report.figures import confusion
from polyad.run import Run, RunError, require_free

# format_version 1 as it was first written; later versions must go on reading it
FIRST = {
    "settings.json": '{"format_version": 1, "model": "hypernet", "polyad": "0.1.0", "a": [1, "b"]}',
    "metrics.json": '{"format_version": 1, "accuracy_test_percent": 95.25, "edges": 400}',
    "history.json": '{"format_version": 1, "columns": {"epoch": [0, 1], "seconds": [0.5, 0.75]}}',
    "edges.json": '{"format_version": 1, "head": ["a", "b"], "rows": [["c", "d"]]}',
}


@pytest.fixture
def first(tmp_path):
    for name, text in FIRST.items():
        (tmp_path / name).write_text(text)
    return Run.open(tmp_path)


def test_reads_the_first_format(first):
    assert first.model == "hypernet"
    assert first.settings == {"a": [1, "b"]}
    assert first.metrics() == {"accuracy_test_percent": 95.25, "edges": 400}
    assert first.history() == [{"epoch": 0, "seconds": 0.5}, {"epoch": 1, "seconds": 0.75}]
    assert first.table("edges") == (["a", "b"], [["c", "d"]])


def test_writes_what_it_reads(first, tmp_path):
    run = Run(tmp_path / "below" / "run", "hypernet", {"a": [1, "b"]})
    run.begin()
    run.add_metrics(accuracy_test_percent=95.25)
    run.add_metrics(edges=400)
    run.write_history(first.history())
    run.write_table("edges", ["a", "b"], [("c", "d")])
    for name, text in FIRST.items():
        content = json.loads(text)
        if "polyad" in content:
            content["polyad"] = polyad.__version__
        assert json.loads(run.file(name).read_text()) == content


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_metrics_are_numbers_with_plain_names(first, value):
    with pytest.raises(ValueError, match="metric a: expected a finite number"):
        first.add_metrics(a=value)
    with pytest.raises(ValueError, match="expected a name of a-z, 0-9 and _"):
        first.add_metrics(**{"accuracy %": 1.0})
    assert "a" not in first.metrics()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("metrics.json", '{"format_version": 1, "a": "b"}'),
        ("metrics.json", '{"format_version": 2}'),
        ("history.json", '{"format_version": 1}'),
        ("history.json", '{"format_version": 1, "columns": {"epoch": [1, 2], "seconds": [1]}}'),
        ("history.json", '{"format_version": 1, "columns": {"seconds": [1]}}'),
        ("edges.json", '{"format_version": 1, "head": 3}'),
    ],
)
def test_damage_is_named(first, name, text):
    first.file(name).write_text(text)
    with pytest.raises(RunError, match=name):
        (first.metrics(), first.history("epoch"), first.table("edges"))


def test_begin_replaces_its_own_files_alone(first):
    (first.path / "notes.md").write_text("mine")
    (first.path / "other.png").write_text("mine")
    first.save_picture("confusion", confusion(np.array([[1]]), ["a"]))
    assert first.picture("confusion").is_file()
    first.begin()
    names = sorted(path.name for path in first.path.rglob("*"))
    assert names == ["notes.md", "other.png", "settings.json"]


def test_where_a_run_may_be_made(first, tmp_path):
    with pytest.raises(RunError, match="holds a run already"):
        require_free(first.path, replace=False)
    require_free(first.path, replace=True)
    require_free(tmp_path / "a" / "b", replace=False)
    (tmp_path / "empty").mkdir()
    require_free(tmp_path / "empty", replace=False)
    with pytest.raises(RunError, match="is a file"):
        require_free(tmp_path / "edges.json", replace=True)
