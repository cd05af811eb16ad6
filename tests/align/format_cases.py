"""Random alignments for the formats."""

import math

import numpy as np
from hypothesis import strategies as st

from polyad.align import LABELS, Alignment, Document

# Any text that a UTF-8 file can hold, but for NUL, which the readers refuse.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
SCORE = st.one_of(
    st.just(math.nan), st.floats(0, 1), st.floats(allow_nan=False, allow_infinity=False)
)


@st.composite
def alignments(draw, monotone=False, name=TEXT):
    """One alignment: sentences of any text, beads of any order unless monotone."""
    document = Document(
        draw(st.lists(TEXT, max_size=8)), draw(st.lists(TEXT, max_size=8)), name=draw(name)
    )
    n, m = len(document.source), len(document.target)
    spans = []
    if n and m:
        if monotone:
            i = j = 0
            for _ in range(draw(st.integers(0, 4))):
                a, b = i + draw(st.integers(0, 2)), j + draw(st.integers(0, 2))
                i, j = a + draw(st.integers(1, 3)), b + draw(st.integers(1, 3))
                if i > n or j > m:
                    break
                spans.append((a, i, b, j))
        else:
            for _ in range(draw(st.integers(0, 4))):
                a, b = draw(st.integers(0, n - 1)), draw(st.integers(0, m - 1))
                spans.append((a, draw(st.integers(a + 1, n)), b, draw(st.integers(b + 1, m))))
    return Alignment(
        document,
        np.array(spans, np.int32).reshape(-1, 4),
        np.array([draw(SCORE) for _ in spans], np.float64),
        np.array([draw(st.integers(0, len(LABELS) - 1)) for _ in spans], np.int8),
    )


def corpora(**options):
    """Alignments of some documents with different names."""
    return st.lists(alignments(**options), max_size=3, unique_by=lambda one: one.document.name)


def same(found, expected, *, labels=True, score=None):
    """Whether beads are equal; ``score`` replaces a missing one."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert (one.source, one.target) == (other.source, other.target)
        wanted = score if math.isnan(other.score) and score is not None else other.score
        assert one.score == wanted or (math.isnan(one.score) and math.isnan(wanted))
        if labels:
            assert one.label == other.label
