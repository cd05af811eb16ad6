"""Word vectors: `WordVectors`, and training on sentences or sentence pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from polyad.align.vector_files import MOST_DIMENSIONS, WordVectors, storable

__all__ = ["WordVectors", "train_word2vec", "train_word2vec_pair"]


class _Corpus:
    """Sentences that gensim can walk through again and again, each time shuffled anew.

    Words that a file could not hold, those with a space in them, are left out.
    """

    def __init__(self, sentences: Iterable[Iterable[str]], seed: int | None) -> None:
        self.sentences = [[word for word in words if storable(word)] for words in sentences]
        self.seed = seed
        self.walks = 0

    def __iter__(self) -> Iterator[list[str]]:
        walk, self.walks = self.walks, self.walks + 1
        if self.seed is None:
            yield from self.sentences
            return
        random = np.random.default_rng([self.seed, walk])
        for sentence in self.sentences:
            yield [sentence[i] for i in random.permutation(len(sentence))]


def train_word2vec(
    sentences: Iterable[Sequence[str]],
    *,
    dimension: int = 128,
    window: int = 5,
    epochs: int = 5,
    negative: int = 5,
    min_count: int = 2,
    seed: int = 0,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
) -> WordVectors:
    """Train word2vec: skip-grams with negative samples (Mikolov et al., 2013), by gensim.

    Args:
        sentences: Lists of words.
        dimension: The number of numbers of a vector.
        window: How far from a word its context reaches.
        epochs: How often the sentences are gone through.
        negative: Words drawn beside each word of the context.
        min_count: Words that occur less often get no vector.
        seed: Same sentences, same seed, same vectors, with one worker.
        workers: Threads; more than one makes the vectors differ from run to run.
        progress: Called with the number of epochs done.

    Returns:
        Words by decreasing frequency.

    Raises:
        ImportError: gensim is missing.
        ValueError: No word occurs often enough; a number out of range.
    """
    corpus = _Corpus(sentences, None)
    return _train(corpus, dimension, window, epochs, negative, min_count, seed, workers, progress)


def train_word2vec_pair(
    pairs: Iterable[tuple[Sequence[str], Sequence[str]]],
    *,
    dimension: int = 128,
    window: int | None = None,
    epochs: int = 10,
    negative: int = 5,
    min_count: int = 2,
    seed: int = 0,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
) -> WordVectors:
    """Train word2vec on the words of both sentences of each pair, shuffled together.

    A word's context is the pair, wherever in it a word stands, so words of one language come near
    words of the other that they are translated by; opposites that share their places come less near
    than by word2vec. Words are shuffled anew in every epoch. Source: Kakao AI Report 8,
    "Word2vec-Pair".

    Args:
        pairs: Words of a sentence, and of its translation.
        dimension: As in `train_word2vec`, like what follows.
        window: How far a context reaches among the shuffled words; None: the whole pair.
        epochs: How often the pairs are gone through.
        negative: Words drawn beside each word of the context.
        min_count: Words that occur less often get no vector.
        seed: Of the shuffling, too.
        workers: Threads.
        progress: Called with the number of epochs done.

    Returns:
        Words of both languages by decreasing frequency.

    Raises:
        ImportError: gensim is missing.
        ValueError: No word occurs often enough; a number out of range.
    """
    corpus = _Corpus(([*one, *other] for one, other in pairs), seed)
    if window is None:
        window = max(1, max((len(words) for words in corpus.sentences), default=1))
    return _train(corpus, dimension, window, epochs, negative, min_count, seed, workers, progress)


def require_gensim() -> None:
    """Look whether word vectors can be trained: before the work that needs it.

    Raises:
        ImportError: gensim is missing.
    """
    try:
        import gensim  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "training word vectors needs gensim: pip install 'polyad[align]'"
        ) from error


def _train(
    corpus: _Corpus,
    dimension: int,
    window: int,
    epochs: int,
    negative: int,
    min_count: int,
    seed: int,
    workers: int,
    progress: Callable[[int], None] | None,
) -> WordVectors:
    for name, value, high in (
        ("dimension", dimension, MOST_DIMENSIONS),
        ("window", window, 2**31 - 1),
        ("epochs", epochs, 10**6),
        ("negative", negative, 1000),
        ("min_count", min_count, 2**31 - 1),
        ("workers", workers, 1024),
    ):
        if not 1 <= value <= high:
            raise ValueError(f"{name}: expected 1 .. {high}, got {value}")
    require_gensim()
    from gensim.models import Word2Vec
    from gensim.models.callbacks import CallbackAny2Vec

    class Report(CallbackAny2Vec):  # type: ignore[misc]
        """Counts epochs."""

        done = 0

        def on_epoch_end(self, model: Any) -> None:
            self.done += 1
            if progress is not None:
                progress(self.done)

    model = Word2Vec(
        vector_size=dimension,
        window=window,
        min_count=min_count,
        workers=workers,
        sg=1,
        negative=negative,
        seed=seed,
        epochs=epochs,
    )
    model.build_vocab(corpus)
    if not model.wv.index_to_key:
        raise ValueError(
            f"expected words that occur at least {min_count} times, got none "
            f"({len(corpus.sentences)} sentences)"
        )
    model.train(
        corpus,
        total_examples=model.corpus_count,
        total_words=model.corpus_total_words,
        epochs=epochs,
        callbacks=[Report()],
    )
    return WordVectors(model.wv.index_to_key, np.array(model.wv.vectors, np.float32))
