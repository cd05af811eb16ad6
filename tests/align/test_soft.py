"""Two languages compared by word vectors: links and sparse rows, beside a plain loop."""

import numpy as np
import pytest

from polyad.align import Aligner, Document
from polyad.align.soft import SoftView
from polyad.align.vectors import WordVectors
from polyad.reference import align as reference


@pytest.fixture
def made(rng):
    """A text, its word-by-word translation in another order, and vectors that say so."""
    meanings = rng.normal(size=(60, 12))
    words = [f"w{i}" for i in range(60)] + [f"x{i}" for i in range(60)]
    vectors = np.concatenate([meanings, meanings + 0.3 * rng.normal(size=meanings.shape)])
    source = [[f"w{i}" for i in rng.integers(0, 60, rng.integers(0, 9))] for _ in range(40)]
    target = [[word.replace("w", "x") for word in rng.permutation(sentence)] for sentence in source]
    source[3] += ["2026", "unknown"]
    target[3] += ["2026", "strange"]
    return source, target, WordVectors(words, vectors.astype(np.float32))


def test_links_find_the_translation(made):
    source, target, vectors = made
    view = SoftView.of_words(source, target, vectors)
    i, j, score = view.links(top_k=1)
    filled = [k for k in range(40) if source[k]]
    assert i.tolist() == filled
    assert np.mean([target[b] == target[a] for a, b in zip(i, j, strict=True)]) > 0.95
    assert ((score > 0) & (score <= 1 + 1e-12)).all()


@pytest.mark.parametrize("matching", ["source", "one_to_one"])
def test_links_are_those_of_the_reference(made, matching):
    source, target, vectors = made
    view = SoftView.of_words(source, target, vectors, neighbours=3, least_cosine=0.2)
    size = len(view.words)
    df = [max(sum(w in s for s in source), sum(w in s for s in target)) for w in view.words]
    np.testing.assert_allclose(view.weights, np.log(41 / np.array(df)))
    table = np.zeros((size, size))
    for word in range(len(view.similarity)):
        others, values = view.similarity.row(word)
        table[word, others] = values
        assert view.words[word] in {w for s in source for w in s} or not len(others)
    got = view.links(top_k=2, matching=matching, candidates=40)
    want = reference.soft_scores(
        view.source, view.target, table, max_n=1, top_k=2, matching=matching, weights=view.weights
    )
    np.testing.assert_array_equal(got[0], want[0])
    np.testing.assert_allclose(got[2], want[2], rtol=1e-12)


def test_rows_are_what_words_stand_for(made):
    source, target, vectors = made
    view = SoftView.of_words(source, target, vectors)
    rows, others = view.rows(best=2)
    in_target = {word for sentence in target for word in sentence}
    for place in range(40):
        want = {}
        for word in source[place]:
            number = view.words.index(word)
            words, values = view.similarity.row(number)
            for at in np.argsort(-values, kind="stable")[:2]:
                want[words[at]] = want.get(words[at], 0) + float(values[at]) ** 2
            if word in in_target:
                want[number] = want.get(number, 0) + 1
        piece = slice(rows.offsets[place], rows.offsets[place + 1])
        got = dict(zip(rows.features[piece].tolist(), rows.values[piece].tolist(), strict=True))
        assert got == pytest.approx({int(k): v for k, v in want.items()}, rel=1e-6)
        piece = slice(others.offsets[place], others.offsets[place + 1])
        counts = {view.words.index(w): target[place].count(w) for w in target[place]}
        assert dict(zip(others.features[piece], others.values[piece], strict=True)) == counts


def test_empty_sides(made):
    vectors = made[2]
    for source, target in (([], []), ([[]], [["x1"]]), ([["w1"]], []), ([["no"]], [["none"]])):
        view = SoftView.of_words(source, target, vectors)
        assert len(view.links()[0]) == 0
        rows, others = view.rows()
        assert (len(rows.offsets), len(others.offsets)) == (len(source) + 1, len(target) + 1)


@pytest.mark.parametrize("mode", ["bleualign", "accurate"])
def test_vectors_alone_align(made, mode):
    source, target, vectors = made
    # two sentences of the source in one of the target, and one left out
    texts = [" ".join(words) for words in source if len(words) > 2]
    others = [" ".join(words) for words in target if len(words) > 2]
    document = Document(texts, [*others[:5], f"{others[5]} {others[6]}", *others[8:]])
    aligner = Aligner(mode, score="ableu", vectors=vectors, tokenize=str.split)
    found = {(bead.source, bead.target): bead.score for bead in aligner.align(document).beads}
    want = [((i,), (i,)) for i in range(5)] + [((5, 6), (5,))]
    want += [((i,), (i - 2,)) for i in range(8, len(texts))]
    assert len(set(want) & set(found)) >= len(want) - 2
    assert len(found) <= len(want) + 2
    assert all(0 <= score <= 1 for score in found.values())
    assert np.mean(list(found.values())) > 0.5


@pytest.mark.parametrize("mode", ["bleualign", "accurate"])
def test_near_synonyms_count_beside_a_translation(made, mode):
    source, target, vectors = made
    texts = [" ".join(words) for words in target if len(words) > 2]
    # a translation into words that the target never uses
    translation = [" ".join(words) for words in source if len(words) > 2]
    document = Document([f"s{i}" for i in range(len(texts))], texts, (translation,))
    options = {"score": "ableu", "vectors": vectors, "tokenize": str.split}
    if mode == "bleualign":
        options["max_n"] = 1
    found = {(bead.source, bead.target) for bead in Aligner(mode, **options).align(document).beads}
    assert len(found & {((i,), (i,)) for i in range(len(texts))}) >= len(texts) - 2


@pytest.mark.parametrize("mode", ["bleualign", "accurate"])
def test_vectors_and_ableu_go_together(made, mode):
    with pytest.raises(ValueError, match="vectors: expected with score='ableu' alone, got some"):
        Aligner(mode, vectors=made[2])
    with pytest.raises(ValueError, match="got none with 'ableu'"):
        Aligner(mode, score="ableu")
    with pytest.raises(ValueError, match="score: expected bleu or ableu, got 'x'"):
        Aligner(mode, score="x")
    least = {"bleualign": "least_cosine", "accurate": "threshold"}[mode]
    with pytest.raises(ValueError, match=rf"{least}: expected 0 \.\. 1, got 5"):
        Aligner(mode, score="ableu", vectors=made[2], **{least: 5})
