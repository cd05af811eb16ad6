"""Paragraphs found again in the other language by word vectors alone, without any translation.

    python -m polyad.recipes.align_retrieval --data PATH --seeds 2

PATH is a .tsv or .tsv.gz of rows: document, English, Korean. Some documents are held out; on the
pairs of the others word2vec-pair is trained, without those whose English text a held-out document
has too. Each held-out Korean paragraph is then looked for among the English ones of its document:

    ableu            soft overlap of words both ways, idf-weighted (`polyad.align.soft.SoftView`)
    ableu_one_to_one the same, a word matching one word
    mean_vector      cosine of the idf-weighted means of their words' vectors
    shared_words     idf-weighted overlap of words that are spelled alike: names, code, numbers

P@1 is the share of paragraphs whose best match is the right one.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from polyad.align.soft import SoftView
from polyad.align.tokenizers import tokenizer
from polyad.align.vectors import WordVectors, train_word2vec_pair
from polyad.data import DataError
from polyad.ops.align import soft_scores
from polyad.recipes.experiment import Figures, main, over_seeds, show

Words = list[str]
Rows = list[tuple[str, Words, Words]]  # document, Korean, English
SHORTEST, LONGEST = 60, 300  # paragraphs of a document that can be held out


def read_rows(path: str | Path) -> list[tuple[str, str, str]]:
    """Return (document, English, Korean) of every row.

    Raises:
        OSError: The file cannot be read.
        DataError: A row with another number of columns, or bytes that are not UTF-8.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "en-ko.tsv.gz"
    data = path.read_bytes()
    text = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    rows = []
    for number, line in enumerate(text.rstrip(b"\n").split(b"\n"), 1):
        try:
            columns = line.decode().split("\t")
        except UnicodeDecodeError:
            raise DataError(f"{path}:{number}: expected UTF-8") from None
        if len(columns) != 3:
            raise DataError(
                f"{path}:{number}: expected 3 columns (document, English, Korean), got "
                f"{len(columns)}"
            )
        rows.append((columns[0], columns[1], columns[2]))
    return rows


def held_out(rows: Rows, count: int, seed: int) -> tuple[list[Rows], list[tuple[Words, Words]]]:
    """Divide rows into held-out documents and training pairs.

    Args:
        rows: Of all documents.
        count: How many documents are held out, of those with 60 to 300 paragraphs.
        seed: Which ones.

    Raises:
        DataError: There are not that many.
    """
    documents: dict[str, Rows] = {}
    for row in rows:
        documents.setdefault(row[0], []).append(row)
    fitting = [name for name in documents if SHORTEST <= len(documents[name]) <= LONGEST]
    if len(fitting) < count:
        raise DataError(
            f"expected {count} documents of {SHORTEST} to {LONGEST} rows, got {len(fitting)}"
        )
    order = np.random.default_rng(seed).permutation(len(fitting))
    chosen = {fitting[i] for i in order[:count]}
    known = {tuple(english) for name in chosen for _, _, english in documents[name]}
    pairs = [
        (korean, english)
        for name, korean, english in rows
        if name not in chosen and tuple(english) not in known
    ]
    return [documents[name] for name in documents if name in chosen], pairs


Finder = Callable[[SoftView, WordVectors], Any]  # the best target of every source, -1 without one


def _best(links: tuple[Any, Any, Any], count: int) -> Any:
    found = np.full(count, -1)
    found[links[0]] = links[1]
    return found


def _by_ableu(view: SoftView, vectors: WordVectors) -> Any:
    return _best(view.links(top_k=1), len(view.source))


def _by_one_to_one(view: SoftView, vectors: WordVectors) -> Any:
    return _best(view.links(top_k=1, matching="one_to_one"), len(view.source))


def _by_words(view: SoftView, vectors: WordVectors) -> Any:
    options: dict[str, Any] = {"max_n": 1, "top_k": 1, "candidates": 64}
    links = soft_scores(view.source, view.target, weights=view.weights, **options)
    return _best(links, len(view.source))


def _by_mean_vector(view: SoftView, vectors: WordVectors) -> Any:
    rows = vectors.rows(view.words).astype(np.float64)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)
    rows *= view.weights[:, None]
    means = [np.array([rows[s].sum(axis=0) for s in side]) for side in (view.source, view.target)]
    source, target = (x / np.maximum(np.linalg.norm(x, axis=1)[:, None], 1e-30) for x in means)
    return (source @ target.T).argmax(axis=1)


FINDERS: dict[str, Finder] = {
    "ableu": _by_ableu,
    "ableu_one_to_one": _by_one_to_one,
    "mean_vector": _by_mean_vector,
    "shared_words": _by_words,
}


def measure(documents: Sequence[Rows], vectors: WordVectors) -> dict[str, float]:
    """Return P@1 of every way to find paragraphs."""
    right = dict.fromkeys(FINDERS, 0)
    for rows in documents:
        view = SoftView.of_words([row[1] for row in rows], [row[2] for row in rows], vectors)
        for name, find in FINDERS.items():
            right[name] += int((find(view, vectors) == np.arange(len(rows))).sum())
    total = sum(len(rows) for rows in documents)
    return {name: count / total for name, count in right.items()}


def run(
    data: str, *, seeds: int = 2, documents: int = 12, epochs: int = 5, window: int = 10
) -> Figures:
    """Return P@1 in held-out documents, over seeds that choose documents and train.

    Args:
        data: The rows.
        seeds: How often to repeat.
        documents: How many are held out.
        epochs: Of training.
        window: Of training, among the shuffled words of a pair.
    """
    read = read_rows(data)
    show(f"{len(read)} rows; splitting into words")
    korean = tokenizer("korean")([row[2] for row in read])
    english = tokenizer("words")([row[1] for row in read])
    rows = [(row[0], ko, en) for row, ko, en in zip(read, korean, english, strict=True)]
    found: list[dict[str, float]] = []
    for seed in range(seeds):
        held, pairs = held_out(rows, documents, seed)
        vectors = train_word2vec_pair(pairs, epochs=epochs, window=window, seed=seed)
        found.append(measure(held, vectors))
        paragraphs = sum(len(rows) for rows in held)
        figures = "  ".join(f"{name} {value:.3f}" for name, value in found[-1].items())
        show(
            f"seed {seed}: {len(pairs)} training pairs, {len(vectors)} words; {paragraphs} "
            f"paragraphs: {figures}"
        )
    result: Figures = {}
    for name in FINDERS:
        result |= over_seeds(f"{name}_precision_at_1", [one[name] for one in found])
    return result


if __name__ == "__main__":
    main("Korean paragraphs found among English ones.", run, documents=12, epochs=5, window=10)
