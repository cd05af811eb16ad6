"""The native modules: which are there, how they are called, how many threads they use."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from polyad._version import __version__


def _preload_libgomp() -> None:
    """Make the process use one OpenMP runtime: torch's copy where torch is installed.

    Two copies of libgomp in one process oversubscribe the processor and can deadlock after a fork.
    torch ships its own under the system's name, so whoever loads it first decides; torch itself is
    not imported here.
    """
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return
    candidate = Path(spec.origin).parent / "lib" / "libgomp.so.1"
    if candidate.exists():
        ctypes.CDLL(str(candidate), mode=ctypes.RTLD_GLOBAL)


def _load_cpu() -> ModuleType:
    _preload_libgomp()
    try:
        from polyad import _cpu
    except ImportError as error:
        if "libgomp" in str(error):
            raise ImportError(
                "polyad needs the OpenMP runtime libgomp.so.1: install it with "
                "'apt-get install libgomp1' or 'dnf install libgomp'"
            ) from error
        raise
    _cpu.isa()  # an unusable POLYAD_ISA is reported here, not in the middle of a run
    return _cpu


cpu: ModuleType = _load_cpu()

# OpenMP's threads do not survive a fork; a kernel that used them in the child would hang.
os.register_at_fork(after_in_child=lambda: cpu.set_num_threads(1))

_cuda: ModuleType | None = None
_cuda_error: str | None = None


def cuda() -> ModuleType:
    """Return the CUDA module, loading it on first use.

    Raises:
        RuntimeError: This build has no CUDA module, or it cannot be loaded.
    """
    global _cuda, _cuda_error
    if _cuda is None:
        try:
            from polyad import _cuda as module
        except ImportError as error:
            _cuda_error = (
                "this build has no CUDA module (built with POLYAD_CUDA=OFF or without nvcc)"
                if importlib.util.find_spec("polyad._cuda") is None
                else str(error)
            )
            raise RuntimeError(f"polyad cannot use CUDA tensors: {_cuda_error}") from error
        _cuda = module
    return _cuda


def set_num_threads(n: int) -> None:
    """Set the number of threads that CPU kernels use.

    Results do not depend on it.

    Args:
        n: Threads, at least 1.

    Raises:
        ValueError: ``n`` is less than 1.
        TypeError: ``n`` is not an integer.
    """
    if isinstance(n, bool) or not isinstance(n, int):
        raise TypeError(f"n: expected an int, got {type(n).__name__}")
    if n < 1:
        raise ValueError(f"n: expected at least 1 thread, got {n}")
    cpu.set_num_threads(n)


def get_num_threads() -> int:
    """Return the number of threads that CPU kernels use."""
    return int(cpu.get_num_threads())


def _mapped(prefix: str) -> list[str]:
    """Paths of the mapped libraries whose file name starts with ``prefix`` (Linux)."""
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return []
    paths = {line.split(maxsplit=5)[-1] for line in maps.read_text().splitlines() if "/" in line}
    return sorted(path.strip() for path in paths if Path(path.strip()).name.startswith(prefix))


def config() -> dict[str, Any]:
    """Return what this installation is made of: versions, instruction sets, threads, CUDA."""
    import numpy

    torch = sys.modules.get("torch")
    entries: dict[str, Any] = {
        "polyad": __version__,
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "torch": getattr(torch, "__version__", None)
        or ("installed, not imported" if importlib.util.find_spec("torch") else "not installed"),
        "machine": platform.machine(),
        "isa": cpu.isa(),
        "isa_available": list(cpu.available_isas()),
        "threads": get_num_threads(),
        "openmp": _mapped("libgomp"),
    }
    try:
        module = cuda()
        entries["cuda_architectures"] = list(module.architectures())
        entries["cuda_devices"] = module.device_count()
        if not entries["cuda_devices"]:
            entries["cuda_missing"] = module.device_problem()
    except RuntimeError:
        entries["cuda_architectures"] = []
        entries["cuda_devices"] = 0
        entries["cuda_missing"] = _cuda_error
    return entries


def show_config() -> None:
    """Print versions, instruction sets, threads, the OpenMP runtime and CUDA, one per line."""
    for name, value in config().items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        print(f"{name:20} {text or '-'}")
