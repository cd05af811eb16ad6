"""The kernel and the reference train alike; only the time differs."""

import pytest

pytest.importorskip("torch")
from polyad.recipes import ntm_eager


def test_both_take_the_same_updates():
    figures = ntm_eager.run("copy", updates=2)
    assert figures["updates"] == 2
    assert figures["sequences"] == 20_000
    assert figures["reference_over_kernel"] == pytest.approx(
        figures["reference_milliseconds_per_update"] / figures["kernel_milliseconds_per_update"]
    )


def test_no_updates_are_refused():
    with pytest.raises(ValueError, match="updates: expected at least 1, got 0"):
        ntm_eager.run("copy", updates=0)


def test_a_reference_that_computes_something_else_is_refused(monkeypatch):
    from polyad.reference import ntm

    scan = ntm.scan
    monkeypatch.setattr(ntm, "scan", lambda x, *rest, **options: scan(0 * x, *rest, **options))
    with pytest.raises(RuntimeError, match="the reference came to"):
        ntm_eager.run("copy", updates=1)
