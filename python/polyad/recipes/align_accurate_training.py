"""The weights of the mode 'accurate', trained on Text+Berg's development document.

python -m polyad.recipes.align_accurate_training --data FOLDER --out accurate_weights.py

The document is eval1957 (German-French, 381 beads with both sides), seen four times: with Google's
French, with Europarl's French, with Google's French and German, and with all four translations. A
third of its beads join sentences, more than in most texts; so it is also seen four times with the
sentences of two thirds of these beads joined, which makes them 1-1. The
regularised conditional likelihood of the gold beads is maximised by L-BFGS. ``--folds 4`` gives
the likelihood of each quarter of the document under weights trained on the other three; nothing but
eval1957 is read.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from polyad._files import check_place, written_whole
from polyad.align.accurate import AccurateMode
from polyad.align.documents import Bead, Document
from polyad.ops._align_beads import bead_features, bead_probabilities, bead_types
from polyad.recipes.align_text_berg import SYSTEMS, read_document
from polyad.recipes.experiment import show

Array = np.ndarray[Any, Any]

PENALTY = 1.0
"""Half of it times the squared norm of the weights is added to the negative log-likelihood."""

GROUPS = {"both": 3, "translated": 2, "direct": 2}


class Lattice(NamedTuple):
    """The beads inside the band of one document, or of a part of it.

    Attributes:
        first: int32 [N + 1], of the band.
        offsets: int64 [N + 2], of the band.
        target_count: M.
        features: float64 [cells, types, features].
        usable: bool [cells, types].
        gold: bool [cells, types]: beads of paths that agree with the gold alignment.
    """

    first: Array
    offsets: Array
    target_count: int
    features: Array
    usable: Array
    gold: Array


JOINED = 0.65
"""The share of the larger beads whose sentences are joined in the second half of the data."""


def joined(
    document: Document, gold: Sequence[Bead], share: float, seed: int
) -> tuple[Document, list[Bead]]:
    """Return a document in which the sentences of some gold beads are joined, and its gold."""
    random = np.random.default_rng(seed)
    heads = [list(range(len(document.source))), list(range(len(document.target)))]
    for bead in gold:
        whole = all(
            side and side[-1] - side[0] + 1 == len(side) for side in (bead.source, bead.target)
        )
        if random.random() < share and whole:
            for head, side in zip(heads, (bead.source, bead.target), strict=True):
                for sentence in side:
                    head[sentence] = side[0]
    places = [{first: place for place, first in enumerate(sorted(set(head)))} for head in heads]

    def text(sentences: Sequence[str], side: int) -> list[str]:
        parts: list[list[str]] = [[] for _ in places[side]]
        for sentence, first in zip(sentences, heads[side], strict=True):
            parts[places[side][first]].append(sentence)
        return [" ".join(part) for part in parts]

    def numbers(sentences: Sequence[int], side: int) -> tuple[int, ...]:
        return tuple(sorted({places[side][heads[side][sentence]] for sentence in sentences}))

    return (
        Document(
            text(document.source, 0),
            text(document.target, 1),
            tuple(text(one, 0) for one in document.translations),
            tuple(text(one, 1) for one in document.back_translations),
        ),
        [Bead(numbers(bead.source, 0), numbers(bead.target, 1)) for bead in gold],
    )


def usable_gold(gold: Sequence[Bead], max_sentences: int = 6) -> list[tuple[int, int, int, int]]:
    """Return the spans of the gold beads that a path can hold: no gaps, not too large."""
    spans: list[tuple[int, int, int, int]] = []
    i = j = 0
    for bead in sorted((b for b in gold if b.source and b.target), key=lambda b: b.source):
        span = (bead.source[0], bead.source[-1] + 1, bead.target[0], bead.target[-1] + 1)
        a, b = span[1] - span[0], span[3] - span[2]
        whole = a == len(bead.source) and b == len(bead.target) and a + b <= max_sentences
        if whole and span[0] >= i and span[2] >= j:
            spans.append(span)
            i, j = span[1], span[3]
    return spans


def lattice(document: Document, gold: Sequence[Bead], mode: AccurateMode) -> Lattice:
    """Return all beads of a document with their features and which of them agree with gold.

    Raises:
        ValueError: The band misses a gold bead.
    """
    kind, source, target, views = mode.evidence(document)
    first, offsets, features, usable = bead_features(
        source, target, views, groups=GROUPS[kind], margin=mode.margin
    )
    types = bead_types(mode.max_sentences)
    right = usable.copy()
    right[:, 2:] = False
    in_source = np.zeros(len(document.source) + 1, bool)
    in_target = np.zeros(len(document.target) + 1, bool)
    for a, b, c, d in usable_gold(gold, mode.max_sentences):
        place = d - first[b]
        if not 0 <= place < offsets[b + 1] - offsets[b]:
            raise ValueError(f"the band misses the gold bead {a}-{b} : {c}-{d}")
        right[offsets[b] + place, types.index((b - a, d - c))] = True
        in_source[a:b] = in_target[c:d] = True
    i, j = cells(first, offsets)
    right[:, 0] &= ~in_source[i - 1]
    right[:, 1] &= ~in_target[j - 1]
    return Lattice(first, offsets, len(document.target), features.astype(np.float64), usable, right)


def cells(first: Array, offsets: Array) -> tuple[Array, Array]:
    """Return i and j of every cell of a band."""
    i = np.repeat(np.arange(len(first)), np.diff(offsets))
    return i, np.arange(offsets[-1]) - offsets[i] + first[i]


def part(whole: Lattice, begin: tuple[int, int], end: tuple[int, int]) -> Lattice:
    """Return the beads between two corners, as a document of their own."""
    i, j = cells(whole.first, whole.offsets)
    kept = (i >= begin[0]) & (i <= end[0]) & (j >= begin[1]) & (j <= end[1])
    i, j = i[kept] - begin[0], j[kept] - begin[1]
    sizes = np.bincount(i, minlength=end[0] - begin[0] + 1)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    usable, gold = whole.usable[kept].copy(), whole.gold[kept].copy()
    for place, (a, b) in enumerate(bead_types(6)):
        inside = (i >= a) & (j >= b)
        usable[:, place] &= inside
        gold[:, place] &= inside
    return Lattice(
        j[offsets[:-1]].astype(np.int32),
        offsets,
        end[1] - begin[1],
        whole.features[kept],
        usable,
        gold,
    )


def loss(weights: Array, lattices: Sequence[Lattice], penalty: float) -> tuple[float, Array]:
    """Return the mean negative log-likelihood of the gold paths, regularised, and its gradient."""
    value, gradient = 0.0, np.zeros_like(weights)
    for one in lattices:
        scores = one.features @ weights
        sums = []
        for allowed in (one.usable, one.gold):
            sums.append(
                bead_probabilities(
                    one.first, one.offsets, one.target_count, np.where(allowed, scores, -np.inf)
                )
            )
        (p, log_all), (q, log_gold) = sums
        value += (log_all - log_gold) / len(lattices)
        gradient += np.einsum("ct,ctf->f", p - q, one.features) / len(lattices)
    return value + penalty / 2 * float(weights @ weights), gradient + penalty * weights


def train(lattices: Sequence[Lattice], penalty: float = PENALTY) -> Array:
    """Return the weights that minimise `loss`."""
    from scipy.optimize import minimize

    start = np.zeros(lattices[0].features.shape[2])
    found = minimize(loss, start, args=(lattices, penalty), jac=True, method="L-BFGS-B")
    weights: Array = found.x
    return weights


def development(folder: Path, kind: str) -> list[tuple[Document, list[Bead], AccurateMode]]:
    """Return eval1957 under each set of translations, as it is and joined."""
    sets = [()] if kind == "direct" else [SYSTEMS[name] for name in ("G", "E", "GG", "all")]
    mode = AccurateMode(direct=kind != "translated")
    found = []
    for systems in sets:
        document, gold = read_document(folder, "eval1957", systems)
        found.append((document, gold, mode))
        found.append((*joined(document, gold, JOINED, seed=1), mode))
    return found


def corners(document: Document, gold: Sequence[Bead], count: int) -> list[tuple[int, int]]:
    """Return where a document is cut into parts with as many gold beads each."""
    spans = usable_gold(gold)
    inner = [spans[len(spans) * k // count] for k in range(1, count)]
    last = (len(document.source), len(document.target))
    return [(0, 0), *((span[0], span[2]) for span in inner), last]


def folds(folder: Path, kind: str, count: int, penalty: float) -> None:
    """Show how likely weights from the other parts make the gold beads of each part."""
    parts = []
    for document, gold, mode in development(folder, kind):
        whole, cuts = lattice(document, gold, mode), corners(document, gold, count)
        parts.append([part(whole, cuts[k], cuts[k + 1]) for k in range(count)])
    total = 0.0
    for k in range(count):
        others = [whole[other] for whole in parts for other in range(count) if other != k]
        weights = train(others, penalty / (count - 1))
        total += loss(weights, [whole[k] for whole in parts], 0.0)[0]
    show(f"{kind}: penalty {penalty:g}, held-out negative log-likelihood {total:.2f}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and write the module of the weights."""
    parser = argparse.ArgumentParser(description="Train the mode 'accurate' on eval1957.")
    parser.add_argument("--data", required=True, type=Path, metavar="FOLDER", help="text+berg")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the weights here")
    parser.add_argument("--folds", type=int, metavar="N", help="cross-validate instead")
    parser.add_argument("--penalty", type=float, default=PENALTY, help=f"default: {PENALTY:g}")
    options = parser.parse_args(arguments)
    try:
        if options.out is not None:
            check_place(options.out)
        if options.folds:
            for kind in GROUPS:
                folds(options.data, kind, options.folds, options.penalty)
            return
        text = module_of_weights(options.data, options.penalty)
        if options.out is not None:
            with written_whole(options.out) as temporary:
                temporary.write_text(text)
    except (OSError, ValueError) as error:
        raise SystemExit(f"{error}") from error


def module_of_weights(folder: Path, penalty: float) -> str:
    """Return the text of `polyad.align.accurate_weights`, trained."""
    lines = ['"""Weights of the mode \'accurate\'; written by recipes/align_accurate_training."""']
    lines += ["", "WEIGHTS: dict[str, tuple[float, ...]] = {"]
    for kind in GROUPS:
        lattices = [lattice(*one) for one in development(folder, kind)]
        weights = train(lattices, penalty)
        show(f"{kind}: loss {loss(weights, lattices, 0.0)[0]:.2f}")
        lines.append(f'    "{kind}": (')
        lines += [f"        {float(weight):.4f}," for weight in weights]
        lines.append("    ),")
    return "\n".join([*lines, "}", ""])


if __name__ == "__main__":
    main()
