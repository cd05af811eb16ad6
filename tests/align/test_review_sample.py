"""Beads to judge are drawn fairly, and what the judgements say is what statistics says."""

import json
import math

import numpy as np
import pytest

from polyad.align import LABELS, Alignment, Document
from polyad.align.review import (
    FORMAT_VERSION,
    KIND,
    Band,
    accuracy,
    draw_sample,
    read_judgements,
    stratified,
    wilson,
)
from polyad.data import DataError


def alignment(scores, name=""):
    """1-1 beads with these scores."""
    n = len(scores)
    texts = [f"sentence {i}" for i in range(n)]
    at = np.arange(n, dtype=np.int32)
    spans = np.stack([at, at + 1, at, at + 1], axis=1)
    labels = np.full(n, LABELS.index("BLEU"), np.int8)
    return Alignment(Document(texts, texts, name=name), spans, np.array(scores, float), labels)


def test_bands_hold_equal_numbers_and_every_band_is_sampled(rng):
    made = [alignment(rng.random(70)), alignment(rng.random(30))]
    sample = draw_sample(made, bands=4, per_band=10, seed=3)
    assert [band.beads for band in sample.bands] == [25] * 4
    assert [band.sampled for band in sample.bands] == [10] * 4
    assert len(set(sample.items)) == len(sample.items) == 40
    for low, high in zip(sample.bands, sample.bands[1:], strict=False):
        assert low.low <= low.high < high.low <= high.high
    for item in sample.items:
        band = sample.bands[item.band]
        assert band.low <= sample.bead(item).score <= band.high
    assert draw_sample(made, bands=4, per_band=10, seed=3) == sample
    assert draw_sample(made, bands=4, per_band=10, seed=3).digest() == sample.digest()
    other = draw_sample(made, bands=4, per_band=10, seed=4)
    assert other.items != sample.items
    assert other.digest() != sample.digest()
    first = [item.band for item in sample.items[:20]]
    assert len(set(first)) == 4  # shuffled: the band of a bead cannot be guessed from its place


def test_every_bead_is_equally_likely_within_its_band():
    made = [alignment(np.arange(20) / 20)]
    drawn = np.zeros(20)
    for seed in range(400):
        for item in draw_sample(made, bands=2, per_band=5, seed=seed).items:
            drawn[item.place] += 1
    assert abs(drawn / 400 - 0.5).max() < 0.1  # four standard deviations


def test_equal_scores_stay_together_and_missing_ones_apart():
    sample = draw_sample([alignment([0.5] * 5 + [0.9] * 5 + [math.nan] * 3)], bands=5, per_band=100)
    assert [(band.low, band.high, band.beads) for band in sample.bands[:2]] == [(0.5, 0.5, 5), (0.9, 0.9, 5)]  # fmt: skip
    assert math.isnan(sample.bands[2].low)
    assert sample.bands[2].beads == 3
    assert len(sample.items) == 13
    alone = draw_sample([alignment([math.nan] * 2)])
    assert [band.beads for band in alone.bands] == [2]


def test_edges_begin_bands():
    sample = draw_sample([alignment([0.1, 0.2, 0.3, 0.95])], edges=[0.2, 0.9, 2.0])
    assert [(band.low, band.high) for band in sample.bands] == [(0.1, 0.1), (0.2, 0.3), (0.95, 0.95)]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bands": 0}, "bands: expected at least 1, got 0"),
        ({"per_band": 0}, "per_band: expected at least 1, got 0"),
        ({"edges": [0.5, 0.5]}, "edges: expected ascending numbers"),
        ({"edges": [math.nan]}, "edges: expected ascending numbers"),
    ],
)
def test_senseless_samples_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        draw_sample([alignment([0.5])], **options)


def test_nothing_to_judge_is_refused():
    with pytest.raises(ValueError, match="at least one bead"):
        draw_sample([alignment([])])
    with pytest.raises(ValueError, match="at least one bead"):
        draw_sample([])


@pytest.mark.parametrize(("right", "judged"), [(0, 1), (1, 1), (0, 40), (40, 40), (33, 40), (5, 9)])
def test_wilson_is_scipys(right, judged):
    stats = pytest.importorskip("scipy.stats")
    expected = stats.binomtest(right, judged).proportion_ci(method="wilson")
    found = wilson(right, judged)
    assert found.share == right / judged
    np.testing.assert_allclose(found[1:], [expected.low, expected.high], atol=1e-12)


