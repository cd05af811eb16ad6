"""What the ops on the heads of one step share: checks, scratch, registration."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

from polyad import _arrays as arrays
from polyad import _backend
from polyad._arrays import Array
from polyad._register import Op

SIMILARITIES = ("root", "sum")
"""Where epsilon stands in the cosine similarity; the index is what kernels take."""

MAX_WRITE_HEADS = 16

_DIMENSIONS = {  # a letter each: batch, rows, width of a row, heads, width of the kernel
    "memory": "B N M",
    "content": "B H N",
    "previous": "B H N",
    "weights": "B H N",
    "key": "B H M",
    "erase": "B H M",
    "add": "B H M",
    "beta": "B H",
    "gate": "B H",
    "gamma": "B H",
    "kernel": "B H S",
}
_RANGES = {"beta": (0.0, math.inf), "gate": (0.0, 1.0), "gamma": (1.0, math.inf)}


def require_epsilon(epsilon: Any) -> float:
    """Return ``epsilon`` as a float; raise unless it is a finite number above 0."""
    if isinstance(epsilon, bool) or not isinstance(epsilon, int | float):
        raise TypeError(f"epsilon: expected a number, got {type(epsilon).__name__}")
    if not 0 < epsilon < math.inf:
        raise ValueError(f"epsilon: expected a finite number above 0, got {epsilon}")
    return float(epsilon)


def require_similarity(similarity: Any) -> int:
    """Return the index of ``similarity`` in `SIMILARITIES`; raise unless it is there."""
    if similarity not in SIMILARITIES:
        raise ValueError(f"similarity: expected 'root' or 'sum', got {similarity!r}")
    return SIMILARITIES.index(similarity)


class Piece:
    """A differentiable op on arrays of one dtype, checked by name and registered with its backward.

    Args:
        name: 'content' stands for the ops ntm_content and ntm_content_backward.
        inputs: Names of the inputs, each of which has its dimensions and range in this file.
        output: Dimensions of the output.
        cosine: Whether epsilon and similarity are further arguments.
    """

    def __init__(
        self, name: str, inputs: Sequence[str], output: str, *, cosine: bool = False
    ) -> None:
        self.name, self.inputs, self.cosine = name, tuple(inputs), cosine
        self.output = tuple(output.split())
        self.letters = [tuple(_DIMENSIONS[each].split()) for each in inputs]
        self.ranges = [_RANGES.get(each) for each in inputs]
        tensors = ", ".join(f"Tensor {each}" for each in inputs)
        options = ", float epsilon, int similarity" if cosine else ""
        results = ", ".join("Tensor" for _ in inputs)
        self.op = Op(
            f"ntm_{name}({tensors}{options}) -> Tensor",
            self._forward,
            self._forward_fake,
            setup_context=self._save,
            backward=self._gradient,
        )
        self.backward_op = Op(
            f"ntm_{name}_backward({tensors}, Tensor grad{options}) -> ({results})",
            self._backward,
            self._backward_fake,
            no_gradient=f"{name} has no second derivative here; detach the first",
        )

    def __call__(self, *inputs: Array, epsilon: float = 1.0, similarity: str = "root") -> Array:
        """Check the inputs and compute the op."""
        options = (require_epsilon(epsilon), require_similarity(similarity))
        return self.op(*self._checked(inputs), *(options if self.cosine else ()))

    def _checked(self, inputs: Sequence[Array]) -> Sequence[Array]:
        if not self._fit(inputs):
            inputs = self._fitted(inputs)
        if arrays.checks_values(inputs[0]):
            for name, x, bounds in zip(self.inputs, inputs, self.ranges, strict=True):
                if bounds is None:
                    arrays.require_finite(name, x)
                else:
                    arrays.require_within(name, x, *bounds)
        return inputs

    def _fit(self, inputs: Sequence[Array]) -> bool:
        """Whether kinds, dtypes, devices and shapes are right, found in little time."""
        first = inputs[0]
        if arrays.is_numpy(first):
            alike = all(arrays.is_numpy(x) and x.dtype == first.dtype for x in inputs)
        else:
            torch = sys.modules.get("torch")
            alike = torch is not None and all(
                isinstance(x, torch.Tensor) and x.dtype == first.dtype and x.device == first.device
                for x in inputs
            )
        if not alike or arrays.dtype_name(first) not in ("float32", "float64"):
            return False
        sizes: dict[str, int] = {}
        for letters, x in zip(self.letters, inputs, strict=True):
            shape = x.shape
            if len(shape) != len(letters):
                return False
            for letter, size in zip(letters, shape, strict=True):
                if sizes.setdefault(letter, size) != size:
                    return False
        return self._possible(sizes) is None

    def _possible(self, sizes: dict[str, int]) -> str | None:
        """What is wrong with sizes that agree; None: nothing."""
        for letter, size in sizes.items():
            if letter != "B" and size < 1:
                return f"expected {letter} of at least 1"
        if sizes.get("S", 1) % 2 == 0:
            return "expected an odd width S"
        if self.name == "write" and sizes.get("H", 1) > MAX_WRITE_HEADS:
            return f"expected at most {MAX_WRITE_HEADS} heads H"
        return None

    def _fitted(self, inputs: Sequence[Array]) -> list[Array]:
        """The inputs, widened under autocast; raises by name where one does not fit."""
        first = self.inputs[0]
        for name, x in zip(self.inputs, inputs, strict=True):
            arrays.require_array(name, x)
            arrays.require_alike(name, x, first, inputs[0])
        inputs = [arrays.widened(x) for x in inputs]
        half = () if arrays.on_cpu(inputs[0]) else ("float16", "bfloat16")
        arrays.require_dtype(first, inputs[0], ["float32", "float64", *half])
        sizes: dict[str, int] = {}
        for name, letters, x in zip(self.inputs, self.letters, inputs, strict=True):
            arrays.require_dtype(name, x, [arrays.dtype_name(inputs[0])])
            arrays.require_shape(name, x, " ".join(letters), [sizes.get(each) for each in letters])
            sizes |= zip(letters, x.shape, strict=True)
            wrong = self._possible(sizes)
            if wrong is not None:
                raise ValueError(f"{name}: {wrong}, got {list(x.shape)}")
        return inputs

    def _sizes(self, inputs: Sequence[Array]) -> dict[str, int]:
        sizes: dict[str, int] = {}
        for letters, x in zip(self.letters, inputs, strict=True):
            sizes.update(zip(letters, x.shape, strict=True))
        return sizes

    def _run(self, suffix: str, inputs: Sequence[Array], options: Any, *rest: Array) -> None:
        sizes, first, dtype = self._sizes(inputs), inputs[0], arrays.dtype_name(inputs[0])
        B, N, H = sizes["B"], sizes["N"], sizes["H"]
        M, S = sizes.get("M", 0), sizes.get("S", 1)
        computed = dtype if dtype == "float64" else "float32"
        module: Any = _backend.cpu if arrays.on_cpu(first) else _backend.cuda()
        is_double = computed == "float64"
        if self.name in ("read", "write"):
            parts, elements = module.ntm_memory_scratch(B, N, M, H, is_double)
        elif M:
            parts, elements = module.ntm_addressing_scratch(B, N, M, H, S, is_double)
        else:  # every weighting by itself
            parts, elements = module.ntm_addressing_scratch(B * H, N, 0, 1, S, is_double)
        scratch = arrays.empty(first, (parts * elements,), computed)
        epsilon, similarity = options or (0.0, 0)
        arrays.run(
            f"ntm_{self.name}{suffix}_{dtype}",
            first,
            *(B, N, M, H, S),
            *((similarity, epsilon) if self.cosine else ()),
            *inputs,
            *rest,
            parts,
            scratch,
        )

    def _forward(self, *arguments: Any) -> Array:
        count = len(self.inputs)
        inputs, options = [arrays.contiguous(x) for x in arguments[:count]], arguments[count:]
        sizes = self._sizes(inputs)
        shape = tuple(sizes[letter] for letter in self.output)
        out = arrays.empty(inputs[0], shape, arrays.dtype_name(inputs[0]))
        self._run("", inputs, options, out)
        return out

    def _forward_fake(self, *arguments: Any) -> Any:
        sizes = self._sizes(arguments[: len(self.inputs)])
        return arguments[0].new_empty(tuple(sizes[letter] for letter in self.output))

    def _backward(self, *arguments: Any) -> tuple[Array, ...]:
        count = len(self.inputs)
        *inputs, grad = (arrays.contiguous(x) for x in arguments[: count + 1])
        grads = tuple(arrays.empty(x, tuple(x.shape), arrays.dtype_name(x)) for x in inputs)
        self._run("_backward", inputs, arguments[count + 1 :], grad, *grads)
        return grads

    def _backward_fake(self, *arguments: Any) -> Any:
        return tuple(x.new_empty(x.shape) for x in arguments[: len(self.inputs)])

    def _save(self, ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        count = len(self.inputs)
        ctx.save_for_backward(*inputs[:count])
        ctx.options = inputs[count:]

    def _gradient(self, ctx: Any, grad: Any) -> Any:
        grads = self.backward_op(*ctx.saved_tensors, grad, *ctx.options)
        wanted = [
            each if need else None for each, need in zip(grads, ctx.needs_input_grad, strict=False)
        ]
        return (*wanted, *(None for _ in ctx.options))
