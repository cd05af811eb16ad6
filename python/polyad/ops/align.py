"""Ops of sentence alignment: scores of sentence pairs, paths through them, beads, BLEU.

Plain functions on numpy arrays of int32 word numbers (`polyad.Sentences`) or on lists of words;
their results have as many entries as the texts ask for, so torch does not trace them.
"""

from polyad.ops._align_ableu import ableu, ableu_pairs, corpus_ableu, soft_scores
from polyad.ops._align_beads import (
    BeadFeatures,
    BeadSide,
    BeadView,
    SparseRows,
    bead_features,
    bead_probabilities,
    best_beads,
    sentence_vectors,
)
from polyad.ops._align_bleu import BleuScore, corpus_bleu, sentence_bleu
from polyad.ops._align_gale_church import gale_church
from polyad.ops._align_ngram import best_path, ngram_scores
from polyad.ops._align_similarity import WordSimilarity, word_similarity

__all__ = [
    "BeadFeatures",
    "BeadSide",
    "BeadView",
    "BleuScore",
    "SparseRows",
    "WordSimilarity",
    "ableu",
    "ableu_pairs",
    "bead_features",
    "bead_probabilities",
    "best_beads",
    "best_path",
    "corpus_ableu",
    "corpus_bleu",
    "gale_church",
    "ngram_scores",
    "sentence_bleu",
    "sentence_vectors",
    "soft_scores",
    "word_similarity",
]
