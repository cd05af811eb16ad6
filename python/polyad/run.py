"""A run: the folder in which training leaves all that evaluating, recalling and reporting read.

    RUN/settings.json   the model's name, its settings, where the data came from
    RUN/metrics.json    flat names, numbers, units in the names
    RUN/history.json    columns of numbers, one entry per epoch or other stretch of training
    RUN/model.*         the checkpoint, and in the end the trained model
    RUN/logs/           the same columns for TensorBoard, and as CSV
    RUN/pictures/*.png  pictures
    RUN/NAME.json       further tables that the page shows
    RUN/report.html     one page that needs no other file

Every file appears whole or not at all, and states its ``format_version``; the pictures and the page
are made from the others and can be made again.
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from polyad._files import written_whole
from polyad._version import __version__

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMAT_VERSION = 1
PICTURE_DPI = 160

_OWN_FILES = re.compile(
    r"(settings|metrics(-[\w.-]+)?|history|edges|longer|tests)\.json|model\.\w+|report\.html"
)
_LOGS = "logs"
_LOG_FILES = re.compile(r"metrics\.csv|hparams\.yaml|events\.out\.tfevents\..+")
Setting = TypeVar("Setting")
_METRIC_NAME = re.compile(r"[a-z][a-z0-9_]*")


class RunError(ValueError):
    """A run folder that cannot be made or read; the message names the folder and the cure."""


class Interrupted(Exception):
    """Training stopped because someone asked; the message says how to go on."""


class Run:
    """One run folder; `begin` writes it, `open` reads it.

    Args:
        path: The folder; nothing is written yet.
        model: The name of the model, as in ``polyad train MODEL``.
        settings: What settings.json holds besides the model's name and the versions; JSON can hold
            it.

    Attributes:
        begun: Whether the folder holds this run.
    """

    def __init__(
        self, path: str | os.PathLike[str], model: str, settings: Mapping[str, Any]
    ) -> None:
        self.path = Path(path)
        self.model = model
        self.settings = dict(settings)
        self.begun = False

    def begin(self) -> None:
        """Make the folder, with its parents, and write settings.json.

        The files of a run that is there are removed, all others stay; see `require_free`.

        Raises:
            RunError: The folder cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{self.path}: cannot make this folder: {error.strerror}") from error
        self._clear()
        content = {"model": self.model, "polyad": __version__, **self.settings}
        self._write_json("settings.json", content)
        self.begun = True

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, model: str | None = None) -> Run:
        """Open a run folder.

        Args:
            path: The folder.
            model: Which model it must be a run of; None: any.

        Raises:
            RunError: No run, of another model, or written by a later format.
        """
        folder = Path(path)
        if not (folder / "settings.json").is_file():
            what = "not a run (it has no settings.json)" if folder.exists() else "no such folder"
            raise RunError(f"{folder}: {what}; 'polyad train MODEL --out {folder}' makes a run")
        content = _read_json(folder / "settings.json")
        name = content.pop("model", None)
        if not isinstance(name, str):
            raise RunError(f"{folder / 'settings.json'}: names no model")
        if model is not None and name != model:
            raise RunError(f"{folder}: is a run of {name}, not of {model}")
        content.pop("polyad", None)
        run = cls(folder, name, content)
        run.begun = True
        return run

    def file(self, name: str) -> Path:
        """Return the path of one of the run's files."""
        return self.path / name

    @property
    def finished(self) -> bool:
        """Whether training came to its end: only then do the metrics say how long it took."""
        return "seconds_train" in self.metrics()

    def setting(self, name: str, kind: type[Setting]) -> Setting:
        """Return an entry of settings.json.

        Raises:
            RunError: It is not there, or of another type.
        """
        value = self.settings.get(name)
        if not isinstance(value, kind):
            raise RunError(f"{self.file('settings.json')}: damaged ({name})")
        return value

    def metrics(self) -> dict[str, float]:
        """Return what metrics.json holds; empty if nothing was measured yet."""
        path = self.file("metrics.json")
        found = _read_json(path) if path.is_file() else {}
        try:
            return {name: _number(value) for name, value in found.items()}
        except TypeError as error:
            raise RunError(f"{path}: damaged ({error})") from error

    def add_metrics(self, **values: float) -> None:
        """Add numbers to metrics.json, or replace those that are there.

        Args:
            values: Names in lower case that end in their unit where they have one
                (``accuracy_test_percent``), and finite numbers.

        Raises:
            ValueError: Another kind of name or number.
        """
        for name, value in values.items():
            if not _METRIC_NAME.fullmatch(name):
                raise ValueError(f"metric {name!r}: expected a name of a-z, 0-9 and _")
            if not abs(float(value)) < float("inf"):
                raise ValueError(f"metric {name}: expected a finite number, got {value}")
        numbers = {n: v if isinstance(v, int) else float(v) for n, v in values.items()}
        self._write_json("metrics.json", {**self.metrics(), **numbers})

    def history(self, *names: str) -> list[dict[str, float]]:
        """Return one dictionary per epoch; empty if nothing was written yet.

        Args:
            names: Columns that must be there.

        Raises:
            RunError: They are not, or the file is damaged.
        """
        path = self.file("history.json")
        if not path.is_file():
            return []
        try:
            columns: dict[str, list[float]] = _read_json(path)["columns"]
            rows = list(zip(*columns.values(), strict=True))
            found = [dict(zip(columns, map(_number, row), strict=True)) for row in rows]
            return [{name: row[name] for name in (names or row)} for row in found]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, RunError):
                raise
            raise RunError(f"{path}: damaged ({error})") from error

    def write_history(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Write history.json: ``rows`` have the same names."""
        columns = {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}
        self._write_json("history.json", {"columns": columns})

    def write_metrics_of(self, name: str, values: Mapping[str, float]) -> Path:
        """Write metrics-NAME.json, for figures on other data than the run's own."""
        file = f"metrics-{re.sub(r'[^A-Za-z0-9_.-]+', '-', name)}.json"
        self._write_json(file, values)
        return self.file(file)

    def write_table(self, name: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Write NAME.json, a table of text for the page."""
        self._write_json(f"{name}.json", {"head": list(head), "rows": [list(row) for row in rows]})

    def table(self, name: str) -> tuple[list[str], list[list[str]]] | None:
        """Return the head and rows of a table, or None if it is not there."""
        path = self.file(f"{name}.json")
        if not path.is_file():
            return None
        content = _read_json(path)
        try:
            return list(map(str, content["head"])), [list(map(str, r)) for r in content["rows"]]
        except (KeyError, TypeError) as error:
            raise RunError(f"{path}: damaged ({error})") from error

    def picture(self, name: str) -> Path:
        """Return the path of the picture of that name, whether or not it is there."""
        return self.path / "pictures" / f"{name}.png"

    def save_picture(self, name: str, figure: Figure) -> Path:
        """Save ``figure`` among the pictures and return its path."""
        path = self.picture(name)
        path.parent.mkdir(exist_ok=True)
        with written_whole(path) as temporary:
            figure.savefig(temporary, format="png", dpi=PICTURE_DPI)
        return path

    def sweep(self) -> None:
        """Remove what a kill in the middle of writing a file left behind."""
        for folder in (self.path, self.path / "pictures"):
            for path in folder.glob(".*.part"):
                path.unlink()

    def clear_logs(self) -> None:
        """Remove what loggers wrote to the folder logs, and the folder if nothing else is in it."""
        logs = self.path / _LOGS
        _remove([path for path in logs.glob("*") if _LOG_FILES.fullmatch(path.name)], logs)

    def _clear(self) -> None:
        """Remove the files of a run from the folder, and nothing else."""
        self.sweep()
        self.clear_logs()
        pictures = self.path / "pictures"
        own = [path for path in self.path.iterdir() if _OWN_FILES.fullmatch(path.name)]
        _remove([*own, *pictures.glob("*.png")], pictures)

    def _write_json(self, name: str, content: Mapping[str, Any]) -> None:
        path = self.file(name)
        text = json.dumps({"format_version": FORMAT_VERSION, **content}, indent=2, allow_nan=False)
        with written_whole(path) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")


def require_free(path: Path, *, replace: bool) -> None:
    """Raise unless a run can be made at ``path``: nothing is there, or a run to replace.

    Args:
        path: The folder.
        replace: Whether a run that is there may be replaced.

    Raises:
        RunError: It cannot; the message says why.
    """
    if path.exists() and not path.is_dir():
        raise RunError(f"{path}: is a file; a run is a folder")
    above = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise RunError(f"{path}: nothing can be written in {above}")
    if not path.exists() or not any(path.iterdir()):
        return
    if not (path / "settings.json").is_file():
        raise RunError(f"{path}: holds files that are not a run's; choose another folder")
    if not replace:
        raise RunError(f"{path}: holds a run already; --resume continues it, --force replaces it")


def _remove(files: Sequence[Path], folder: Path) -> None:
    """Remove ``files``, and ``folder`` if it is there and empty."""
    for path in files:
        path.unlink()
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return value


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise RunError(f"{path}: damaged ({error})") from error
    if not isinstance(content, dict):
        raise RunError(f"{path}: damaged (expected an object)")
    version = content.pop("format_version", None)
    if version != FORMAT_VERSION:
        raise RunError(
            f"{path}: has format_version {version}, this polyad ({__version__}) reads "
            f"{FORMAT_VERSION}"
        )
    return content


@contextmanager
def stopping(notice: Callable[[], None]) -> Iterator[threading.Event]:
    """Let the first Ctrl-C or SIGTERM ask for a stop; a second Ctrl-C interrupts at once.

    Args:
        notice: Called at the first one, to say that the request was heard.

    Yields:
        An event that is set once a stop was asked for. Outside the main thread, where Python allows
        no signal handlers, it is never set.
    """
    asked = threading.Event()

    def ask(signum: int, frame: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        notice()

    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
