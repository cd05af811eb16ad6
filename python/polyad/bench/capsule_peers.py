"""Rivals of `routing`: formulations in torch, eager or compiled, whole or in blocks of samples."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from polyad.bench.capsule_cases import Case
from polyad.bench.compiling import compiling

if TYPE_CHECKING:
    from torch import Tensor

Forward = Callable[[Any, Any], Any]

OURS = "polyad"
EINSUM = "torch einsum"
ELEMENTWISE = "torch elementwise"
BMM = "torch bmm"
FACTORED = "torch GEMMs, no votes"
POPULAR = "torch broadcast matmul"
COMPILED = "torch.compile of einsum"
COMPILED_FACTORED = "torch.compile of GEMMs"
# what one would write, the whole batch at once
EAGER = (EINSUM, ELEMENTWISE, BMM, FACTORED)
BLOCKS = ", blocks of "


@dataclass(frozen=True)
class Formulation:
    """Routing by one library.

    Attributes:
        forward: From u [B, I, K] and the weights to v [B, J, D].
        weight: The weights, in the layout that suits it.
        restored: From a gradient of the weights to one in our layout; None where it is ours.
        block: Samples that are taken at once; None for all.
        whole: Whether it takes the full batch only, since it is compiled for it.
        prepare_s: Seconds spent once, before the first call; compiling.
    """

    forward: Forward
    weight: Any
    restored: Callable[[Any], Any] | None = None
    block: int | None = None
    whole: bool = False
    prepare_s: float | None = None

    def both(self, u: Any, grad: Any) -> tuple[Tensor, ...]:
        """The output, and the gradients of u and of the weights as it lays them out."""
        import torch

        if self.block is None or self.block >= len(u):
            return self._both(u, grad)
        outputs, grads, total = [], [], None
        for part, grad_part in zip(u.split(self.block), grad.split(self.block), strict=True):
            v, grad_u, grad_weight = self._both(part, grad_part)
            outputs.append(v)
            grads.append(grad_u)
            total = grad_weight if total is None else total.add_(grad_weight)
        assert total is not None
        return torch.cat(outputs), torch.cat(grads), total

    def _both(self, u: Any, grad: Any) -> tuple[Tensor, ...]:
        import torch

        u = u.detach().requires_grad_()
        v = self.forward(u, self.weight)
        return (v.detach(), *torch.autograd.grad(v, [u, self.weight], grad))

    def inference(self, u: Any) -> Tensor:
        """The output alone."""
        import torch

        with torch.no_grad():
            parts = u.split(self.block or max(1, len(u)))
            return torch.cat([self.forward(part, self.weight) for part in parts])

    def step(self, batch: int) -> int:
        """The least number of samples that it is timed on."""
        return batch if self.whole else min(self.block or 1, batch)


def ours(case: Case) -> Formulation:
    """`polyad.ops.capsule.routing`."""
    from polyad.ops import capsule

    options = case.options()
    weight = case.inputs()[1].requires_grad_()
    return Formulation(lambda u, weight: capsule.routing(u, weight, **options), weight)


def einsum(case: Case, weight: Tensor) -> Formulation:
    """Votes [B, I, J, D] and every sum by einsum, as in `polyad.reference.capsule`."""
    import torch

    kind = case.options()["capsule_type"]

    def forward(u: Any, weight: Any) -> Any:
        own = weight if kind is None else weight[kind]
        votes = torch.einsum("ijdk,bik->bijd", own, u)
        known = votes.detach() if case.detach else votes

        def weighed(c: Any, last: bool) -> Any:
            each = votes if last else known
            if c is None:
                return _uniform(case) * each.sum(1)
            return torch.einsum("bij,bijd->bjd", c, each)

        return _routed(case, 2, weighed, lambda v: torch.einsum("bijd,bjd->bij", known, v))

    return Formulation(forward, weight.requires_grad_())


def elementwise(case: Case, weight: Tensor) -> Formulation:
    """Votes [B, I, J, D]; broadcast products that are summed."""
    import torch

    def forward(u: Any, weight: Any) -> Any:
        votes = torch.einsum("ijdk,bik->bijd", weight, u)
        known = votes.detach() if case.detach else votes

        def weighed(c: Any, last: bool) -> Any:
            each = votes if last else known
            return _uniform(case) * each.sum(1) if c is None else (c[..., None] * each).sum(1)

        return _routed(case, 2, weighed, lambda v: (known * v[:, None]).sum(-1))

    return Formulation(forward, weight.requires_grad_())


def popular(case: Case, weight: Tensor) -> Formulation:
    """Votes [B, J, I, D] by one matmul that broadcasts the weights over the batch.

    What the best known port does, after its description; matmul copies the weights per sample.
    """
    import torch

    def forward(u: Any, weight: Any) -> Any:
        votes = torch.matmul(weight, u[:, None, :, :, None]).squeeze(-1)
        known = votes.detach() if case.detach else votes

        def weighed(c: Any, last: bool) -> Any:
            if c is None:
                c = torch.full_like(votes[..., 0], _uniform(case))
            return (c[..., None] * (votes if last else known)).sum(2)

        return _routed(case, 1, weighed, lambda v: (known * v[:, :, None]).sum(-1))

    rearranged = weight.transpose(0, 1).contiguous().requires_grad_()
    return Formulation(forward, rearranged, lambda grad: grad.transpose(0, 1))


def bmm(case: Case, weight: Tensor) -> Formulation:
    """Votes by one product per input, [B, K] x [K, J D]; then one per sample and output."""
    import torch

    kind = case.options()["capsule_type"]

    def forward(u: Any, weight: Any) -> Any:
        own = weight if kind is None else weight[kind]
        votes = torch.bmm(u.transpose(0, 1), own).view(case.I, -1, case.J, case.D)
        votes = votes.permute(1, 2, 0, 3).contiguous()  # [B, J, I, D]
        known = votes.detach() if case.detach else votes

        def weighed(c: Any, last: bool) -> Any:
            each = votes if last else known
            if c is None:
                return _uniform(case) * each.sum(2)
            return torch.matmul(c[:, :, None], each).squeeze(2)

        return _routed(case, 1, weighed, lambda v: torch.matmul(known, v[..., None]).squeeze(-1))

    rearranged = weight.permute(0, 3, 1, 2).flatten(2).contiguous().requires_grad_()

    def restored(grad: Any) -> Any:
        return grad.unflatten(2, (case.J, case.D)).permute(0, 2, 3, 1)

    return Formulation(forward, rearranged, restored)


def factored(case: Case, weight: Tensor) -> Formulation:
    """No votes: s_j = (c_j u) W_j and u . (W_j v_j), large products whose terms are [J, B, I, K].

    Not in public use, but what large matrix products are best at, since K < D.
    """
    import torch

    def forward(u: Any, weight: Any) -> Any:
        flat = u.flatten(1)
        known, known_weight = (flat.detach(), weight.detach()) if case.detach else (flat, weight)

        def weighed(c: Any, last: bool) -> Any:
            x, w = (flat, weight) if last else (known, known_weight)
            if c is None:
                return _uniform(case) * torch.matmul(x, w)
            return torch.bmm((c[..., None] * x.view_as(u)).flatten(2), w)

        def agreement(v: Any) -> Any:
            wanted = torch.bmm(v, known_weight.transpose(1, 2)).view(case.J, *u.shape)
            return (wanted * known.view_as(u)).sum(-1)

        return _routed(case, 0, weighed, agreement).transpose(0, 1)

    rearranged = weight.permute(1, 0, 3, 2).flatten(1, 2).contiguous().requires_grad_()

    def restored(grad: Any) -> Any:
        return grad.unflatten(1, (case.I, case.K)).permute(1, 0, 3, 2)

    return Formulation(forward, rearranged, restored)


EAGER_PEERS: Mapping[str, Callable[[Case, Any], Formulation]] = {
    EINSUM: einsum,
    ELEMENTWISE: elementwise,
    BMM: bmm,
    FACTORED: factored,
    POPULAR: popular,
}
COMPILED_PEERS = {COMPILED: EINSUM, COMPILED_FACTORED: FACTORED}


def in_blocks(name: str, samples: int) -> str:
    """Return the name of a formulation that takes so many samples at once."""
    return f"{name}{BLOCKS}{samples}"


def compiles(name: str) -> bool:
    """Whether the formulation of a name is compiled."""
    return name.partition(BLOCKS)[0] in COMPILED_PEERS


def make(name: str, case: Case, compile_s: float) -> Formulation:
    """Return the formulation of a name, compiled where it says so.

    Args:
        name: Of ours, of an eager or a compiled formulation; or one `in_blocks`.
        case: What it computes.
        compile_s: Seconds that compiling may take.

    Raises:
        TimeoutError: Compiling takes longer.
    """
    base, _, samples = name.partition(BLOCKS)
    if base == OURS:
        return ours(case)
    eager = EAGER_PEERS[COMPILED_PEERS.get(base, base)](case, case.inputs()[1])
    eager = replace(eager, block=int(samples) if samples else None)
    return _compiled(case, eager, compile_s) if compiles(name) else eager


def _compiled(case: Case, eager: Formulation, limit_s: float) -> Formulation:
    import torch

    forward: Any = torch.compile(eager.forward, dynamic=False, fullgraph=True)
    formulation = replace(eager, forward=forward, whole=eager.block is None)
    u, _, grad = case.inputs()
    some = slice(None) if eager.block is None else slice(eager.block)
    start = time.perf_counter()
    with compiling(limit_s):
        formulation.both(u[some], grad[some])
        elapsed = time.perf_counter() - start
        formulation.inference(u[some])  # another graph
    return replace(formulation, prepare_s=elapsed)


def _uniform(case: Case) -> float:
    """The coupling of the first iteration."""
    return 1 / (case.J + case.leaky)


def _routed(
    case: Case,
    dim: int,
    weighed: Callable[[Any, bool], Any],
    agreement: Callable[[Any], Any],
) -> Any:
    """The loop of routing, over sums and agreements in whatever layout.

    Args:
        case: Iterations and options.
        dim: The dimension of J in the layout of the agreements.
        weighed: s of couplings, or of None for the uniform ones; and whether they are the last.
        agreement: The agreement of votes with v.
    """
    import torch

    from polyad.reference.capsule import squash

    logits: Any = None
    v: Any = None
    for t in range(case.r):
        c = None if logits is None else _couplings(logits, dim, case.leaky)
        v = squash(weighed(c, t == case.r - 1))
        if t < case.r - 1:
            found = agreement(v.detach() if case.detach else v)
            logits = found if logits is None else logits + found
    assert isinstance(v, torch.Tensor)
    return v


def _couplings(logits: Tensor, dim: int, leaky: bool) -> Tensor:
    import torch

    if not leaky:
        return torch.softmax(logits, dim)
    none = torch.zeros_like(logits.narrow(dim, 0, 1))
    both = torch.softmax(torch.cat([none, logits], dim), dim)
    return both.narrow(dim, 1, logits.shape[dim])
