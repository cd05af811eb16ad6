"""``polyad info``: what this installation is made of."""

from __future__ import annotations

import importlib.util
import json
from typing import Annotated

import typer
from rich.table import Table

from polyad.cli.console import out

EXTRAS = {
    "demo": ("sklearn", "matplotlib"),
    "torch": ("torch",),
    "train": ("lightning", "matplotlib", "safetensors", "tensorboard", "torchmetrics"),
    "xgi": ("xgi",),
}


def info(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what this installation is made of and can do."""
    import polyad
    from polyad.data import NAMED
    from polyad.recipes import RUNS

    entries = dict(polyad.config())
    for extra, modules in EXTRAS.items():
        missing = [name for name in modules if importlib.util.find_spec(name) is None]
        cure = f"missing: pip install 'polyad[{extra}]'" if missing else "installed"
        entries[f"extra {extra}"] = cure
    entries["models"] = list(RUNS)
    entries["data"] = list(NAMED)
    if as_json:
        print(json.dumps(entries, indent=2))
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in entries.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        table.add_row(name, text or "none")
    out().print(table)
