"""Benchmarks: cases and their rivals, one module per family; ``polyad bench FAMILY`` runs them."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

FAMILIES = ("hypernet", "ntm", "capsule", "align")


def main(
    family: str,
    *,
    threads: Sequence[int] = (1, 2),
    quick: bool = False,
    json_path: Path | None = None,
    plot_path: Path | None = None,
    op: str | None = None,
    pytorch_ntm: Path | None = None,
    bleualign: Path | None = None,
    bleualign_cpp: Path | None = None,
    hunalign: Path | None = None,
) -> int:
    """Run the benchmark of a family: print its tables, write its rows and its figure.

    Args:
        family: One of `FAMILIES`.
        threads: The numbers of threads to run with.
        quick: Fewer sizes and rivals, under a minute.
        json_path: Where to write the rows; None for nowhere.
        plot_path: Where to draw cost against size, .png, .svg or .pdf (needs matplotlib).
        op: Only the cases of this op.
        pytorch_ntm: A checkout of loudinthecloud/pytorch-ntm, a rival of the family ntm.
        bleualign: A checkout of rsennrich/Bleualign, a rival of the family align.
        bleualign_cpp: The program of bitextor/bleualign-cpp, another one.
        hunalign: The program of danielvarga/hunalign, another one.

    Returns:
        0, or 1 if a rival's result disagreed with ours or a formulation failed.

    Raises:
        ValueError: An unknown family or op, a number of threads below 1, a folder that is missing,
            a rival that is not where it should be or not one of this family.
        ImportError: ``plot_path`` is given, and matplotlib is missing.
    """
    from rich.console import Console

    from polyad.bench import harness, plot, rows

    if family not in FAMILIES:
        raise ValueError(f"family: expected one of {', '.join(FAMILIES)}, got {family!r}")
    if not threads or min(threads) < 1:
        raise ValueError(f"threads: expected numbers of at least 1, got {list(threads)}")
    for name, path in (("json_path", json_path), ("plot_path", plot_path)):
        if path is not None and not path.absolute().parent.is_dir():
            raise ValueError(f"{name}: there is no folder {path.absolute().parent}")
    if plot_path is not None:
        plot.require_format(plot_path)
    rivals = {
        "ntm": {"pytorch_ntm": pytorch_ntm},
        "align": {
            "bleualign": bleualign,
            "bleualign_cpp": bleualign_cpp,
            "hunalign": hunalign,
        },
    }
    for of, paths in rivals.items():
        for name, path in paths.items():
            if path is not None and family != of:
                raise ValueError(f"{name}: expected the family {of}, got {family}")
    given = {name: path for name, path in rivals.get(family, {}).items() if path is not None}
    if pytorch_ntm is not None:
        from polyad.bench.ntm_peers import import_public

        import_public(pytorch_ntm)
    if family == "align":
        from polyad.bench.align_peers import require

        require(given)
    cases = importlib.import_module(f"polyad.bench.{family}")
    if op is not None and op not in cases.OPS:
        raise ValueError(f"op: expected one of {', '.join(cases.OPS)}, got {op!r}")

    console = Console()
    # a narrow terminal or a pipe would fold the columns of the tables
    wide = console if console.width >= 150 else Console(width=150)
    machine = harness.machine()
    for name, value in machine.items():
        console.print(f"{name:14} {value}", highlight=False)
    settings = cases.QUICK if quick else cases.FULL
    settings = replace(settings, **given)
    measured, remarks = cases.run(settings, threads, console, op)
    measured = rows.with_ratios(measured)
    claims = cases.claims(settings, measured)
    for name in dict.fromkeys(row.op for row in measured):
        rows.print_table(wide, name, [row for row in measured if row.op == name])
    for remark in remarks:
        wide.print(remark, highlight=False)
    rows.print_claims(wide, claims)
    if json_path is not None:
        rows.write_json(json_path, family, machine, measured, claims, remarks)
    if plot_path is not None:
        plot.save(cases.figure(settings, measured, machine), plot_path)
    return int(any(row.status == rows.FAILED for row in measured))
