"""Cases of single ops of the family align beside formulations by public libraries."""

from __future__ import annotations

import functools
import importlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from polyad._sentences import Sentences, Vocabulary
from polyad.bench import harness, rows
from polyad.bench.align_cases import Case, Run
from polyad.bench.harness import Timing, measure_in_turn
from polyad.bench.rows import Row

OPS = ("ngram_scores", "best_path", "sentence_bleu", "corpus_bleu")
OURS = "polyad"
SPARSE, DENSE = "scipy sparse", "numpy dense"
SACREBLEU, NLTK = "sacrebleu", "nltk"
BLOCK = 500  # source sentences of a product of the sparse formulation

Array = np.ndarray[Any, Any]
Links = tuple[Array, Array, Array]


@dataclass(frozen=True)
class Formulation:
    """One library's way.

    Attributes:
        name: What the row says.
        call: Of the first so many items; what it returns is compared.
        step: The fewest of them.
        same: Whether it computes what we do.
        note: How it does not.
    """

    name: str
    call: Callable[[int], Any]
    step: int = 1
    same: bool = True
    note: str = ""


def run(here: Run, op: str) -> None:
    """Measure one op at every size."""
    if op in ("ngram_scores", "best_path"):
        make = _scores if op == "ngram_scores" else _path
        for n in here.settings.pieces:
            case = Case(n)
            _compare(here, case.row(op), n, make(*_encoded(case)))
    else:
        count = here.settings.pairs
        row = Row(op, OURS, {"pairs": count}, 1, work=count, unit="sentences")
        _compare(here, row, count, _bleu(op, count))


def _compare(here: Run, row: Row, size: int, ways: Sequence[Formulation]) -> None:
    """Add a row of each way for every number of threads; ours is the first."""
    part = min(size, 200)
    want = ways[0].call(part)
    for place, threads in enumerate(here.threads):
        runs = {}
        for way in ways:
            if way.name != OURS and place > 0:
                continue
            if way.same and way.name != OURS and not _close(way.call(part), want):
                note = f"{way.name}: disagrees with {OURS}"
                here.add(
                    replace(row, peer=way.name, threads=threads), Timing(rows.FAILED, note=note)
                )
                continue
            runs[way.name] = way
        with here.doing(f"{row.op}, {size:,}"), harness.use_threads(threads):
            found = measure_in_turn(
                {name: _maker(way) for name, way in runs.items()},
                size,
                here.settings.limits,
                rounds=3,
                steps={name: way.step for name, way in runs.items()},
                unit="n",
            )
        for name, timing in found.items():
            here.add(replace(row, peer=name, threads=threads, note=runs[name].note), timing)


def _maker(way: Formulation) -> Callable[[int], harness.Call]:
    return lambda part: functools.partial(way.call, part)


def _close(theirs: Any, ours: Any) -> bool:
    """Whether numbers agree; scores are stated to six digits by no one."""
    got, want = np.asarray(theirs, np.float64), np.asarray(ours, np.float64)
    return got.shape == want.shape and bool(np.allclose(got, want, rtol=1e-9, atol=1e-9))


def _encoded(case: Case) -> tuple[Sentences, Sentences]:
    """Number the words of the translation and of the target."""
    from polyad.align.tokenizers import tokenizer

    document, split, vocabulary = case.made().document, tokenizer("nist"), Vocabulary()
    return (
        vocabulary.encode(split(document.translations[0])),
        vocabulary.encode(split(document.target)),
    )


def _first(sentences: Sentences, count: int) -> Sentences:
    offsets = sentences.offsets[: count + 1]
    return Sentences(sentences.ids[: offsets[-1]], offsets)


