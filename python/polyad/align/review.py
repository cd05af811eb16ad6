"""How right an alignment is: a sample of its beads for a person to judge, and what follows from it.

Beads are drawn at random from bands of their score, the same number from each, so that the doubtful
ones are judged as often as the many safe ones. An estimate for all beads weighs each band by the
beads it holds.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from polyad.align.documents import LABELS, Alignment, Bead
from polyad.data.dataset import DataError

VERDICTS = ("correct", "partly", "wrong", "skipped")
FORMAT_VERSION = 1
KIND = "polyad review"
Z95 = 1.959963984540054


class Band(NamedTuple):
    """Beads whose scores lie between two numbers, these included.

    Attributes:
        low: Of the lowest score in it; NaN for the band of the beads without a finite one.
        high: Of the highest score in it.
        beads: How many beads it holds.
        sampled: How many of them are to be judged.
    """

    low: float
    high: float
    beads: int
    sampled: int


class Item(NamedTuple):
    """A bead to judge.

    Attributes:
        document: The place of its alignment.
        place: Its place among the beads of that alignment.
        band: The place of its band.
    """

    document: int
    place: int
    band: int


@dataclass(frozen=True)
class Sample:
    """Beads to judge, in an order that does not show their score.

    Attributes:
        alignments: What they were drawn from.
        bands: From low to high scores; beads without a score stand in a last one.
        items: The beads.
        seed: What they were drawn with.
    """

    alignments: Sequence[Alignment]
    bands: list[Band]
    items: list[Item]
    seed: int

    def bead(self, item: Item) -> Bead:
        """Return the bead of an item."""
        alignment, place = self.alignments[item.document], item.place
        a, b, c, d = alignment.spans[place].tolist()
        both = alignment.scattered.get(place, (tuple(range(a, b)), tuple(range(c, d))))
        label = LABELS[int(alignment.labels[place])]
        return Bead(*both, float(alignment.scores[place]), label)

    def digest(self) -> str:
        """Return a name of the sample: other beads or texts have another one."""
        told = hashlib.sha256(repr((self.bands, self.items)).encode())
        for item in self.items:
            bead = self.bead(item)
            texts = self.alignments[item.document].text(bead)
            told.update(repr((bead, texts)).encode("utf-8", "surrogatepass"))
        return told.hexdigest()[:16]


def draw_sample(
    alignments: Sequence[Alignment],
    *,
    bands: int = 5,
    edges: Sequence[float] | None = None,
    per_band: int = 40,
    seed: int = 0,
) -> Sample:
    """Draw beads to judge, the same number from every band of scores.

    Args:
        alignments: Of any number of documents.
        bands: How many bands, with about as many beads in each; equal scores stay together.
        edges: Scores at which a new band begins, in place of ``bands``; ascending.
        per_band: How many beads are drawn from each band; all of a band that has no more.
        seed: Same alignments, same seed, same sample.

    Raises:
        ValueError: There is no bead, or ``bands``, ``edges`` or ``per_band`` make no sense.
    """
    if bands < 1 or per_band < 1:
        name, value = ("bands", bands) if bands < 1 else ("per_band", per_band)
        raise ValueError(f"{name}: expected at least 1, got {value}")
    sizes = [len(alignment.scores) for alignment in alignments]
    if not sum(sizes):
        raise ValueError("alignments: expected at least one bead with two sides, got none")
    documents = np.repeat(np.arange(len(sizes)), sizes)
    places = np.concatenate([np.arange(size) for size in sizes])
    scores = np.concatenate([np.asarray(a.scores, np.float64) for a in alignments])
    scored = np.isfinite(scores)
    if edges is None:
        inner = np.arange(1, bands) / bands
        cuts = np.unique(np.quantile(scores[scored], inner)) if scored.any() else np.zeros(0)
    else:
        cuts = np.asarray(edges, np.float64)
        if not np.isfinite(cuts).all() or (np.diff(cuts) <= 0).any():
            raise ValueError(f"edges: expected ascending numbers, got {list(edges)}")
    number = np.where(scored, np.searchsorted(cuts, scores, side="right"), len(cuts) + 1)
    random = np.random.default_rng(seed)
    made: list[Band] = []
    items: list[Item] = []
    for k in range(len(cuts) + 2):
        members = np.flatnonzero(number == k)
        if not len(members):
            continue
        count = min(per_band, len(members))
        drawn = np.sort(random.choice(members, count, replace=False))
        items += [Item(int(documents[i]), int(places[i]), len(made)) for i in drawn]
        low, high = scores[members].min(), scores[members].max()
        if k > len(cuts):  # infinities too: they do not compare with what is a score
            low = high = math.nan
        made.append(Band(float(low), float(high), len(members), count))
    order = random.permutation(len(items))
    return Sample(alignments, made, [items[i] for i in order], seed)


class Estimate(NamedTuple):
    """A share and its interval of 95 %; NaN where nothing was judged."""

    share: float
    low: float
    high: float


UNKNOWN = Estimate(math.nan, math.nan, math.nan)


def wilson(right: int, judged: int, beads: int | None = None) -> Estimate:
    """Return the share ``right / judged`` with Wilson's interval.

        centre = (p + z^2 / 2n) / (1 + z^2 / n)
        half   = z / (1 + z^2 / n)  sqrt( p (1 - p) / n + z^2 / 4n^2 )

    With n' = n (N - 1) / (N - n) in place of n where ``beads`` = N is known: who has judged most of
    a band knows more about it than the same number of judgements says of an endless one, and who
    has judged all of it knows its share.

    Args:
        right: How many were right.
        judged: How many were judged, n.
        beads: How many there are, N.
    """
    if judged == 0:
        return UNKNOWN
    share, n = right / judged, float(judged)
    if beads is not None:
        if judged >= beads:
            return Estimate(share, share, share)
        n *= (beads - 1) / (beads - judged)
    wide = 1 + Z95**2 / n
    centre = (share + Z95**2 / (2 * n)) / wide
    half = Z95 / wide * math.sqrt(share * (1 - share) / n + Z95**2 / (4 * n * n))
    return Estimate(share, min(share, centre - half), max(share, centre + half))


def stratified(beads: Sequence[int], right: Sequence[int], judged: Sequence[int]) -> Estimate:
    """Return the share of all beads that are right, from the judgements of each band.

        share = sum_h W_h p_h ,   W_h = N_h / sum N
        low   = share - sqrt( sum_h W_h^2 (p_h - l_h)^2 )
        high  = share + sqrt( sum_h W_h^2 (u_h - p_h)^2 )

    l and u are Wilson's limits of a band (G. Y. Zou and A. Donner, *Construction of confidence
    limits about effect measures*, 2008): unlike the usual variance, they do not vanish where all of
    a band's judgements are equal. For one band it is Wilson's interval. Bands without a judgement
    are left out.

    Args:
        beads: N_h, how many beads each band holds.
        right: How many of the judged ones are right.
        judged: How many were judged.
    """
    known = [h for h, count in enumerate(judged) if count]
    if not known:
        return UNKNOWN
    total = sum(beads[h] for h in known)
    share = below = above = 0.0
    for h in known:
        weight = beads[h] / total
        p, low, high = wilson(right[h], judged[h], beads[h])
        share += weight * p
        below += (weight * (p - low)) ** 2
        above += (weight * (high - p)) ** 2
    return Estimate(share, max(0.0, share - math.sqrt(below)), min(1.0, share + math.sqrt(above)))


class Row(NamedTuple):
    """What the judgements say of some bands.

    Attributes:
        band: The band; None for all together.
        correct: How many were judged correct.
        partly: How many partly so.
        wrong: How many wrong.
        strict: The share of correct beads.
        lax: The share of beads that are correct or partly so.
        upwards: The share of correct beads in this band and those with higher scores.
        kept: How many beads those are.
    """

    band: Band | None
    correct: int
    partly: int
    wrong: int
    strict: Estimate
    lax: Estimate
    upwards: Estimate
    kept: int

    @property
    def judged(self) -> int:
        """How many were judged."""
        return self.correct + self.partly + self.wrong


def accuracy(bands: Sequence[Band], counts: Sequence[Mapping[str, int]]) -> list[Row]:
    """Return a row for every band and one for all together.

    Args:
        bands: The bands.
        counts: For every band, how many beads got each of `VERDICTS`; skipped ones do not count.
    """
    beads = [band.beads for band in bands]
    correct = [count.get("correct", 0) for count in counts]
    loose = [count.get("correct", 0) + count.get("partly", 0) for count in counts]
    judged = [right + count.get("wrong", 0) for right, count in zip(loose, counts, strict=True)]
    rows = []
    scored = [h for h, band in enumerate(bands) if not math.isnan(band.low)]
    for h, band in enumerate(bands):
        up = [k for k in scored if k >= h]
        rows.append(
            Row(
                band,
                correct[h],
                loose[h] - correct[h],
                judged[h] - loose[h],
                wilson(correct[h], judged[h], beads[h]),
                wilson(loose[h], judged[h], beads[h]),
                stratified(*([of[k] for k in up] for of in (beads, correct, judged))),
                sum(beads[k] for k in up),
            )
        )
    every = stratified(beads, correct, judged)
    rows.append(
        Row(
            None,
            sum(correct),
            sum(loose) - sum(correct),
            sum(judged) - sum(loose),
            every,
            stratified(beads, loose, judged),
            every,
            sum(beads),
        )
    )
    return rows


class Judgements(NamedTuple):
    """What a person decided, as the review page saves it.

    Attributes:
        title: Of the page.
        bands: The bands.
        counts: For every band, how many beads got each of `VERDICTS`.
    """

    title: str
    bands: list[Band]
    counts: list[dict[str, int]]


def read_judgements(path: Path) -> Judgements:
    """Read the JSON file that a review page saved.

    Raises:
        DataError: It is not such a file; the message says what is wrong where.
        OSError: It cannot be read.
    """
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{path}: is not JSON: {error}") from error
    if not isinstance(told, dict) or told.get("kind") != KIND:
        raise DataError(f"{path}: expected judgements saved by a page of 'polyad review'")
    if told.get("format_version") != FORMAT_VERSION:
        raise DataError(
            f"{path}: format_version: expected {FORMAT_VERSION}, got {told.get('format_version')!r}"
        )
    try:
        bands = [_band(entry) for entry in told["bands"]]
        counts: list[dict[str, int]] = [dict.fromkeys(VERDICTS, 0) for _ in bands]
        for place, judgement in enumerate(told["judgements"]):
            band, verdict = judgement["band"], judgement["verdict"]
            if verdict not in (*VERDICTS, None) or type(band) is not int:
                raise ValueError(f"judgement {place}: unknown verdict or band")
            if not 0 <= band < len(bands):
                raise ValueError(f"judgement {place}: band {band} of {len(bands)}")
            if verdict is not None:
                counts[band][verdict] += 1
        for band, count in zip(bands, counts, strict=True):
            if sum(count.values()) > band.beads:
                raise ValueError(f"{sum(count.values())} judgements of {band.beads} beads")
        title = str(told.get("title", ""))
    except (KeyError, TypeError, ValueError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(f"{path}: {what}") from error
    return Judgements(title, bands, counts)


def _band(entry: Mapping[str, Any]) -> Band:
    low, high = (math.nan if entry[n] is None else float(entry[n]) for n in ("low", "high"))
    beads, sampled = int(entry["beads"]), int(entry["sampled"])
    if not 0 < sampled <= beads:
        raise ValueError(f"expected a band with 1 to {beads} beads sampled, got {sampled}")
    return Band(low, high, beads, sampled)
