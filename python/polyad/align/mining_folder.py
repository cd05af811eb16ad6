"""The folder of a mining: what is in it, and how it begins."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from polyad._files import written_whole
from polyad.align.mining_settings import MiningSettings
from polyad.run import Run, RunError

__all__ = ["MODEL", "PAIRS", "begin", "read_json", "write_json"]

MODEL = "mining"
"""What settings.json calls the model of such a run."""

PAIRS = {"source": "pairs-s", "target": "pairs-t"}
RESULTS = ("mined.tsv.gz", "mined-s", "mined-t")
OWN = (*RESULTS, "corpus.json", "source.txt")


def begin(path: Path, settings: MiningSettings, inputs: Mapping[str, Any]) -> Run:
    """Make the run folder of a mining, in place of one that is there.

    Args:
        path: The folder.
        settings: Of the mining.
        inputs: Where the documents come from, as JSON holds it; for whoever resumes.
    """
    run = Run(path, MODEL, {**asdict(settings), "inputs": dict(inputs)})
    for folder in sorted(path.glob("round-*")):
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    for name in OWN:
        run.file(name).unlink(missing_ok=True)
    run.begin()
    return run


def read_json(path: Path) -> dict[str, Any]:
    """Return what a file of figures holds.

    Raises:
        RunError: It is damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or content.pop("format_version", None) != 1:
            raise ValueError("expected an object of format_version 1")
    except (UnicodeDecodeError, ValueError) as error:
        raise RunError(f"{path}: damaged ({error})") from error
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file of figures whole."""
    text = json.dumps({"format_version": 1, **content}, indent=2, allow_nan=False)
    with written_whole(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
