"""The mode 'accurate'."""

import re

import numpy as np
import pytest

from polyad import _backend
from polyad.align import Aligner, Document
from polyad.align.accurate import AccurateMode
from polyad.align.accurate_weights import WEIGHTS

SOURCE = [
    "Am Morgen verließen wir die Hütte.",
    "Der Weg war lang und steil .",
    "Nach drei Stunden",
    "erreichten wir den Gipfel des Piz Buin , 3312 m .",
    "Dort trafen wir zwei Führer aus Guarda und einen alten Freund !",
    "War das Wetter gut ?",
    "Nein , es schneite .",
]
TRANSLATION = [
    "In the morning we left the hut.",
    "The way was long and steep.",
    "After three hours",
    "we reached the summit of Piz Buin, 3312 m.",
    "There we met two guides from Guarda and an old friend!",
    "Was the weather good?",
    "No, it snowed.",
]
TARGET = [
    "We left the hut early in the morning.",
    "The path was long and steep.",
    "We reached the summit of Piz Buin (3312 m) after three hours.",
    "There we met two guides from Guarda.",
    "An old friend was with them !",
    "Was the weather any good?",
    "No : it snowed.",
]
GOLD = [((0,), (0,)), ((1,), (1,)), ((2, 3), (2,)), ((4,), (3, 4)), ((5,), (5,)), ((6,), (6,))]


def pairs(alignment):
    return [(bead.source, bead.target) for bead in alignment.beads]


@pytest.mark.parametrize(
    "document",
    [
        Document(SOURCE, TARGET, (TRANSLATION,)),
        Document(SOURCE, TARGET, (TRANSLATION, TRANSLATION)),
        Document(TARGET, SOURCE, (), (TRANSLATION,)),
    ],
)
@pytest.mark.parametrize("direct", [True, False])
def test_beads_of_a_translated_text(document, direct):
    alignment = Aligner("accurate", direct=direct).align(document)
    gold = GOLD if document.translations else [(target, source) for source, target in GOLD]
    assert pairs(alignment) == gold
    assert {bead.label for bead in alignment.beads} == {"PATH"}
    assert ((alignment.scores > 0.3) & (alignment.scores <= 1)).all()


def test_no_translation_is_needed():
    alignment = Aligner("accurate").align(Document(TRANSLATION, TARGET))
    assert pairs(alignment) == GOLD


def test_texts_that_share_nothing_are_aligned_by_length():
    source = ["가나다 라마바 사아자 차카타", "파하", "가나다라 마바사 아자차 카타파하 가나"] * 3
    target = ["a big long word there it is", "oh no", "another even much longer sentence ends"] * 3
    assert len(Aligner("accurate").align(Document(source, target)).beads) >= 6


@pytest.mark.parametrize(("source", "target"), [([], []), ([], ["a"]), (["a"], []), ([""], [""])])
def test_empty_texts(source, target):
    alignment = Aligner("accurate").align(Document(source, target, (source,), (target,)))
    assert len(alignment.spans) <= 1
    assert len(alignment.beads_with_nulls()) == len(source) + len(target) - len(alignment.spans)


def test_sentences_that_moved_cross_the_others_unless_told_not_to():
    source = [f"{a} {b}." for a, b in zip(TRANSLATION, SOURCE, strict=True)]
    moved = [*source[1:4], "Something else altogether", "and more", *source[4:], source[0]]
    document = Document(moved, source)
    crossing = Aligner("accurate").align(document)
    assert ((8,), (0,)) in pairs(crossing)
    straight = Aligner("accurate", moved_cost=None).align(document)
    assert (np.diff(straight.spans[:, 2]) > 0).all()
    for alignment in (crossing, straight):
        used = [i for bead in alignment.beads_with_nulls() for i in bead.source]
        assert sorted(used) == list(range(len(moved)))


def test_documents_share_threads_and_answers_do_not_depend_on_them():
    documents = [Document(SOURCE * k, TARGET * k, (TRANSLATION * k,)) for k in range(1, 6)]
    before = _backend.cpu.get_num_threads()
    found = []
    try:
        for threads in (1, 3):
            _backend.cpu.set_num_threads(threads)
            found.append(list(Aligner("accurate").align_all(documents)))
    finally:
        _backend.cpu.set_num_threads(before)
    for one, three in zip(*found, strict=True):
        np.testing.assert_array_equal(one.spans, three.spans)
        np.testing.assert_array_equal(one.scores, three.scores)


def test_ends_and_beginnings_in_other_scripts():
    mode = AccurateMode()
    side = mode.evidence(
        Document(["そう。", "是吗\uff1f", "(a", "Yes .", "no »", ""], ["x"])
    ).source
    dot, question, other, latin, quote, nothing = side.marks.tolist()
    assert dot == latin == 0
    assert question == 2
    assert other >= 8
    assert quote == 8 + 4
    assert nothing == other - 8
    assert side.lengths.tolist() == [3, 3, 2, 4, 3, 0]


def test_there_are_weights_for_every_kind_of_evidence():
    assert {kind: len(values) for kind, values in WEIGHTS.items()} == {
        "both": 25,
        "translated": 23,
        "direct": 23,
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_sentences": 1}, "max_sentences: expected 2 .. 8, got 1"),
        ({"threshold": -0.1}, "threshold: expected 0 .. 1, got -0.1"),
        ({"margin": 0}, "margin: expected at least 1, got 0"),
        ({"moved_cost": float("nan")}, "moved_cost: expected a finite number or None, got nan"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Aligner("accurate", **options)
