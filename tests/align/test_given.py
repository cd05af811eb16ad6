"""Beads from files meet their texts."""

import math

import numpy as np
import pytest

from polyad.align import Aligner, Bead, Document
from polyad.align.given import alignment_of, line_by_line, with_texts
from polyad.data.align_sample import korean_readme


def test_beads_become_the_alignment_they_came_from():
    made = Aligner().align(korean_readme().document)
    again = alignment_of(made.document, reversed(made.beads_with_nulls()))
    np.testing.assert_array_equal(again.spans, made.spans)
    np.testing.assert_array_equal(again.scores, made.scores)
    assert again.beads == made.beads
    assert len(alignment_of(made.document, []).spans) == 0


def test_beads_may_leave_out_a_sentence_in_their_midst():
    beads = [Bead((0,), (0, 2), 0.5, "BLEU"), Bead((1,), (1,), 0.25, "GAPFILLER")]
    made = alignment_of(Document(["a", "b"], ["a", "b", "c"]), beads)
    assert made.beads == beads
    assert made.spans.tolist() == [[0, 1, 0, 3], [1, 2, 1, 2]]


@pytest.mark.parametrize(
    ("bead", "message"),
    [
        (Bead((2,), (0,)), r"d: bead \[2\]:\[0\]: expected sentences 0 to 1 of the source"),
        (Bead((0,), (0, 0)), r"expected target sentences in ascending order"),
        (Bead((0,), (3,)), r"expected sentences 0 to 2 of the target"),
        (Bead((1, 0), (0,)), r"expected source sentences in ascending order"),
    ],
)
def test_beads_of_other_texts_are_refused(bead, message):
    with pytest.raises(ValueError, match=message):
        alignment_of(Document(["a", "b"], ["a", "b", "c"], name="d"), [bead])


def test_documents_and_beads_must_be_as_many():
    document, bead = Document(["a"], ["b"]), Bead((0,), (0,), 0.5)
    (made,) = with_texts([document], [("x", [bead])])
    assert made.beads == [bead]
    with pytest.raises(ValueError, match="another document after 1, got none"):
        list(with_texts([document] * 2, [("x", [bead])]))
    with pytest.raises(ValueError, match="of 1 documents, as the texts have, got more"):
        list(with_texts([document], [("x", [bead])] * 2))


def test_lines_that_belong_together():
    (made,) = line_by_line([Document(["a", "b"], ["c", "d"])])
    assert [made.text(bead) for bead in made.beads] == [("a", "c"), ("b", "d")]
    assert all(math.isnan(bead.score) for bead in made.beads)
    with pytest.raises(ValueError, match="got 1 and 2"):
        list(line_by_line([Document(["a"], ["c", "d"])]))
