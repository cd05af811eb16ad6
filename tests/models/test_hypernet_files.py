"""Saving, loading and resuming."""

import json
from pathlib import Path

import numpy as np
import pytest

from polyad.models import Hypernet

FIRST = Path(__file__).parent / "hypernet-1.npz"


def same(a, b):
    assert a.edges_ == b.edges_
    for name in ("weights_", "labels_", "tolerances_", "classes_"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert a.n_iter_ == b.n_iter_


@pytest.mark.parametrize(
    "settings",
    [{}, {"epochs": 0, "orders": (3, 8)}, {"objective": "likelihood"}, {"draw": "common"}],
    ids=["votes", "one-shot", "likelihood", "common"],
)
def test_what_is_saved_is_loaded(patterns, tmp_path, settings):
    x, y = patterns
    net = Hypernet(random_state=0, **{"epochs": 3, **settings}).fit(x, y)
    net.save(tmp_path / "net.npz")
    again = Hypernet.load(tmp_path / "net.npz")
    same(net, again)
    assert again.get_params() == net.get_params()
    np.testing.assert_array_equal(again.predict_proba(x), net.predict_proba(x))
    mask = np.random.default_rng(0).random(x.shape) < 0.5
    np.testing.assert_array_equal(again.recall(x, mask), net.recall(x, mask))
    assert [p.name for p in tmp_path.iterdir()] == ["net.npz"]


@pytest.mark.parametrize("objective", ["votes", "likelihood"])
@pytest.mark.parametrize("stop", [0, 1, 3])
def test_resuming_is_as_if_nothing_had_happened(patterns, tmp_path, objective, stop):
    x, y = patterns
    settings = {"objective": objective, "epochs": 5, "max_edges": 300, "random_state": 1}
    whole = Hypernet(**settings).fit(x, y)

    def save_and_stop(info):
        if info["epoch"] == stop:
            part.save(tmp_path / "part.npz")
        return info["epoch"] == stop

    part = Hypernet(**settings)
    part.fit(x, y, on_progress=save_and_stop)
    assert part.n_iter_ == stop
    resumed = Hypernet.load(tmp_path / "part.npz").resume(x, y)
    same(whole, resumed)
    same(whole, part.resume(x, y))


def test_a_stream_continues(patterns, tmp_path):
    x, y = patterns
    whole = Hypernet(max_edges=90, random_state=2)
    for begin in range(0, 240, 40):
        whole.partial_fit(x[begin : begin + 40], y[begin : begin + 40], classes=[0, 1, 2])
    part = Hypernet(max_edges=90, random_state=2)
    for begin in range(0, 240, 40):
        part.partial_fit(x[begin : begin + 40], y[begin : begin + 40], classes=[0, 1, 2])
        part.save(tmp_path / "net.npz")
        part = Hypernet.load(tmp_path / "net.npz")
    same(whole, part)


def test_labels_and_names_survive(patterns, tmp_path):
    pandas = pytest.importorskip("pandas")
    x, y = patterns
    frame = pandas.DataFrame(x, columns=[f"f{j}" for j in range(24)])
    words = np.array(["ant", "bee", "cat"], dtype=object)[y]
    net = Hypernet(epochs=1, random_state=0).fit(frame, words)
    net.save(tmp_path / "net.npz")
    again = Hypernet.load(tmp_path / "net.npz")
    assert again.feature_names_in_.tolist() == frame.columns.tolist()
    assert again.predict(frame[:9]).tolist() == net.predict(frame[:9]).tolist()


def test_the_first_format_is_still_read(digits):
    x, y = digits
    net = Hypernet.load(FIRST)
    with np.load(FIRST) as file:
        header = json.loads(bytes(file["header"]).decode())
    assert header["format_version"] == 1
    assert net.score(x[1200:], y[1200:]) > 0.75
    assert net.resume(x[:1200], y[:1200]).n_iter_ == net.epochs


def rewritten(source, target, **changes):
    with np.load(source) as file:
        fields = dict(file)
    header = json.loads(bytes(fields["header"]).decode())
    header |= {name: changes.pop(name) for name in list(changes) if name in header}
    fields |= changes
    fields["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(target, **fields)


def test_damaged_and_foreign_files_are_refused(patterns, tmp_path):
    path, bad = tmp_path / "net.npz", tmp_path / "bad.npz"
    Hypernet(epochs=1, random_state=0).fit(*patterns).save(path)
    with pytest.raises(FileNotFoundError):
        Hypernet.load(tmp_path / "none.npz")
    bad.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="expected a file that Hypernet"):
        Hypernet.load(bad)
    bad.write_text("hello")
    with pytest.raises(ValueError, match="expected a file that Hypernet"):
        Hypernet.load(bad)
    np.savez(bad, a=np.zeros(3))
    with pytest.raises(ValueError, match="expected a file that Hypernet"):
        Hypernet.load(bad)
    rewritten(path, bad, format_version=2)
    with pytest.raises(ValueError, match="format_version 2 is newer than 1"):
        Hypernet.load(bad)
    rewritten(path, bad, kind="something else")
    with pytest.raises(ValueError, match="it holds something else"):
        Hypernet.load(bad)
    rewritten(path, bad, weights=np.zeros(3))
    with pytest.raises(ValueError, match="weights does not have one entry for each"):
        Hypernet.load(bad)


def test_a_failed_save_leaves_what_was_there(patterns, tmp_path, monkeypatch):
    net = Hypernet(epochs=1, random_state=0).fit(*patterns)
    path = tmp_path / "net.npz"
    net.save(path)
    before = path.read_bytes()

    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="disk full"):
        net.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["net.npz"]
