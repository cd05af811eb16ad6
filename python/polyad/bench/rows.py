"""Rows of a benchmark: what they hold, the table on the terminal, the JSON file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from polyad._files import written_whole

FORMAT_VERSION = 1
# units of which there are so few in a call that the time of one is stated, too
TIMED_UNITS = {"steps": "step"}
# units whose tables show processor time, too
PROCESSOR_UNITS = ("samples", "sentences", "documents")

MEASURED = "measured"
SCALED = "scaled"
OUT_OF_MEMORY = "out of memory"
OUT_OF_TIME = "out of time"
FAILED = "failed"


@dataclass(frozen=True)
class Row:
    """One formulation of one op at one size.

    Attributes:
        op: The op, for example "votes".
        peer: Who computed it; "polyad" is ours.
        sizes: The sizes that define the case, by the names of the op's docstring.
        threads: Threads the formulation was allowed.
        work: Units of work of one call at full size.
        unit: Their name; a pair is a sample and a hyperedge.
        device: "cpu" or "cuda".
        batch: Samples per block inside the formulation, or None if it takes all at once.
        variant: dtype or algorithm that the search chose, or what tells this row from its siblings.
        packing: Whether converting the input is inside the time; None where nothing is converted.
        status: `MEASURED`, `SCALED`, `OUT_OF_MEMORY`, `OUT_OF_TIME` or `FAILED`.
        median_s: Median seconds of one call at full size, or None without a measurement.
        min_s: The least of them.
        spent_s: Median seconds of processor time, all threads together.
        repetitions: Timed calls.
        prepare_s: Seconds spent once on what does not depend on the input, outside the median.
        measured_on: The subsample behind a scaled row, in words.
        linearity: For a scaled row: seconds at the subsample over seconds at half of it.
        extra_bytes: Peak memory over inputs and outputs, where it was measured.
        note: One remark.
        ratio_to_polyad: `with_ratios` sets it.
        rate: Work per second; `with_ratios` sets it.
    """

    op: str
    peer: str
    sizes: Mapping[str, int]
    threads: int
    work: float
    unit: str = "pairs"
    device: str = "cpu"
    batch: int | None = None
    variant: str = ""
    packing: bool | None = None
    status: str = MEASURED
    median_s: float | None = None
    min_s: float | None = None
    spent_s: float | None = None
    repetitions: int = 0
    prepare_s: float | None = None
    measured_on: str = ""
    linearity: float | None = None
    extra_bytes: float | None = None
    note: str = ""
    ratio_to_polyad: float | None = None
    rate: float | None = None

    def case(self) -> tuple[Any, ...]:
        """What rows must share to be compared: op, sizes, threads, device."""
        return self.op, tuple(self.sizes.items()), self.threads, self.device

    def us_per_unit(self) -> float | None:
        """Microseconds per unit of work."""
        return None if self.median_s is None else self.median_s / self.work * 1e6

    def _timed_unit(self) -> list[str]:
        return [TIMED_UNITS[self.unit]] if self.unit in TIMED_UNITS else []

    def flat(self) -> dict[str, Any]:
        """Return the row as one flat mapping with units in the names."""
        return {
            "op": self.op,
            "peer": self.peer,
            **self.sizes,
            "batch": self.batch,
            "threads": self.threads,
            "device": self.device,
            "variant": self.variant,
            "packing_included": self.packing,
            "status": self.status,
            "median_s": self.median_s,
            "min_s": self.min_s,
            "processor_s": self.spent_s,
            "repetitions": self.repetitions,
            "prepare_s": self.prepare_s,
            f"{self.unit}_per_s": self.rate,
            **{f"us_per_{one}": self.us_per_unit() for one in self._timed_unit()},
            "ratio_to_polyad": self.ratio_to_polyad,
            "measured_on": self.measured_on,
            "linearity": self.linearity,
            "extra_bytes": self.extra_bytes,
            "note": self.note,
        }


@dataclass(frozen=True)
class Claim:
    """A ratio between two rows of one run.

    Attributes:
        text: What is compared.
        required: The least ratio that is stated, or None if none is.
        ratio: The ratio of the medians, or None if a row has no time.
        ratio_of_minima: The ratio of the least times.
        ratio_of_processor: The ratio of median processor times: on one thread, what an idle machine
            would show, whatever else runs on this one.
        by_processor: Whether ``required`` is about processor times, not medians.
    """

    text: str
    required: float | None
    ratio: float | None
    ratio_of_minima: float | None
    ratio_of_processor: float | None
    by_processor: bool = False

    @classmethod
    def of(
        cls,
        text: str,
        required: float | None,
        ours: Row,
        theirs: Row,
        *,
        by_processor: bool = False,
    ) -> Claim:
        """Compare two rows."""
        return cls(
            text,
            required,
            _ratio(theirs.median_s, ours.median_s),
            _ratio(theirs.min_s, ours.min_s),
            _ratio(theirs.spent_s, ours.spent_s),
            by_processor,
        )

    @property
    def holds(self) -> bool | None:
        """Whether the ratio was reached; None if it was not measured or none is stated."""
        ratio = self.ratio_of_processor if self.by_processor else self.ratio
        if ratio is None or self.required is None:
            return None
        return ratio >= self.required

    def flat(self) -> dict[str, Any]:
        """Return the claim as a flat mapping."""
        return {
            "claim": self.text,
            "required_ratio": self.required,
            "ratio": self.ratio,
            "ratio_of_minima": self.ratio_of_minima,
            "ratio_of_processor": self.ratio_of_processor,
            "holds": self.holds,
        }


def _ratio(theirs: float | None, ours: float | None) -> float | None:
    return theirs / ours if theirs and ours else None


def with_ratios(rows: Iterable[Row]) -> list[Row]:
    """Fill in rates, and each peer's median over the first polyad row of the same case."""
    rows = list(rows)
    ours: dict[tuple[Any, ...], float] = {}
    for row in rows:
        if row.peer == "polyad" and row.median_s:
            ours.setdefault(row.case(), row.median_s)
    filled = []
    for row in rows:
        rate = row.work / row.median_s if row.median_s else None
        base = ours.get(row.case())
        filled.append(replace(row, rate=rate, ratio_to_polyad=_ratio(row.median_s, base)))
    return filled


