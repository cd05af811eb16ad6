"""Strict and lax agreement with a gold alignment."""

import pytest

from polyad.align import Bead
from polyad.align.evaluate import Agreement, evaluate


def beads(*pairs):
    return [Bead(tuple(source), tuple(target)) for source, target in pairs]


GOLD = beads(([0], [0]), ([1, 2], [1]), ([3], []), ([4], [2, 3]), ([], [4]), ([5], [5]))


def test_a_gold_alignment_agrees_with_itself_and_null_beads_do_not_count():
    result = evaluate([GOLD], [GOLD])
    assert result.strict == result.lax == Agreement(4, 4, 4, 4)
    assert result.strict.f1 == 1


def test_strict_wants_the_bead_and_lax_an_overlap_on_both_sides():
    found = beads(([0], [0]), ([1], [1]), ([3], [2]), ([4], [3]), ([5], [4]))
    result = evaluate([found], [GOLD])
    assert result.strict == Agreement(5, 4, 1, 1)
    # [3]:[2] touches a null bead and, by its target alone, another; [5]:[4] the same way round
    assert result.lax == Agreement(5, 4, 3, 3)
    assert result.strict.precision == pytest.approx(0.2)
    assert result.lax.recall == pytest.approx(0.75)
    assert result.lax.f1 == pytest.approx(2 * 0.6 * 0.75 / 1.35)


def test_two_beads_may_touch_one_gold_bead():
    result = evaluate([beads(([1], [1]), ([2], [1]))], [GOLD])
    assert result.lax == Agreement(2, 4, 2, 1)


def test_documents_are_summed_not_averaged():
    result = evaluate([GOLD, beads()], [GOLD, beads(([0], [0]))])
    assert result.strict == Agreement(4, 5, 4, 4)


def test_nothing_found_and_nothing_to_find_score_nothing():
    assert evaluate([[]], [GOLD]).strict.f1 == 0
    assert evaluate([GOLD], [[]]).lax.f1 == 0
    assert evaluate([], []).strict == Agreement(0, 0, 0, 0)


def test_another_number_of_documents_is_an_error():
    with pytest.raises(ValueError, match="found: expected 1 documents as gold has, got 0"):
        evaluate([], [GOLD])
