"""Steps of a whole CapsNet, forward and backward, with ours or with another routing in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from polyad.bench import capsule_peers as peers
from polyad.bench import harness, rows
from polyad.bench.capsule_cases import SEED, Case, Run
from polyad.bench.compiling import compiling
from polyad.bench.harness import Timing, first_line, measure_in_turn
from polyad.bench.rows import Row

if TYPE_CHECKING:
    from torch import Tensor

STEP = "CapsNet forward+backward"
WITHOUT = "convolutions and decoder alone"
COMPILED = "torch.compile, all of it"
PEERS = (peers.EINSUM, peers.BMM, peers.POPULAR, COMPILED, WITHOUT)
Step = Callable[[], tuple[Any, ...]]


def run(here: Run) -> None:
    """Measure a training step's forward and backward pass for every B and number of threads."""
    for threads in here.threads:
        with harness.use_threads(threads):
            for batch in here.settings.network:
                _batch(here, batch, threads)


def _batch(here: Run, batch: int, threads: int) -> None:
    import torch

    torch._dynamo.reset()  # code for other sizes and threads
    settings = here.settings
    ours = step(peers.OURS, settings.preset, batch)
    wanted = ours()
    found = {peers.OURS: ours}
    prepared: dict[str, float] = {}
    row = Row(STEP, peers.OURS, {"B": batch}, threads, work=batch, unit="samples")
    for name in PEERS if here.has_rivals(threads) else ():
        if name == COMPILED and not settings.compile_s:
            continue
        with here.doing(f"{STEP}, B = {batch}: {name}"):
            theirs = step(name, settings.preset, batch)
            try:
                with compiling(settings.compile_s or 60.0):
                    clock = harness.wall_clock(theirs)
            except Exception as error:
                if name != COMPILED:
                    raise
                here.remarks.append(f"{name}: skipped, {first_line(error)}")
                continue
            if name == COMPILED:
                prepared[name] = clock.elapsed
            if name != WITHOUT and not _close(theirs(), wanted):
                note = f"{name}: disagrees with polyad"
                here.add(replace(row, peer=name), Timing(rows.FAILED, note=note))
                continue
            found[name] = theirs
    with here.doing(f"{STEP}, B = {batch}"):
        timings = measure_in_turn(
            {name: _whole(each) for name, each in found.items()},
            batch,
            settings.limits,
            rounds=settings.rounds,
            steps=dict.fromkeys(found, batch),
            unit="B",
        )
    for name, timing in timings.items():
        note = "another model: routing is a sum" if name == WITHOUT else ""
        here.add(replace(row, peer=name, prepare_s=prepared.get(name), note=note), timing)


def _whole(call: Step) -> Callable[[int], harness.Call]:
    return lambda samples: call


def step(name: str, preset: str, batch: int) -> Step:
    """Return forward and backward of a CapsNet; two of them have the same weights and images.

    Args:
        name: Which routing: ours, an eager formulation of `capsule_peers`, one of this module.
        preset: Of `polyad.models.CapsNet`.
        batch: B.
    """
    import torch

    from polyad.models.capsnet import CapsNet

    size = (8, 8) if preset == "digits" else (28, 28)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = CapsNet(size, preset=preset)
        images, targets = torch.rand(batch, 1, *size), torch.arange(batch) % model.classes
    if name != peers.OURS:
        _replace(model.capsules, name, batch)
    parameters = [each for each in model.parameters() if each.requires_grad]

    def loss(images: Tensor, targets: Tensor) -> Tensor:
        total: Tensor = model.loss(images, targets).total
        return total

    of: Any = torch.compile(loss, dynamic=False) if name == COMPILED else loss

    def both() -> tuple[Any, ...]:
        total = of(images, targets)
        return (total.detach(), *torch.autograd.grad(total, parameters, allow_unused=True))

    return both


def _replace(layer: Any, name: str, batch: int) -> None:
    """Give a `DenseCapsule` another routing, of the same weights."""
    import torch

    if name == WITHOUT:
        shape = (batch, layer.outputs, layer.output_size)
        layer.weight.requires_grad_(False)
        layer.forward = lambda u: u.mean((1, 2))[:, None, None].expand(shape)
        return
    case = Case(
        batch,
        layer.inputs,
        layer.outputs,
        layer.output_size,
        layer.input_size,
        layer.iterations,
        leaky=layer.leaky,
        detach=layer.detach,
    )
    eager = peers.EAGER_PEERS[peers.EINSUM if name == COMPILED else name]
    formulation = eager(case, layer.weight.detach().clone())
    layer.weight = torch.nn.Parameter(formulation.weight.detach())
    layer.forward = lambda u: formulation.forward(u, layer.weight)


def _close(theirs: tuple[Any, ...], ours: tuple[Any, ...]) -> bool:
    """Whether two steps agree; gradients of the routing's weights may be laid out otherwise."""
    import torch

    def norm(x: Any) -> Any:
        return torch.linalg.vector_norm(x)

    return all(
        torch.allclose(norm(a), norm(b), rtol=1e-2) for a, b in zip(theirs, ours, strict=True)
    )
