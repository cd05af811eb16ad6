"""numpy and torch at the edge: every check of an argument and its message, and array creation.

A public function takes numpy arrays or torch tensors and returns the same kind on the same device.
Nothing below this file looks at an argument again. Dtypes go by their numpy names.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from polyad import _backend

# A numpy array or a torch tensor. What the two share has no static type: numpy's stubs and torch's
# disagree on every operator; `require_array` and its siblings check at run time instead.
Array: TypeAlias = Any


def is_numpy(x: Any) -> bool:
    """Whether ``x`` is a numpy array."""
    return isinstance(x, np.ndarray)


def is_compiling() -> bool:
    """Whether torch is tracing this call, so that values cannot be looked at."""
    torch = sys.modules.get("torch")
    return torch is not None and bool(torch.compiler.is_compiling())


def on_cpu(x: Any) -> bool:
    """Whether ``x`` lies in the memory of the host."""
    return is_numpy(x) or x.device.type == "cpu"


def checks_values(x: Any) -> bool:
    """Whether the values of ``x`` are checked: CPU arrays in eager mode.

    Fake tensors, and tensors inside a torch.func transform, have no memory to look at.
    """
    if is_numpy(x):
        return True
    if x.device.type != "cpu" or is_compiling():
        return False
    import torch

    if torch._C._functorch.maybe_current_level() is not None:
        return False
    try:
        x.data_ptr()
    except RuntimeError:
        return False
    return True


def dtype_name(x: Any) -> str:
    """The numpy name of the dtype of ``x``: 'float32', 'bool' ..."""
    return x.dtype.name if is_numpy(x) else str(x.dtype).removeprefix("torch.")


def require_array(name: str, x: Any) -> None:
    """Raise TypeError unless ``x`` is a numpy array or a torch tensor."""
    if is_numpy(x):
        return
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(x, torch.Tensor):
        raise TypeError(f"{name}: expected a numpy array or a torch tensor, got {type(x).__name__}")


def require_dtype(name: str, x: Any, allowed: Sequence[str]) -> None:
    """Raise TypeError unless the dtype of ``x`` is one of ``allowed``."""
    if dtype_name(x) not in allowed:
        raise TypeError(f"{name}: expected dtype {' or '.join(allowed)}, got {dtype_name(x)}")


def require_shape(name: str, x: Any, letters: str, sizes: Sequence[int | None]) -> None:
    """Raise ValueError unless ``x`` has the given sizes; None stands for any size.

    Args:
        name: The argument.
        x: The array.
        letters: One letter per dimension, as in the docstring: 'N I'.
        sizes: The expected sizes.
    """
    got = list(x.shape)
    if len(got) == len(sizes) and all(
        want is None or want == have for want, have in zip(sizes, got, strict=True)
    ):
        return
    names = letters.replace(" ", ", ")
    values = ", ".join(
        letter if want is None else str(want)
        for letter, want in zip(letters.split(), sizes, strict=True)
    )
    raise ValueError(f"{name}: expected [{names}] = [{values}], got {got}")


def require_alike(name: str, x: Any, other_name: str, other: Any) -> None:
    """Raise unless both are numpy arrays, or both torch tensors on one device."""
    if is_numpy(x) != is_numpy(other):
        kinds = ["numpy array" if is_numpy(a) else "torch tensor" for a in (other, x)]
        raise TypeError(f"{name}: expected a {kinds[0]} as {other_name} is, got a {kinds[1]}")
    if not is_numpy(x) and x.device != other.device:
        raise ValueError(
            f"{name}: expected device {other.device} as {other_name} is, got {x.device}"
        )


def require_int(name: str, value: Any, low: int, high: int | None = None) -> int:
    """Return ``value`` as an int; raise unless it is an integer within [low, high]."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name}: expected an int, got {type(value).__name__}")
    if value < low or (high is not None and value > high):
        bound = f"at least {low}" if high is None else f"{low} .. {high}"
        raise ValueError(f"{name}: expected {bound}, got {value}")
    return int(value)


def require_finite(name: str, x: Any) -> None:
    """Raise ValueError if ``x`` holds NaN or infinity (CPU arrays in eager mode)."""
    if not checks_values(x):
        return
    values = to_numpy(x)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        where = np.argwhere(~np.isfinite(values))[0]
        raise ValueError(
            f"{name}: expected finite values, got {values[tuple(where)]} at {where.tolist()}"
        )