def _scores(sources: Sentences, targets: Sentences) -> list[Formulation]:
    """`ngram_scores` of the first sources and all targets."""
    from polyad.ops import align as ops

    def summary(links: Links) -> Array:
        """Sources and scores; the targets of equal scores may be told apart by last bits."""
        return np.stack([links[0].astype(np.float64), links[2]])

    ways = [
        Formulation(
            OURS, lambda part: summary(ops.ngram_scores(_first(sources, part), targets)), 50
        )
    ]
    if harness.available("scipy"):
        ways.append(
            Formulation(
                SPARSE, lambda part: summary(sparse_scores(_first(sources, part), targets)), 50
            )
        )
    return ways


def sparse_scores(sources: Sentences, targets: Sentences, top_k: int = 3) -> Links:
    """Score pairs of sentences with orders 1 and 2 by products of sparse matrices.

    A column is the k-th occurrence of an n-gram in a sentence, so that a product of two such
    matrices counts clipped matches.
    """
    words = int(max(sources.ids.max(initial=0), targets.ids.max(initial=0))) + 1
    matrices = [_occurrences(sources, targets, order, words) for order in (1, 2)]
    lengths, others = sources.lengths(), targets.lengths()
    parts: list[Links] = []
    for begin in range(0, len(sources), BLOCK):
        # pairs with a common bigram; of the others nothing is wanted
        pairs = (matrices[1][0][begin : begin + BLOCK] @ matrices[1][1]).tocoo()
        common = (matrices[0][0][begin : begin + BLOCK] @ matrices[0][1]).toarray()
        row, column, bigrams = pairs.row, pairs.col, pairs.data.astype(np.float64)
        unigrams = common[row, column].astype(np.float64)
        a, b = lengths[begin + row].astype(np.float64), others[column].astype(np.float64)
        counts = np.log(unigrams) + np.log(bigrams)
        forward = np.exp((counts - np.log(a) - np.log(a - 1)) / 2 + np.minimum(0, 1 - b / a))
        backward = np.exp((counts - np.log(b) - np.log(b - 1)) / 2 + np.minimum(0, 1 - a / b))
        score = 2 * forward * backward / (forward + backward)
        order = np.lexsort((column, -score, row))
        row, column, score = row[order], column[order], score[order]
        starts = np.searchsorted(row, row, side="left")
        kept = np.arange(len(row)) - starts < top_k
        parts.append((begin + row[kept], column[kept], score[kept]))
    source, target, scores = (np.concatenate(each) for each in zip(*parts, strict=True))
    return source.astype(np.int32), target.astype(np.int32), scores


def _occurrences(sources: Sentences, targets: Sentences, order: int, words: int) -> tuple[Any, Any]:
    """Return two matrices of 0 and 1: sentence by occurrence, and occurrence by sentence."""
    import scipy.sparse

    grams, owners = [], []
    for sentences in (sources, targets):
        owner = np.repeat(np.arange(len(sentences)), sentences.lengths())
        ids = sentences.ids.astype(np.int64)
        if order == 2:
            inside = owner[1:] == owner[:-1]
            ids, owner = (ids[:-1] * words + ids[1:])[inside], owner[1:][inside]
        sort = np.lexsort((ids, owner))
        ids, owner = ids[sort], owner[sort]
        fresh = np.append(True, (ids[1:] != ids[:-1]) | (owner[1:] != owner[:-1]))
        start = np.maximum.accumulate(np.where(fresh, np.arange(len(ids)), 0))
        grams.append(np.stack([ids, np.arange(len(ids)) - start]))
        owners.append(owner)
    _, column = np.unique(np.concatenate(grams, axis=1), axis=1, return_inverse=True)
    columns = int(column.max(initial=0)) + 1
    first = column[: len(owners[0])]
    made = [
        scipy.sparse.csr_matrix(
            (np.ones(len(owner), np.float32), (owner, which)), shape=(len(sentences), columns)
        )
        for sentences, owner, which in (
            (sources, owners[0], first),
            (targets, owners[1], column[len(first) :]),
        )
    ]
    return made[0], made[1].T.tocsr()


