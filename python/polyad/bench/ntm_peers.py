"""Rivals of `scan`: eager torch, torch.compile, an LSTM, and a public implementation."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyad.bench.compiling import compiling
from polyad.bench.ntm_cases import Case

if TYPE_CHECKING:
    from torch import Tensor

Forward = Callable[[Any], Any]

OURS = "polyad"
EAGER = "torch eager"
COMPILED = "torch.compile"
LSTM = "torch.nn.LSTM"
PUBLIC = "pytorch-ntm"
VARIANT, ANOTHER = "a variant", "another model"
STEP_COMPILED = "one step compiled, the loop in Python"


@dataclass(frozen=True)
class Formulation:
    """Whole sequences by one library.

    Attributes:
        forward: From inputs [B, T, I] to outputs [B, T, O].
        parameters: What gradients are taken of.
        same: Whether it computes what we do, or another model of the same shapes.
        variant: Sizes that are not those of the case.
        note: What the row should say.
        prepare_s: Seconds spent once, before the first call; compiling.
    """

    forward: Forward
    parameters: list[Any]
    same: bool = True
    variant: str = ""
    note: str = ""
    prepare_s: float | None = None

    def both(self, inputs: Tensor, grad: Tensor) -> tuple[Tensor, ...]:
        """The outputs and the gradients of every parameter."""
        import torch

        out = self.forward(inputs)
        return (out.detach(), *torch.autograd.grad(out, self.parameters, grad))


def ours(case: Case) -> Formulation:
    """`polyad.nn.NTM`."""
    layer = case.layer()
    return Formulation(lambda inputs: layer(inputs)[0], list(layer.parameters()))


def eager(case: Case) -> Formulation:
    """The reference: vectorised over batch and heads, a Python loop over steps."""
    from polyad.reference import ntm

    layer = case.layer()

    def forward(inputs: Tensor) -> Tensor:
        state = layer.init_state(len(inputs))
        return ntm.scan(inputs, state, layer.native_parameters())[0]

    return Formulation(forward, list(layer.parameters()))


def compiled(case: Case, whole_s: float, step_s: float) -> Formulation:
    """torch.compile of the reference: of the whole loop within ``whole_s``, else of its step.

    Raises:
        TimeoutError: One step takes longer than ``step_s``.
    """
    if whole_s:
        with contextlib.suppress(TimeoutError):
            return _compiled(case, whole_s, _compiled_loop)
    formulation = _compiled(case, step_s, _loop_of_compiled_steps)
    note = STEP_COMPILED
    return Formulation(
        formulation.forward,
        formulation.parameters,
        note=note,
        prepare_s=formulation.prepare_s,
    )


def _compiled(case: Case, limit_s: float, make: Callable[[Any], Forward]) -> Formulation:
    import torch

    layer = case.layer()
    inputs, grad = case.sequences()
    formulation = Formulation(make(layer), list(layer.parameters()))
    start = time.perf_counter()
    with compiling(limit_s):
        formulation.both(inputs, grad)
    elapsed = time.perf_counter() - start
    torch.autograd.grad(formulation.forward(inputs), formulation.parameters, grad)  # compiled now
    return Formulation(formulation.forward, formulation.parameters, prepare_s=elapsed)


def _compiled_loop(layer: Any) -> Forward:
    import torch

    from polyad.reference import ntm

    def forward(inputs: Tensor) -> Tensor:
        state = layer.init_state(len(inputs))
        return ntm.scan(inputs, state, layer.native_parameters())[0]

    compiled: Forward = torch.compile(forward, dynamic=False)
    return compiled


def _loop_of_compiled_steps(layer: Any) -> Forward:
    import torch

    from polyad.reference import ntm

    step = torch.compile(ntm.step, dynamic=False, fullgraph=True)

    def forward(inputs: Tensor) -> Tensor:
        state, parameters = layer.init_state(len(inputs)), layer.native_parameters()
        # the strides of every later state: others would be compiled again
        state = type(state)(*(part.contiguous() for part in state))
        outputs = []
        for t in range(inputs.shape[1]):
            out, state = step(inputs[:, t], state, parameters)
            outputs.append(out)
        return torch.stack(outputs, dim=1)

    return forward


def lstm(case: Case) -> Formulation:
    """`torch.nn.LSTM` of the size that Graves et al. compare with, and a linear output."""
    import torch

    hidden, layers = 256, 3
    network = torch.nn.LSTM(case.inputs, hidden, layers, batch_first=True)
    head = torch.nn.Linear(hidden, case.outputs)
    return Formulation(
        lambda inputs: head(network(inputs)[0]),
        [*network.parameters(), *head.parameters()],
        same=False,
        variant=f"{layers} x {hidden}",
        note=ANOTHER,
    )


def public(case: Case, checkout: Path) -> Formulation:
    """``EncapsulatedNTM`` of a checkout of loudinthecloud/pytorch-ntm, step by step.

    Its heads read and write one after the other, and its weightings start at zero, so that its
    outputs are not ours.
    """
    import torch

    module = import_public(checkout)
    network = module.EncapsulatedNTM(
        case.inputs, case.outputs, case.H, 1, num_heads=1, N=case.N, M=case.M
    )

    def forward(inputs: Tensor) -> Tensor:
        network.init_sequence(len(inputs))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # functional.sigmoid
            return torch.stack([network(inputs[:, t])[0] for t in range(inputs.shape[1])], dim=1)

    return Formulation(
        forward,
        list(network.parameters()),
        same=False,
        note=VARIANT,
    )


def import_public(checkout: Path) -> Any:
    """Import ``ntm.aio`` of the checkout, under a name of its own.

    Raises:
        ValueError: The folder holds no such package.
    """
    package = checkout / "ntm"
    if not (package / "aio.py").is_file():
        raise ValueError(f"pytorch_ntm: expected a checkout with ntm/aio.py, got {checkout}")
    name = "polyad_bench_pytorch_ntm"
    loaded = sys.modules.get(name)
    if loaded is None or list(loaded.__path__) != [str(package)]:
        for other in [other for other in sys.modules if other.startswith(name)]:
            del sys.modules[other]
        specification = importlib.util.spec_from_file_location(
            name, package / "__init__.py", submodule_search_locations=[str(package)]
        )
        if specification is None or specification.loader is None:
            raise ValueError(f"pytorch_ntm: {package} cannot be imported")
        module = importlib.util.module_from_spec(specification)
        sys.modules[name] = module
        specification.loader.exec_module(module)
    return importlib.import_module(f"{name}.aio")