def require_within(name: str, x: Any, low: float, high: float = math.inf) -> None:
    """Raise ValueError unless all values are finite and within bounds (CPU arrays, eager mode)."""
    if not checks_values(x):
        return
    values = to_numpy(x)
    least = np.minimum.reduce(values, axis=None, initial=math.inf)  # NaN if there is one
    most = np.maximum.reduce(values, axis=None, initial=-math.inf)
    if not (least >= low and most <= high and most < math.inf):
        right = (values >= low) & (values <= high) & (values < math.inf)
        where = np.argwhere(~right)[0].tolist()
        bound = f"in [{low:g}, {high:g}]" if high < math.inf else f"of at least {low:g}"
        raise ValueError(
            f"{name}: expected finite values {bound}, got {values[tuple(where)]} at {where}"
        )


def to_numpy(x: Any) -> np.ndarray[Any, Any]:
    """``x`` as a numpy array; shares memory with CPU tensors."""
    if isinstance(x, np.ndarray):
        return x
    host: np.ndarray[Any, Any] = x.detach().cpu().numpy()
    return host


def like(template: Any, values: np.ndarray[Any, Any]) -> Array:
    """``values`` as the same kind of array as ``template``, on its device."""
    if is_numpy(template):
        return values
    import torch

    return torch.from_numpy(values).to(template.device)


def empty(template: Any, shape: Sequence[int], dtype: str) -> Array:
    """An uninitialised array of the kind and device of ``template``.

    numpy arrays start at a multiple of 64 bytes, as torch's do: a register-wide load that crosses
    a cache line costs twice.
    """
    if not is_numpy(template):
        import torch

        return template.new_empty(tuple(shape), dtype=getattr(torch, dtype))
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    memory = np.empty(size + 64, np.uint8)
    start = -_backend.cpu.address(memory) % 64
    return memory[start : start + size].view(dtype).reshape(tuple(shape))


def cast(x: Any, dtype: str) -> Array:
    """``x`` with another dtype; ``x`` itself where it has that dtype."""
    if is_numpy(x):
        return x.astype(dtype, copy=False)
    import torch

    return x.to(getattr(torch, dtype))


def widened(x: Any, *, on_cpu_too: bool = False) -> Array:
    """``x`` in float32 if it is of a half type and autocast is on, else ``x`` itself.

    Args:
        x: The array.
        on_cpu_too: Whether half types on the CPU become float32 without autocast as well.
    """
    if dtype_name(x) not in ("float16", "bfloat16"):
        return x
    if on_cpu_too and on_cpu(x):
        return cast(x, "float32")
    if is_numpy(x):
        return x
    import torch

    return x.float() if torch.is_autocast_enabled(x.device.type) else x


def contiguous(x: Any) -> Array:
    """``x`` in C order; ``x`` itself where it is."""
    return np.ascontiguousarray(x) if isinstance(x, np.ndarray) else x.contiguous()


def broadcast(x: Any, shape: tuple[int, ...]) -> Array:
    """``x`` in C order with this shape, repeated where it has size 1; ``x`` itself if it fits."""
    if x.shape == shape:
        return contiguous(x)
    if isinstance(x, np.ndarray):
        return np.ascontiguousarray(np.broadcast_to(x, shape))
    return x.expand(shape).contiguous()


def address(x: Any) -> int:
    """The address of the first element; 0 for None."""
    if x is None:
        return 0
    return int(_backend.cpu.address(x)) if isinstance(x, np.ndarray) else int(x.data_ptr())


def _passed(argument: Any) -> Any:
    kind = type(argument)
    if kind is int or kind is float or kind is bool:
        return argument
    if kind is list:
        return [item if type(item) in (int, float) else address(item) for item in argument]
    return argument if isinstance(argument, int | float) else address(argument)


def run(name: str, template: Any, *arguments: Any) -> None:
    """Call the kernel ``name`` of the module that serves the device of ``template``.

    Arrays among the arguments are passed as addresses, also those in lists; they must be
    contiguous. CUDA kernels go to torch's current stream on the tensor's device.
    """
    flat = [_passed(argument) for argument in arguments]
    if on_cpu(template):
        getattr(_backend.cpu, name)(*flat)
        return
    if template.device.type != "cuda":
        raise ValueError(f"expected tensors on cpu or cuda, got {template.device}")
    import torch

    device = template.device.index
    stream = torch.cuda.current_stream(device).cuda_stream
    getattr(_backend.cuda(), name)(*flat, device, stream)