def write_json(
    path: Path,
    family: str,
    machine: Mapping[str, Any],
    rows: Sequence[Row],
    claims: Sequence[Claim],
    remarks: Sequence[str],
) -> None:
    """Write a run to ``path``; the file appears whole or not at all."""
    document = {
        "format_version": FORMAT_VERSION,
        "family": family,
        "machine": dict(machine),
        "remarks": list(remarks),
        "rows": [row.flat() for row in rows],
        "claims": [claim.flat() for claim in claims],
    }
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def seconds(value: float | None) -> str:
    """Format a duration with three significant digits: '1.23 ms'."""
    if value is None:
        return "-"
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value / 1e-9:.3g} ns"


def _rate(row: Row) -> str:
    if row.unit in TIMED_UNITS:
        each = row.us_per_unit()
        return "-" if each is None else f"{each:,.0f}" if each >= 100 else f"{each:.3g}"
    return "-" if row.rate is None else f"{row.rate:.2g}"


def _status(row: Row) -> str:
    if row.status == SCALED:
        return f"scaled ({row.measured_on})"
    return "" if row.status == MEASURED else row.status


def print_table(console: Console, title: str, rows: Sequence[Row]) -> None:
    """Print rows of one op, cases in the order of the run, with a line between cases."""
    if not rows:
        return
    memory = any(row.extra_bytes is not None for row in rows)
    timed = TIMED_UNITS.get(rows[0].unit)
    devices = {row.device for row in rows}
    table = Table(title=title, title_justify="left", title_style="bold", pad_edge=False)
    for name in rows[0].sizes:
        table.add_column(name, justify="right")
    blocks = any(row.batch for row in rows)
    packs = any(row.packing is not None for row in rows)
    if blocks:
        table.add_column("batch", justify="right")
    table.add_column("threads", justify="right")
    if devices != {"cpu"}:
        table.add_column("device")
    table.add_column("formulation", no_wrap=True)
    if packs:
        table.add_column("packing")
    rates = [f"µs/{timed}"] if timed else [f"{rows[0].unit}/s"]
    processor = rows[0].unit in PROCESSOR_UNITS
    prepares = any(row.prepare_s is not None for row in rows)
    timings = ["prepare"] * prepares + ["median", "min"] + ["processor"] * processor
    for name in (*timings, *rates, "ratio"):
        table.add_column(name, justify="right", no_wrap=True)
    if memory:
        table.add_column("extra memory", justify="right")
    table.add_column("remark")
    last = None
    for row in rows:
        if last is not None and row.case() != last:
            table.add_section()
        last = row.case()
        packing = "-" if row.packing is None else ("included" if row.packing else "before")
        ours = row.peer.startswith("polyad")
        cells = [f"{size:,}" for size in row.sizes.values()]
        cells += [f"{row.batch:,}" if row.batch else "all"] * blocks + [str(row.threads)]
        if devices != {"cpu"}:
            cells.append(row.device)
        cells += [
            f"{row.peer}{f' [{row.variant}]' if row.variant else ''}".replace("[", r"\["),
            *[packing] * packs,
            *[seconds(row.prepare_s)] * prepares,
            seconds(row.median_s),
            seconds(row.min_s),
            *[seconds(row.spent_s)] * processor,
            _rate(row),
            "-" if row.ratio_to_polyad is None else f"{row.ratio_to_polyad:.3g}x",
        ]
        if memory:
            cells.append("-" if row.extra_bytes is None else f"{row.extra_bytes / 1e6:,.1f} MB")
        cells.append("; ".join(part for part in (_status(row), row.note) if part))
        table.add_row(*cells, style="bold" if ours else None)
    console.print(table)


def print_claims(console: Console, claims: Sequence[Claim]) -> None:
    """Print the ratios that are stated, and whether this run reached them."""
    if not claims:
        return
    table = Table(title="Stated ratios", title_justify="left", title_style="bold", pad_edge=False)
    table.add_column("one / another")
    for name in ("stated", "medians", "minima", "processor"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    words = {True: "holds", False: "[bold red]falls short[/]", None: "-"}
    for claim in claims:
        stated = "-" if claim.required is None else f">= {claim.required:g}x"
        ratios = (claim.ratio, claim.ratio_of_minima, claim.ratio_of_processor)
        cells = ["-" if ratio is None else f"{ratio:.1f}x" for ratio in ratios]
        table.add_row(claim.text.replace("[", r"\["), stated, *cells, words[claim.holds])
    console.print(table)