def _path(sources: Sentences, targets: Sentences) -> list[Formulation]:
    """`best_path` of the links from the first sources."""
    from polyad.ops import align as ops

    source, target, score = ops.ngram_scores(sources, targets)

    def links(part: int) -> Links:
        count = int(np.searchsorted(source, part))
        return source[:count], target[:count], score[:count]

    def total(part: int, chain: Callable[[Array, Array, Array], Array]) -> float:
        found = links(part)
        return float(found[2][chain(*found)].sum())

    dense = functools.partial(dense_path, columns=len(targets))
    return [
        Formulation(OURS, lambda part: total(part, ops.best_path), 200),
        Formulation(DENSE, lambda part: total(part, dense), 200),
    ]


def dense_path(source: Array, target: Array, score: Array, *, columns: int) -> Array:
    """Find the best chain with a table of all pairs of sentences, row by row.

    A row of the table is the row before it, a link's score more where a link ends, and the running
    maximum of both. Way back: a cell is the end of a link where it is more than both neighbours.
    """
    lines = int(source.max(initial=-1)) + 1
    best = np.zeros((lines + 1, columns + 1))
    starts = np.searchsorted(source, np.arange(lines + 1))
    for line, (begin, end) in enumerate(itertools.pairwise(starts.tolist())):
        above, row = best[line], best[line + 1]
        row[:] = above
        at = target[begin:end]
        row[at + 1] = np.maximum(row[at + 1], above[at] + score[begin:end])
        np.maximum.accumulate(row, out=row)
    chain = []
    line, column = lines, columns
    while line and column:
        if best[line, column] == best[line - 1, column]:
            line -= 1
        elif best[line, column] == best[line, column - 1]:
            column -= 1
        else:
            begin, end = starts[line - 1], starts[line]
            chain.append(begin + int(np.flatnonzero(target[begin:end] == column - 1)[0]))
            line, column = line - 1, column - 1
    return np.array(chain[::-1], np.int64)


def _bleu(op: str, count: int) -> list[Formulation]:
    """`sentence_bleu` or `corpus_bleu` of translations and what they were made from."""
    from polyad.ops import align as ops

    made = Case(count)
    document = made.made().document
    pairs = [
        (document.translations[0][bead.source[0]], document.target[bead.target[0]])
        for bead in made.made().beads
    ]
    pairs = list(itertools.islice(itertools.cycle(pairs), count))
    candidates, references = ([pair[side] for pair in pairs] for side in (0, 1))
    lists = [[reference] for reference in references]

    def ours(part: int) -> Any:
        function = getattr(ops, op)
        options = {"effective_order": True} if op == "sentence_bleu" else {}
        return _scores_of(function(candidates[:part], lists[:part], **options))

    ways = [Formulation(OURS, ours, 100)]
    if harness.available("sacrebleu"):
        import sacrebleu

        def theirs(part: int) -> Any:
            # a new one each time: it remembers what it has split into tokens
            metric = sacrebleu.BLEU(effective_order=op == "sentence_bleu")
            if op == "corpus_bleu":
                return metric.corpus_score(candidates[:part], [references[:part]]).score
            return [
                metric.sentence_score(candidate, [reference]).score
                for candidate, reference in zip(candidates[:part], references[:part], strict=True)
            ]

        ways.append(Formulation(SACREBLEU, theirs, 100))
    if harness.available("nltk"):
        bleu_score = importlib.import_module("nltk.translate.bleu_score")
        smooth = bleu_score.SmoothingFunction().method1

        def nltks(part: int) -> Any:
            words = [[text.split() for text in side[:part]] for side in (candidates, references)]
            if op == "corpus_bleu":
                return bleu_score.corpus_bleu([[r] for r in words[1]], words[0])
            return [
                bleu_score.sentence_bleu([reference], candidate, smoothing_function=smooth)
                for candidate, reference in zip(*words, strict=True)
            ]

        ways.append(Formulation(NLTK, nltks, 100, same=False, note="splits at white space only"))
    return ways


def _scores_of(found: Any) -> Any:
    """The scores of what an op returns: numbers, or something that has them."""
    return found.score if hasattr(found, "score") else found
