"""Ops of sentence alignment: scores of sentence pairs, paths through them, beads, BLEU.

Plain functions on numpy arrays of int32 word numbers (`polyad.Sentences`) or on lists of words;
their results have as many entries as the texts ask for, so torch does not trace them.
"""

from polyad.ops._align_ableu import (
    WordSimilarity,
    ableu,
    corpus_ableu,
    soft_scores,
    word_similarity,
)
from polyad.ops._align_beads import gale_church
from polyad.ops._align_ngram import best_path, ngram_scores

__all__ = [
    "WordSimilarity",
    "ableu",
    "best_path",
    "corpus_ableu",
    "gale_church",
    "ngram_scores",
    "soft_scores",
    "word_similarity",
]
