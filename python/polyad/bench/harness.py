"""Timing under limits: repetitions, subsamples that are scaled up, threads, the machine; a run."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import resource
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from rich.console import Console

from polyad import _backend
from polyad.bench import rows as status
from polyad.bench.rows import Row

Call = Callable[[], object]


@dataclass(frozen=True)
class Limits:
    """What one formulation may cost.

    Attributes:
        full_s: A call that would take longer than this is measured on a subsample and scaled.
        call_s: No call may take longer than this, not even one on a subsample.
        bytes: Memory a formulation may allocate.
        budget_s: Time to spend on the repetitions of one row.
        least_repetitions: Repetitions, whatever they take.
        most_repetitions: Repetitions, however short they are.
    """

    full_s: float = 60.0
    call_s: float = 60.0
    bytes: int = 16 * 10**9
    budget_s: float = 0.5
    least_repetitions: int = 3
    most_repetitions: int = 30


@dataclass(frozen=True)
class Timing:
    """What `measure` found; the fields are those of `polyad.bench.rows.Row`."""

    status: str
    median_s: float | None = None
    min_s: float | None = None
    spent_s: float | None = None
    repetitions: int = 0
    measured_on: str = ""
    linearity: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Seconds:
    """One timed call: what is reported, and what it cost the processor.

    The second is what decisions are made with: it does not change when others share the machine.
    """

    elapsed: float
    spent: float


Clock = Callable[[Call], Seconds]


def wall_clock(call: Call) -> Seconds:
    """Time ``call`` by the clock on the wall; spent is the processor time of all threads."""
    start, start_spent = time.perf_counter(), time.process_time()
    call()
    return Seconds(time.perf_counter() - start, time.process_time() - start_spent)


def cuda_clock(call: Call) -> Seconds:
    """Time ``call`` by two events on torch's current stream."""
    import torch

    event: Any = torch.cuda.Event
    begin, end = event(enable_timing=True), event(enable_timing=True)
    begin.record()
    call()
    end.record()
    end.synchronize()
    elapsed = float(begin.elapsed_time(end)) / 1e3
    return Seconds(elapsed, elapsed)


def prepared(clock: Clock) -> Clock:
    """Return a clock for calls that return the call to time: what they do before is not timed."""

    def of_prepared(call: Call) -> Seconds:
        ready: Any = call()
        return clock(ready)

    return of_prepared


def repeat(call: Call, limits: Limits, first: Seconds, clock: Clock) -> Timing:
    """Time ``call`` again and again; ``first`` is a call already timed: a long one counts."""
    times = [first] if first.spent >= limits.budget_s else []
    count = _repetitions(first.spent, limits)
    while len(times) < count:
        times.append(clock(call))
    return _timing(times)


def _repetitions(spent: float, limits: Limits) -> int:
    wanted = int(limits.budget_s / max(spent, 1e-9))
    return min(max(wanted, limits.least_repetitions), limits.most_repetitions)


def _timing(times: Sequence[Seconds]) -> Timing:
    elapsed = [seconds.elapsed for seconds in times]
    spent = statistics.median(seconds.spent for seconds in times)
    return Timing(status.MEASURED, statistics.median(elapsed), min(elapsed), spent, len(times))


