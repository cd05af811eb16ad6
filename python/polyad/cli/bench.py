"""``polyad bench FAMILY``: the measurements of polyad.bench."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def bench(
    family: Annotated[
        str,
        typer.Argument(metavar="FAMILY", help="What to measure: hypernet, ntm, capsule, align."),
    ],
    quick: Annotated[bool, typer.Option(help="Small sizes; a minute or less.")] = False,
    threads: Annotated[
        str, typer.Option(metavar="N[,N...]", help="Numbers of threads to measure with.")
    ] = "1,2",
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the rows as JSON.")
    ] = None,
    plot_file: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw cost against size (PNG).")
    ] = None,
    op: Annotated[str | None, typer.Option(help="Only this op: votes, scan, align ...")] = None,
    pytorch_ntm: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="A checkout of loudinthecloud/pytorch-ntm to measure, too (ntm)."
        ),
    ] = None,
    bleualign: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="A checkout of rsennrich/Bleualign to measure, too (align)."
        ),
    ] = None,
    bleualign_cpp: Annotated[
        Path | None,
        typer.Option(metavar="PROGRAM", help="bitextor/bleualign-cpp to measure, too (align)."),
    ] = None,
    hunalign: Annotated[
        Path | None,
        typer.Option(metavar="PROGRAM", help="danielvarga/hunalign to measure, too (align)."),
    ] = None,
) -> None:
    """Measure the kernels beside their rivals here.

    Prints one row per op, size, rival and number of threads, with the factor to ours. Rivals
    that are not installed are left out and named.
    """
    from polyad import bench as benches

    if family not in benches.FAMILIES:
        known = ", ".join(benches.FAMILIES)
        raise typer.BadParameter(f"no family {family!r}; expected {known}", param_hint="FAMILY")
    counts = threads.split(",")
    if not all(count.isdecimal() and int(count) >= 1 for count in counts):
        raise typer.BadParameter(
            f"expected numbers of at least 1 with commas between, got {threads!r}",
            param_hint="--threads",
        )
    for path in (json_file, plot_file):
        if path is not None and not path.absolute().parent.is_dir():
            raise ValueError(f"{path}: no such folder {path.absolute().parent}")
    code = benches.main(
        family,
        threads=[int(count) for count in counts],
        quick=quick,
        json_path=json_file,
        plot_path=plot_file,
        op=op,
        pytorch_ntm=pytorch_ntm,
        bleualign=bleualign,
        bleualign_cpp=bleualign_cpp,
        hunalign=hunalign,
    )
    raise typer.Exit(code)
