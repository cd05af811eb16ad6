"""The mode 'bleualign' against its reference in plain Python, and against Bleualign's own beads."""

import numpy as np
import pytest
from bleualign_cases import random_case
from hypothesis import given, settings
from hypothesis import strategies as st

import polyad
from polyad.align import Aligner, Document
from polyad.align.tokenizers import tokenizer
from polyad.align.vectors import WordVectors
from polyad.reference import bleualign as reference

B, F, G = "BLEU", "GAPFILLER", "GALECHURCH"


def characters(text):
    return [character.lower() for character in text if character != " "]


def nist(text):
    return tokenizer("nist")([text])[0]


def document(case):
    return Document(
        case.source, case.target, tuple(case.translations), tuple(case.back_translations)
    )


def found(alignment):
    return [(bead.source, bead.target, bead.label) for bead in alignment.beads]


def expected(case, *, char_level=False, gap_links=True, gap_lengths=True, **options):
    """The reference's beads; a label of two directions is that of the first."""
    beads = reference.align(
        *case,
        characters if char_level else nist,
        reference.Options(link_gaps=gap_links, length_gaps=gap_lengths, **options),
    )
    return [(s, t, label.removeprefix("INTERSECT: ").split(" - ")[0]) for s, t, label in beads]


# What Bleualign itself finds. Translation, target, options, beads.
MICRO = {
    "what reads the same is linked": (
        ["a b", "c d", "e f"],
        ["a b", "c d", "e f"],
        {},
        [((0,), (0,), B), ((1,), (1,), B), ((2,), (2,), B)],
    ),
    "the best chain leaves out what crosses": (
        ["a b c d", "e f g", "h i"],
        ["e f g", "a b c d", "h i"],
        {},
        [((0,), (1,), B), ((2,), (2,), B)],
    ),
    "two sources join one target": (
        ["a b c", "d e f", "g h"],
        ["a b c d e f", "g h"],
        {},
        [((0, 1), (0,), F), ((2,), (1,), B)],
    ),
    "one source joins two targets": (
        ["a b c d e f", "g h"],
        ["a b c", "d e f", "g h"],
        {},
        [((0,), (0, 1), F), ((1,), (2,), B)],
    ),
    "an anchor takes in what is left and right of it": (
        ["a b", "c d e f g", "h i", "j k"],
        ["a b c d e f g h i", "j k"],
        {},
        [((0, 1, 2), (0,), F), ((3,), (1,), B)],
    ),
    "on one side it takes in one": (
        ["a b c", "d e f", "g h i", "j k"],
        ["a b c d e f g h i", "j k"],
        {},
        [((0, 1), (0,), F), ((3,), (1,), B)],
    ),
    "unless more are joined": (
        ["a b", "c d", "e f", "g h i"],
        ["a b c d e f", "g h i"],
        {"max_join": 3},
        [((0, 1, 2), (0,), F), ((3,), (1,), B)],
    ),
    "or none": (
        ["a b c", "d e f", "g h"],
        ["a b c d e f", "g h"],
        {"max_join": 1},
        [((0,), (0,), B), ((2,), (1,), B)],
    ),
    "a gap of four by one is dropped": (
        ["a b", "1 2", "3 4", "5 6", "7 8", "c d"],
        ["a b", "x y", "c d"],
        {},
        [((0,), (0,), B), ((5,), (2,), B)],
    ),
    "a gap of three by one goes by length": (
        ["a b", "1 2", "3 4", "5 6", "c d"],
        ["a b", "x y", "c d"],
        {},
        [((0,), (0,), B), ((2, 3), (1,), G), ((4,), (2,), B)],
    ),
    "a gap of seven by four goes by length": (
        ["a b", *["1 2 3"] * 7, "c d"],
        ["a b", *["x y z"] * 4, "c d"],
        {},
        [
            *[((0,), (0,), B), ((2,), (1,), G), ((3,), (2,), G)],
            *[((4, 5), (3,), G), ((6, 7), (4,), G), ((8,), (5,), B)],
        ],
    ),
    "a gap of eight by four is dropped": (
        ["a b", *["1 2 3"] * 8, "c d"],
        ["a b", *["x y z"] * 4, "c d"],
        {},
        [((0,), (0,), B), ((9,), (5,), B)],
    ),
    "no gap goes by length": (
        ["a b", "1 2", "c d"],
        ["a b", "x y", "c d"],
        {"gap_lengths": False},
        [((0,), (0,), B), ((2,), (2,), B)],
    ),
    "repeated lines go in order": (
        ["a b", "a b", "c d", "a b"],
        ["a b", "c d", "a b", "a b"],
        {},
        [((0,), (0,), B), ((2,), (1,), B), ((3,), (2,), B)],
    ),
    "without a common pair of words there is no link": (
        ["a x", "b y"],
        ["a y", "b x"],
        {},
        [((0,), (0,), G), ((1,), (1,), G)],
    ),
    "single words link": (
        ["a", "b", "c"],
        ["a", "c", "b"],
        {"max_n": 1},
        [((0,), (0,), B), ((1,), (2,), B)],
    ),
    "characters link where words do not": (
        ["hello", "world wide"],
        ["helloworld", "wide world"],
        {"char_level": True},
        [((0,), (0,), B), ((1,), (1,), B)],
    ),
    "lengths leave the first sentence out for nothing": (
        ["a b c d e f g h", "i j k"],
        ["w", "x x x x x x x x", "y y y"],
        {"length_only": True},
        [((0,), (1,), G), ((1,), (2,), G)],
    ),
    "an anchor that moves may leave out a sentence": (
        ["d d b b", "d d d c"],
        ["a d d", "c", "c d d b", "d b c d"],
        {},
        [((0,), (0,), B), ((1,), (0, 1), F)],
    ),
    "beads may overlap": (
        ["b c a d", "b a b"],
        ["c d", "b c", "c a", "d a b"],
        {},
        [((0,), (2, 3), F), ((1,), (3,), B)],
    ),
}