def measure_in_turn(
    makes: Mapping[str, Callable[[int], Call]],
    size: int,
    limits: Limits,
    *,
    rounds: int,
    steps: Mapping[str, int],
    unit: str = "N",
    clock: Clock = wall_clock,
) -> dict[str, Timing]:
    """`measure` of several formulations whose repetitions take turns.

    What disturbs the machine for a while so disturbs all of them. Formulations that take a
    subsample, or fail, have no turns.

    Args:
        makes: For each name, what `measure` takes; calls have to be warm.
        size: The full number of samples.
        limits: For each of them.
        rounds: How many turns each has, at most.
        steps: For each name, its smallest subsample.
        unit: The name of the size, for the remark.
        clock: Times one call.
    """
    once = replace(limits, budget_s=0.0, least_repetitions=1, most_repetitions=1)
    found = {
        name: measure(make, size, once, step=steps[name], unit=unit, clock=clock)
        for name, make in makes.items()
    }
    turns = {
        name: (makes[name](size), _repetitions(timing.spent_s or 0.0, limits))
        for name, timing in found.items()
        if timing.status == status.MEASURED
    }
    times: dict[str, list[Seconds]] = {name: [] for name in turns}
    for turn in range(rounds):
        for name, (call, count) in turns.items():
            for _ in range(count * turn // rounds, count * (turn + 1) // rounds):
                times[name].append(clock(call))
    return found | {name: _timing(each) for name, each in times.items()}


def on_first(function: Callable[..., object], *batches: Any) -> Callable[[int], Call]:
    """Return what `measure` makes calls with: ``function`` of the first samples of ``batches``."""
    return lambda samples: functools.partial(function, *(batch[:samples] for batch in batches))


def measure(
    make: Callable[[int], Call],
    size: int,
    limits: Limits,
    *,
    step: int = 1,
    unit: str = "N",
    clock: Clock = wall_clock,
) -> Timing:
    """Time a call at ``size``, or on a subsample of it where the limits ask for one.

    The subsample doubles until it takes a noticeable part of ``limits.full_s``; it is scaled up
    only if the last doubling doubled the time, and goes on doubling while it did not.

    Args:
        make: Returns a call on that many samples; preparing its input is not timed.
        size: The full number of samples.
        limits: Time, memory and repetitions.
        step: The smallest subsample: a block of the formulation.
        unit: The name of the size, for the remark.
        clock: Times one call.
    """
    step = min(step, size)
    part, most = step, size
    half: float | None = None  # seconds spent at half of this subsample
    with memory_limit(limits.bytes):
        while True:
            try:
                call = make(part)
                first = clock(call)
                if first.spent < limits.budget_s:
                    first = clock(call)  # the one before warmed up
                if part == size:
                    return repeat(call, limits, first, clock)
            except (MemoryError, RuntimeError) as error:
                if not is_memory(error):
                    raise
                if part == step:
                    return Timing(status.OUT_OF_MEMORY, note=f"at {unit} = {part:,}")
                most, part, half = part // 2, step, None
                continue
            once = max(first.spent, 1e-9)
            growth = None if half is None else once / half
            last = part * 2 > most
            # far below full size an estimate is trusted only if it is far below the limit
            whole = once * size / part * (1 if part * 8 >= size else 4)
            tame = part * 8 >= size if growth is None else growth <= 2.6
            if whole <= limits.full_s and tame and most == size:
                part, half = size, None
            elif growth and 1.7 <= growth <= 2.6 and (once * 8 >= limits.full_s or last):
                timing = repeat(call, limits, first, clock)
                return _scaled(timing, size / part, f"{unit} = {part:,}", growth)
            elif last and most < size:
                return Timing(status.OUT_OF_MEMORY, note=f"above {unit} = {part:,}")
            elif once * 2 > limits.call_s:
                return Timing(status.OUT_OF_TIME, note=f"{once:.0f} s at {unit} = {part:,}")
            else:
                half = None if last else once
                part = size if last else part * 2


def is_memory(error: Exception) -> bool:
    """Whether an error says that memory ran out; torch says so with a RuntimeError."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and "memory" in str(error).lower()
    )


def _scaled(part: Timing, factor: float, measured_on: str, linearity: float) -> Timing:
    seconds = {
        name: value * factor
        for name, value in vars(part).items()
        if name in ("median_s", "min_s", "spent_s") and value is not None
    }
    return replace(
        part,
        **seconds,
        status=status.SCALED,
        measured_on=measured_on,
        linearity=linearity,
    )


@contextlib.contextmanager
def memory_limit(limit: int) -> Iterator[None]:
    """Let the process map at most ``limit`` bytes more than now; beyond, an allocation fails.

    The limit is never above what the machine has free: a rival must not push others out.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    statm = Path("/proc/self/statm")
    if soft != resource.RLIM_INFINITY or not statm.exists() or _cuda_is_used():
        yield  # someone else has set a limit, or a driver maps more than the machine has
        return
    mapped = int(statm.read_text().split()[0]) * resource.getpagesize()
    ceiling = mapped + free_bytes(limit)
    if hard != resource.RLIM_INFINITY:
        ceiling = min(ceiling, hard)
    resource.setrlimit(resource.RLIMIT_AS, (ceiling, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@contextlib.contextmanager
def time_limit(limit_s: float) -> Iterator[None]:
    """Raise TimeoutError in the block after ``limit_s``, as soon as Python code runs."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"more than {limit_s:.0f} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def free_bytes(limit: int) -> int:
    """Return ``limit``, or most of what the machine has free if that is less."""
    free = _memory("MemAvailable")
    return min(limit, int(0.8 * free)) if free else limit


def _cuda_is_used() -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and torch.cuda.is_initialized()


def available(module: str) -> bool:
    """Whether ``module`` can be imported; nothing is loaded."""
    return importlib.util.find_spec(module) is not None


@contextlib.contextmanager
def use_threads(count: int) -> Iterator[None]:
    """Give polyad, torch and the BLAS of numpy ``count`` threads."""
    before = _backend.get_num_threads()
    _backend.set_num_threads(count)
    with contextlib.ExitStack() as stack:
        if available("threadpoolctl"):
            control = importlib.import_module("threadpoolctl")
            stack.enter_context(control.threadpool_limits(count, user_api="blas"))
        if available("torch"):
            import torch

            before_torch = torch.get_num_threads()
            torch.set_num_threads(count)
            stack.callback(torch.set_num_threads, before_torch)
        try:
            yield
        finally:
            _backend.set_num_threads(before)


def cuda_missing() -> str | None:
    """Why CUDA cannot be measured here, or None if it can."""
    if not available("torch"):
        return "torch is not installed"
    import torch

    if not torch.cuda.is_available():
        return "torch finds no CUDA device"
    try:
        _backend.cuda()
    except RuntimeError as error:
        return str(error)
    return None


def machine() -> dict[str, Any]:
    """Describe the machine: processor, instruction set, versions, device."""
    facts: dict[str, Any] = {
        "cpu": _cpu_name(),
        "cpus": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "isa": _backend.cpu.isa(),
        "memory_bytes": _memory("MemTotal"),
        "load_average": round(os.getloadavg()[0], 1),
        "system": platform.system(),
        "python": platform.python_version(),
    }
    for package in ("polyad", "numpy", "scipy", "torch", "green-tsetlin", "threadpoolctl"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            facts[package.replace("-", "_")] = importlib.metadata.version(package)
    if cuda_missing() is None:
        import torch

        facts["cuda_device"] = torch.cuda.get_device_name()
    return facts


def _cpu_name() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    found: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        found.setdefault(name.strip(), value.strip())
    name = found.get("model name", platform.processor() or platform.machine())
    family, model = found.get("cpu family"), found.get("model")
    return f"{name} (family {family}, model {model})" if family and model else name


def _memory(field: str) -> int:
    """Bytes of a field of /proc/meminfo; 0 elsewhere than on Linux."""
    path = Path("/proc/meminfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def peak_memory(call: Callable[[], Any]) -> tuple[int, Any]:
    """Return by how many bytes ``call`` raises the resident memory at its peak, and its result.

    Reads the kernel's high-water mark, which is reset before the call (Linux). What the allocator
    keeps of earlier arrays is given back first, since the call could use it unseen.
    """
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):  # of glibc alone
        ctypes.CDLL(None).malloc_trim(0)
    resident = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    result = call()
    return max(0, _resident("VmHWM") - resident), result


def _resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


class Settings(Protocol):
    """What the settings of every family say."""

    @property
    def rivals_on_all_threads(self) -> bool:
        """Whether rivals run with every number of threads, or the first only."""


SettingsT = TypeVar("SettingsT", bound=Settings)


class Run(Generic[SettingsT]):
    """The rows and remarks of a run while it goes on."""

    def __init__(self, settings: SettingsT, threads: Sequence[int], console: Console) -> None:
        self.settings = settings
        self.threads = threads
        self.console = console
        self.rows: list[Row] = []
        self.remarks: list[str] = []

    def add(self, row: Row, timing: Timing) -> None:
        """Append ``row`` with what was measured."""
        note = "; ".join(part for part in (row.note, timing.note) if part)
        measured = {**vars(timing), "note": note}
        self.rows.append(replace(row, **measured))

    def has_rivals(self, threads: int) -> bool:
        """Whether rivals run with this number of threads, too."""
        return self.settings.rivals_on_all_threads or threads == self.threads[0]

    @contextlib.contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Show ``what`` while the block runs, on a terminal."""
        with self.console.status(what):
            yield


def first_line(error: BaseException) -> str:
    """Return the kind of an error and the first line of what it says."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:160]