def test_who_has_judged_all_knows_the_share():
    assert wilson(3, 4, 4) == (0.75, 0.75, 0.75)
    wide, narrow = wilson(30, 40, 10**9), wilson(30, 40, 50)
    assert wide.low < narrow.low < narrow.share < narrow.high < wide.high
    np.testing.assert_allclose(wide, wilson(30, 40), atol=1e-6)
    assert math.isnan(wilson(0, 0, 7).share)


def test_stratified_weighs_bands_by_their_beads():
    assert stratified([10**9], [30], [40]) == pytest.approx(wilson(30, 40, 10**9))
    found = stratified([900, 100], [40, 0], [40, 40])
    assert found.share == pytest.approx(0.9)
    assert 0 < found.low < 0.9 < found.high < 1  # though every band's judgements are equal
    assert stratified([900, 100], [40, 0], [40, 0]).share == 1  # nothing is known of the second
    assert math.isnan(stratified([5], [0], [0]).share)


def test_intervals_hold_what_they_promise(rng):
    beads, shares = np.array([4000, 1500, 500]), np.array([0.98, 0.8, 0.3])
    right = (beads * shares).astype(int)
    true = right.sum() / beads.sum()
    held = 0
    for _ in range(600):
        found = stratified(beads, rng.hypergeometric(right, beads - right, 40), [40] * 3)
        held += found.low <= true <= found.high
    assert 0.92 < held / 600 <= 1


def test_rows_of_the_table():
    bands = [Band(0.1, 0.4, 50, 10), Band(0.5, 0.9, 150, 10), Band(math.nan, math.nan, 4, 4)]
    counts = [{"correct": 2, "partly": 3, "wrong": 5, "skipped": 0}, {"correct": 9, "wrong": 1}, {}]
    low, high, none, every = accuracy(bands, counts)
    assert (low.correct, low.partly, low.wrong, low.judged) == (2, 3, 5, 10)
    assert low.strict == wilson(2, 10, 50)
    assert low.lax == wilson(5, 10, 50)
    assert (low.kept, high.kept, every.kept) == (200, 150, 204)
    assert high.upwards == pytest.approx(wilson(9, 10, 150))
    assert low.upwards.share == pytest.approx((50 * 0.2 + 150 * 0.9) / 200)
    assert math.isnan(none.strict.share)
    assert every.strict.share == low.upwards.share
    assert every.judged == 20


def saved(**change):
    band = {"low": 0.1, "high": 0.9, "beads": 8, "sampled": 2}
    one = {"band": 0, "verdict": "correct", "note": ""}
    return {
        "kind": KIND, "format_version": FORMAT_VERSION, "title": "t", "bands": [band],
        "judgements": [one, {**one, "verdict": None}], **change,
    }  # fmt: skip


def test_judgements_are_read(tmp_path):
    path = tmp_path / "judgements.json"
    path.write_text(json.dumps(saved()))
    told = read_judgements(path)
    assert told.bands == [Band(0.1, 0.9, 8, 2)]
    assert told.counts == [{"correct": 1, "partly": 0, "wrong": 0, "skipped": 0}]
    nothing = {"low": None, "high": None, "beads": 8, "sampled": 2}
    path.write_text(json.dumps(saved(bands=[nothing])))
    assert math.isnan(read_judgements(path).bands[0].low)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "expected judgements saved by a page"),
        (saved(kind="other"), "expected judgements saved by a page"),
        (saved(format_version=2), "format_version: expected 1, got 2"),
        (saved(bands=None), "not iterable"),
        (saved(bands=[{"low": 0}]), "lacks 'high'"),
        (saved(bands=[{"low": 0, "high": 1, "beads": 1, "sampled": 2}]), "1 to 1 beads sampled"),
        (saved(judgements=[{"band": 1, "verdict": "wrong"}]), "band 1 of 1"),
        (saved(judgements=[{"band": "0", "verdict": "wrong"}]), "unknown verdict or band"),
        (saved(judgements=[{"band": 0, "verdict": "maybe"}]), "unknown verdict or band"),
        (saved(judgements=[{"band": 0, "verdict": "wrong"}] * 9), "9 judgements of 8 beads"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    path = tmp_path / "judgements.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    with pytest.raises(DataError, match=message) as caught:
        read_judgements(path)
    assert str(caught.value).startswith(str(path))