@pytest.mark.parametrize("name", MICRO)
def test_beads_are_those_of_bleualign(name):
    translation, target, options, beads = MICRO[name]
    aligner = Aligner("bleualign", **options)
    alignment = aligner.align(Document(["s" * len(t) for t in translation], target, (translation,)))
    assert found(alignment) == beads


OPTIONS = [
    {},
    {"max_n": 1},
    {"max_n": 3},
    {"char_level": True, "max_n": 4},
    {"top_k": 1},
    {"top_k": 10},
    {"max_join": 1},
    {"max_join": 3},
    {"gap_links": False},
    {"gap_lengths": False},
    {"gap_links": False, "gap_lengths": False},
    {"length_only": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_beads_are_those_of_the_reference(options):
    first = 0 if not options else 500
    cases = [random_case(seed) for seed in range(first, first + (60 if not options else 16))]
    alignments = Aligner("bleualign", **options).align_all(map(document, cases))
    for case, alignment in zip(cases, alignments, strict=True):
        assert found(alignment) == expected(case, **options)


LINES = st.lists(
    st.lists(st.sampled_from(["a", "b", "c", "a b", "3.5"]), max_size=4).map(" ".join), max_size=6
)


@settings(max_examples=100)
@given(LINES, LINES)
def test_small_documents_are_those_of_the_reference(hypotheses, target):
    case = type(random_case(0))(["s"] * len(hypotheses), target, [hypotheses], [])
    assert found(Aligner().align(document(case))) == expected(case)


@settings(max_examples=60)
@given(LINES, st.data())
def test_several_translations_of_small_documents(target, data):
    size = len(target)
    lines = st.lists(LINES.map(" ".join), min_size=size, max_size=size)
    translations = [data.draw(lines) for _ in range(data.draw(st.integers(0, 3)))]
    back = [data.draw(lines) for _ in range(data.draw(st.integers(0, 2)))]
    case = type(random_case(0))(data.draw(lines), target, translations, back)
    assert found(Aligner().align(document(case))) == expected(case)


def test_other_tokenisers_serve():
    case = random_case(3)
    alignment = Aligner("bleualign", tokenize=str.split).align(document(case))
    beads = reference.align(*case, str.split)
    assert [bead[:2] for bead in found(alignment)] == [bead[:2] for bead in beads]


def test_a_batch_gives_what_single_documents_give():
    documents = [document(random_case(seed)) for seed in range(40)]
    aligner = Aligner()
    single = [found(aligner.align(one)) for one in documents]
    for size in (1, 50, 10**6):
        together = aligner.align_all(documents, batch_sentences=size)
        assert [found(alignment) for alignment in together] == single


def test_any_number_of_threads_gives_the_same():
    documents = [document(random_case(seed)) for seed in range(60)]
    results = []
    for threads in (1, 2):
        polyad.set_num_threads(threads)
        alignments = list(Aligner().align_all(documents))
        results.append(([found(a) for a in alignments], [a.scores.tolist() for a in alignments]))
    assert results[0] == results[1]


@pytest.mark.slow
def test_many_documents_are_those_of_the_reference():
    for seed in range(2000, 3500):
        case = random_case(seed)
        options = OPTIONS[seed % len(OPTIONS)]
        alignment = Aligner("bleualign", **options).align(document(case))
        assert found(alignment) == expected(case, **options), (seed, options)


def test_each_side_has_its_own_words():
    """Vectors know the words of the rule that they were learned with; no rule splits both texts."""
    spelled = ["a-b c-d", "e-f a-d", "c-b e-a"]
    target = ["b a d c", "f e d a", "b c a e"]
    words = [*"abcdef", *"ABCDEF"]
    rows = np.tile(np.eye(6, dtype=np.float32), (2, 1))
    document = Document(spelled, [line.upper() for line in target])
    options = {"score": "ableu", "vectors": WordVectors(words, rows), "tokenize": str.split}

    def dashes(text):
        return text.replace("-", " ").split()

    one_rule = Aligner("bleualign", gap_lengths=False, **options).align(document)
    assert len(one_rule.beads) == 0
    apart = Aligner("bleualign", gap_lengths=False, source_tokenize=dashes, **options)
    assert apart.align(document).spans.tolist() == [[i, i + 1, i, i + 1] for i in range(3)]
    # back translations are of the source's language
    back = Document(spelled, target, back_translations=(spelled,))
    split = {"tokenize": str.split, "source_tokenize": dashes, "max_n": 1}
    assert len(Aligner("bleualign", **split).align(back).beads) == 3


def test_vectors_ask_for_the_words_that_train_vectors_splits():
    vectors = WordVectors(["été", "summer"], np.ones((2, 3), np.float32))
    document = Document(["«Été»"], ["(Summer)"])
    options = {"score": "ableu", "vectors": vectors, "gap_lengths": False}
    assert len(Aligner("bleualign", **options).align(document).beads) == 1
    assert len(Aligner("bleualign", tokenize="nist", **options).align(document).beads) == 0
    with pytest.raises(ValueError, match="source_tokenize: expected 'nist' with char_level"):
        Aligner("bleualign", char_level=True, source_tokenize="words")
