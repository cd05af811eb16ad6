"""A corpus in two made languages whose translator knows one word where the target uses two."""

import numpy as np

from polyad.align import Document

CONCEPTS = 80


def corpus(documents=30, sentences=25, seed=0, translate=True):
    """Documents; every concept has one source word and two target words, used at random.

    The translation always takes the first one: BLEU misses every second word, and vectors trained
    on pairs bring the two words together, as both stand for one source word.
    """
    random = np.random.default_rng(seed)
    made = []
    for number in range(documents):
        source, target, translation = [], [], []
        for _ in range(sentences):
            words = random.integers(CONCEPTS, size=int(random.integers(4, 9)))
            source.append(" ".join(f"s{word}" for word in words))
            translation.append(" ".join(f"t{word}" for word in words))
            kinds = random.choice(["t", "u"], size=len(words), p=[0.4, 0.6])
            text = " ".join(f"{kind}{word}" for kind, word in zip(kinds, words, strict=True))
            draw = random.random()
            if draw < 0.08:
                continue
            target.append(text)
            if draw > 0.92:
                target.append(" ".join(f"t{w}" for w in random.integers(CONCEPTS, size=6)))
        made.append(
            Document(source, target, (translation,) if translate else (), name=f"page {number}")
        )
    return made


def dashes(text):
    """Split as the source is spelled in one test."""
    return text.split("-")
