"""Documents generated to measure what aligning costs."""

import collections
import hashlib
import itertools

import numpy as np
import pytest

from polyad.data import align_synthetic


def words(sentence):
    return sentence.lower().replace(".", " .").replace(",", " ,").split()


def test_a_document_is_a_function_of_its_arguments():
    def of(*arguments, **options):
        made = align_synthetic(*arguments, **options)
        document = made.document
        return document.source, document.target, document.translations, made.spans.tolist()

    assert of(60) == of(60, seed=0, document=0)
    assert of(60) != of(60, seed=1)
    assert of(60) != of(60, document=1)
    # what the measurements of other days were made with
    source, target, (translation,), _ = of(60)
    text = "\n".join([*source, *target, *translation])
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "0baa12edbc8b7c47"


@pytest.mark.parametrize(
    ("sentences", "options", "targets"),
    [
        (1, {}, 1),
        (2, {}, 2),
        (100, {}, 95),
        (1000, {}, 950),
        (150, {"insertions": 0.08}, 150),
        (40, {"merges": 0.3, "deletions": 0.3, "insertions": 0.0}, 16),
        (30, {"merges": 0.0, "deletions": 0.0, "insertions": 0.0}, 30),
    ],
)
def test_sizes_and_beads_are_those_asked_for(sentences, options, targets):
    made = align_synthetic(sentences, **options)
    document = made.document
    assert (len(document.source), len(document.target)) == (sentences, targets)
    assert len(document.translations[0]) == sentences
    for side in (document.source, document.target, *document.translations):
        assert all(side)
    merges, deletions = (
        round(options.get(name, share) * sentences)
        for name, share in (("merges", 0.05), ("deletions", 0.03))
    )
    sizes = collections.Counter((len(bead.source), len(bead.target)) for bead in made.beads)
    assert sizes[2, 1] == merges
    assert sizes.total() == sentences - merges - deletions
    for first, second in itertools.pairwise(made.beads):
        assert max(first.source) < min(second.source)
        assert max(first.target) < min(second.target)


def test_the_beads_are_those_of_the_text():
    made = align_synthetic(200, seed=3)
    document = made.document
    # without its noise a translation is its target, so most of its words are found there
    found = missed = 0
    for bead in made.beads:
        target = collections.Counter(words(document.target[bead.target[0]]))
        translation = collections.Counter(
            word for i in bead.source for word in words(document.translations[0][i])
        )
        found += (translation & target).total()
        missed += (translation - target).total()
    assert 0.6 < found / (found + missed) < 0.85
    # and it has as many words as the source, but for those dropped and those that came in
    lengths = [
        sum(map(len, map(words, side))) for side in (document.source, *document.translations)
    ]
    assert 0.9 < lengths[1] / lengths[0] < 1.0


def test_pairs_of_words_repeat_as_in_real_text():
    target = [words(sentence) for sentence in align_synthetic(10_000).document.target]
    tokens = collections.Counter(word for sentence in target for word in sentence)
    pairs = collections.Counter(pair for s in target for pair in itertools.pairwise(s))
    # the English of the LibreOffice help, 10,000 sentences: 12.7, 5,735, 38,170
    assert 12 < tokens.total() / len(target) < 14
    assert 5_000 < len(tokens) < 7_000
    assert 35_000 < len(pairs) < 45_000


def test_no_two_words_of_a_language_are_the_same():
    from polyad.data.align_synthetic import WORDS, _words

    for language in ("source", "target"):
        assert len(set(_words(language))) == WORDS + 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sentences": 0}, "sentences: expected at least 1, got 0"),
        ({"sentences": 5, "seed": -1}, r"seed: expected 0 .. 2\*\*64 - 1, got -1"),
        ({"sentences": 5, "document": 1 << 64}, "document: expected"),
        ({"sentences": 5, "merges": 0.5}, "merges: expected a share of 0 .. 0.3, got 0.5"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        align_synthetic(**arguments)


def test_offsets_do_not_depend_on_the_machine():
    made = align_synthetic(50)
    assert made.spans.dtype == np.int32
    assert set(made.labels.tolist()) == {5}
