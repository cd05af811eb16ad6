"""The hypernet family: what is measured, what is stated about it, and its figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console

from polyad.bench import harness, hypernet_cuda, hypernet_energy, hypernet_votes
from polyad.bench.harness import Limits
from polyad.bench.hypernet_cases import Run, Settings, sizes_of
from polyad.bench.rows import Claim, Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OPS = ("votes", "match", "match_counts", "feedback", "gibbs", "energy")

FULL = Settings(
    orders=(3, 10, 32),
    edges=(20_000, 1_000_000),
    samples=(1, 64, 8192),
    claim=(10, 20_000, 8192),
)
QUICK = Settings(
    orders=(10,),
    edges=(2_000, 20_000),
    samples=(1, 64, 8192),
    claim=(10, 20_000, 8192),
    claim_limits=Limits(full_s=0.6, budget_s=0.4),
    compile_s=0.0,
    memory=False,
    rivals_on_all_threads=False,
)


def run(
    settings: Settings, threads: Sequence[int], console: Console, op: str | None = None
) -> tuple[list[Row], list[str]]:
    """Measure every case, or those of ``op``; return rows and remarks."""
    here = Run(settings, threads, console)
    here.remarks.append(
        "x is random bits (energy: uniform in 0.1 .. 1); the literals of an edge agree with one "
        "sample; votes: weights are integers 1..15 unless the row says otherwise"
    )
    for ops, part in (
        (("votes",), hypernet_votes.votes),
        (("match", "match_counts", "feedback"), hypernet_votes.counts),
        (("gibbs",), hypernet_energy.gibbs),
        (("energy",), hypernet_energy.energy),
    ):
        if op is None or op in ops:
            part(here)
    missing = harness.cuda_missing()
    if missing is not None:
        here.remarks.append(f"cuda: skipped, {missing}")
    else:
        hypernet_cuda.run(here, op)
    # "energy forward" is a row of energy
    return [row for row in here.rows if op in (None, row.op.split()[0])], here.remarks


def claims(settings: Settings, measured: Sequence[Row]) -> list[Claim]:
    """The ratios that this project states, from one run, on one thread."""
    votes = sizes_of(*settings.claim, settings.variables)
    energy = sizes_of(*settings.energy, settings.variables)
    both = "energy forward+backward"
    product, columns = "torch x[:, idx].prod(-1)", "torch columns"
    stated: list[tuple[str, str, dict[str, int], str, float | None]] = [
        ("votes", "polyad", votes, "scipy.sparse", 40),
        ("votes", "polyad", votes, "torch gather", 500),
        ("votes", "polyad", votes, "torch AND-loop", 80),
        ("votes", "polyad, unit weights", votes, "scipy.sparse", None),
        ("votes", "polyad, float32 weights", votes, "scipy.sparse", None),
        (both, "polyad", energy, product, 50),
        (both, "polyad", energy, columns, 20),
    ]
    result = []
    for op, ours, sizes, peer, required in stated:
        found = {
            row.peer: row
            for row in measured
            if row.op == op and dict(row.sizes) == sizes and (row.threads, row.device) == (1, "cpu")
        }
        where = " ".join(f"{name}={size:,}" for name, size in sizes.items())
        text = f"{op}: {peer} / {ours}; {where}, 1 thread"
        if ours in found and peer in found:
            result.append(Claim.of(text, required, found[ours], found[peer]))
    return result


def figure(settings: Settings, measured: Sequence[Row], machine: Mapping[str, Any]) -> Figure:
    """Cost of votes against N and against E."""
    from polyad.bench import plot

    order, edges, samples = settings.claim
    votes = [
        row
        for row in measured
        if row.op == "votes"
        and row.threads == min(r.threads for r in measured)
        and row.device == "cpu"
        and row.sizes["k"] == order
        and "," not in row.peer
    ]
    panels = [
        plot.Panel(f"E = {edges:,}", "samples N", "N", [r for r in votes if r.sizes["E"] == edges]),
        plot.Panel(
            f"N = {samples:,}",
            "hyperedges E",
            "E",
            [r for r in votes if r.sizes["N"] == samples],
        ),
    ]
    threads = f"{votes[0].threads} thread{'s' if votes[0].threads > 1 else ''}" if votes else ""
    title = f"votes, k = {order}, I = {settings.variables}, {threads}, packing included"
    return plot.cost(title, panels, f"{machine['cpu']}, {machine['isa']}")
