"""Rivals of the matching ops: the ways a careful user would count votes without this package.

Every rival gets the edges once, outside the time, and returns a function from a binary batch,
uint8 [n, I], to votes [n, C]; converting the batch is inside the time. What a rival leaves open
(dtype, block of samples, block of edges, how class sums are taken) is a `Variant`; the benchmark
tries all of them on a part of the case and times the fastest.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

IntArray = np.ndarray[Any, Any]
Votes = Callable[[IntArray], IntArray]


@dataclass(frozen=True)
class Literals:
    """Edges of one order as plain arrays, grouped by class.

    Attributes:
        indices: int64 [E, k].
        values: uint8 [E, k].
        weights: int64 [E].
        labels: int32 [E], ascending.
        classes: C.
        variables: I.
    """

    indices: IntArray
    values: IntArray
    weights: IntArray
    labels: IntArray
    classes: int
    variables: int

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def order(self) -> int:
        """k, the literals of an edge."""
        return int(self.indices.shape[1])

    def part(self, edges: slice) -> Literals:
        """Return some of the edges."""
        return Literals(
            self.indices[edges],
            self.values[edges],
            self.weights[edges],
            self.labels[edges],
            self.classes,
            self.variables,
        )

    def doubled(self) -> IntArray:
        """Return int64 [E, k]: rows of a [2 I, N] matrix that holds x above 1 - x."""
        rows: IntArray = self.indices + self.variables * (self.values == 0)
        return rows

    def class_weights(self, dtype: type[np.generic]) -> IntArray:
        """Return [E, C]: the weight of each edge in the column of its class."""
        matrix = np.zeros((len(self), self.classes), dtype)
        matrix[np.arange(len(self)), self.labels] = self.weights
        return matrix


@dataclass(frozen=True)
class Variant:
    """What a rival leaves open.

    Attributes:
        samples: Samples per block.
        edges: Edges per block.
        sums: How class sums are taken: "dense" (a float32 product with [E, C]) or "sparse" (only
            the pairs that match are looked at).
        dtype: The type of the product, where there is one.
    """

    samples: int
    edges: int
    sums: str = "dense"
    dtype: str = ""

    def __str__(self) -> str:
        return " ".join(part for part in (self.dtype, self.sums) if part)


@dataclass(frozen=True)
class Rival:
    """A formulation.

    Attributes:
        name: What it is called in the table.
        module: What it imports.
        variants: What to try.
        prepare: Sets it up for some edges.
        pooled: Threads share the blocks of samples; if not, the library has threads of its own.
        threads: The only number of threads it can use, or None.
        most_edges: It is not asked to hold more, or None.
    """

    name: str
    module: str
    variants: Sequence[Variant]
    prepare: Callable[[Literals, Variant], Votes]
    pooled: bool = True
    threads: int | None = None
    most_edges: int | None = None


def in_blocks(votes: Votes, block: int, pool: ThreadPoolExecutor | None) -> Votes:
    """Apply ``votes`` to blocks of samples, the blocks shared among the threads of ``pool``."""

    def blocked(x: IntArray) -> IntArray:
        if len(x) <= block:
            return votes(x)
        parts = [x[start : start + block] for start in range(0, len(x), block)]
        return np.concatenate(list(map(votes, parts) if pool is None else pool.map(votes, parts)))

    return blocked


def _edge_blocks(literals: Literals, block: int) -> list[Literals]:
    return [literals.part(slice(start, start + block)) for start in range(0, len(literals), block)]


def _summed(parts: Sequence[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    def votes(x: Any) -> Any:
        total = parts[0](x)
        for part in parts[1:]:
            total = total + part(x)
        return total

    return votes


def _class_sums(literals: Literals, sums: str) -> Callable[[IntArray], IntArray]:
    """Class sums of a bool matrix of matches, [E, n]."""
    if sums == "dense":
        matrix = np.ascontiguousarray(literals.class_weights(np.float32).T)
        return lambda match: (matrix @ match.astype(np.float32)).T
    labels, weights, classes = literals.labels, literals.weights.astype(float), literals.classes

    def sparse(match: IntArray) -> IntArray:
        n = match.shape[1]
        edge, sample = np.divmod(np.flatnonzero(match), n)
        bins = sample * classes + labels[edge]
        return np.bincount(bins, weights[edge], n * classes).reshape(n, classes)

    return sparse


# --- numpy and scipy -----------------------------------------------------------------------------


def _numpy_gather(literals: Literals, variant: Variant) -> Votes:
    def one(part: Literals) -> Votes:
        class_sums = _class_sums(part, variant.sums)
        return lambda x: class_sums((x[:, part.indices] == part.values).all(-1).T)

    return _summed([one(part) for part in _edge_blocks(literals, variant.edges)])


def _scipy_sparse(literals: Literals, variant: Variant) -> Votes:
    from scipy.sparse import csr_array

    dtype = np.dtype(variant.dtype)

    def one(part: Literals) -> Votes:
        signs = (part.values.astype(np.int8) * 2 - 1).astype(dtype)
        offsets = np.arange(0, signs.size + 1, part.order)
        order = np.argsort(part.indices, axis=1)
        columns = np.take_along_axis(part.indices, order, 1).ravel().astype(np.int32)
        matrix = csr_array(
            (np.take_along_axis(signs, order, 1).ravel(), columns, offsets.astype(np.int32)),
            shape=(len(part), part.variables),
        )
        # the product reaches the number of positive literals only where every literal agrees
        full = part.values.sum(1).astype(dtype)[:, None]
        class_sums = _class_sums(part, variant.sums)
        return lambda x: class_sums(matrix @ x == full)

    summed = _summed([one(part) for part in _edge_blocks(literals, variant.edges)])
    return lambda x: summed(np.ascontiguousarray(x.T, dtype))


def _numpy_packed(literals: Literals, variant: Variant) -> Votes:
    def one(part: Literals) -> Votes:
        rows = np.ascontiguousarray(part.doubled().T)
        class_sums = _class_sums(part, "dense")
        labels, weights, classes = part.labels, part.weights.astype(float), part.classes

        def votes(planes: IntArray) -> IntArray:
            match = planes[rows[0]]
            for row in rows[1:]:
                match &= planes[row]
            words = match.shape[1]
            if variant.sums == "dense":
                bits = np.unpackbits(match.view(np.uint8), axis=1, bitorder="little")
                return class_sums(bits)
            # unpack only words with a match in them
            at = np.flatnonzero(match)
            bits = np.unpackbits(
                match.reshape(-1)[at, None].view(np.uint8), axis=1, bitorder="little"
            )
            which, bit = np.divmod(np.flatnonzero(bits), 64)
            edge, word = np.divmod(at[which], words)
            bins = (word * 64 + bit) * classes + labels[edge]
            shape = (words * 64, classes)
            return np.bincount(bins, weights[edge], words * 64 * classes).reshape(shape)

        return votes

    summed = _summed([one(part) for part in _edge_blocks(literals, variant.edges)])

    def votes(x: IntArray) -> IntArray:
        padded = np.zeros((literals.variables, -(-len(x) // 64) * 64), np.uint8)
        padded[:, : len(x)] = x.T
        planes = np.packbits(padded, axis=1, bitorder="little").view(np.uint64)
        total: IntArray = summed(np.concatenate([planes, ~planes]))
        return total[: len(x)]

    return votes


# --- torch ---------------------------------------------------------------------------------------


def _torch_class_sums(literals: Literals, sums: str, device: str) -> Callable[[Any], Any]:
    """Class sums of a bool tensor of matches, [E, n]."""
    import torch

    matrix = torch.from_numpy(literals.class_weights(np.float32)).to(device)
    if sums == "dense":
        transposed = matrix.t().contiguous()
        return lambda match: (transposed @ match.float()).t()

    def sparse(match: Any) -> Any:
        edge, sample = match.nonzero(as_tuple=True)
        votes = torch.zeros((match.shape[1], literals.classes), device=device)
        return votes.index_add_(0, sample, matrix[edge])

    return sparse


def _through_torch(votes: Callable[[Any], Any]) -> Votes:
    """Let a torch formulation on the CPU take and return numpy arrays, which costs nothing."""
    import torch

    return lambda x: votes(torch.from_numpy(x)).numpy()


def torch_gather(literals: Literals, variant: Variant, device: str = "cpu") -> Callable[[Any], Any]:
    """`(x[:, idx] == values).all(-1)`, then class sums."""
    import torch

    def one(part: Literals) -> Callable[[Any], Any]:
        indices = torch.from_numpy(part.indices).to(device)
        values = torch.from_numpy(part.values).to(device)
        class_sums = _torch_class_sums(part, variant.sums, device)
        return lambda x: class_sums((x[:, indices] == values).all(-1).t())

    return _summed([one(part) for part in _edge_blocks(literals, variant.edges)])


def torch_and_loop(
    literals: Literals, variant: Variant, device: str = "cpu"
) -> Callable[[Any], Any]:
    """AND of k rows of the transposed batch, then class sums."""
    import torch

    def one(part: Literals) -> Callable[[Any], Any]:
        rows = torch.from_numpy(np.ascontiguousarray(part.doubled().T)).to(device)
        class_sums = _torch_class_sums(part, variant.sums, device)

        def votes(planes: Any) -> Any:
            match = planes[rows[0]]
            for row in rows[1:]:
                match &= planes[row]
            return class_sums(match)

        return votes

    summed = _summed([one(part) for part in _edge_blocks(literals, variant.edges)])

    def votes(x: Any) -> Any:
        planes = x.t().bool().contiguous()
        return summed(torch.cat([planes, ~planes]))

    return votes


def torch_gemm(literals: Literals, variant: Variant, device: str = "cpu") -> Callable[[Any], Any]:
    """A product of x in {-1, 1} with edges in {-1, 0, 1}, which is k where all literals agree."""
    import torch

    dtype = getattr(torch, variant.dtype)

    def one(part: Literals) -> Callable[[Any], Any]:
        matrix = torch.zeros((len(part), part.variables), dtype=torch.int8)
        signs = torch.from_numpy(part.values.astype(np.int8) * 2 - 1)
        matrix.scatter_(1, torch.from_numpy(part.indices), signs)
        matrix = matrix.to(device).to(dtype)
        class_sums = _torch_class_sums(part, variant.sums, device)
        full = part.order

        def votes(x: Any) -> Any:
            if dtype == torch.int8:
                return class_sums(torch._int_mm(matrix, x.t()) == full)
            return class_sums(matrix @ x.t() == full)

        return votes

    summed = _summed([one(part) for part in _edge_blocks(literals, variant.edges)])
    return lambda x: summed(x.to(dtype) * 2 - 1)


# --- a Tsetlin machine ---------------------------------------------------------------------------


def _green_tsetlin(literals: Literals, variant: Variant) -> Votes:
    """The same edges as rules of a Tsetlin machine's predictor: literals j and I + j (negated)."""
    ruleset = importlib.import_module("green_tsetlin.ruleset").RuleSet(False)
    predictor_of = importlib.import_module("green_tsetlin.predictor").Predictor
    ruleset.n_literals, ruleset.n_classes = literals.variables, literals.classes
    ruleset.rules = literals.doubled().tolist()
    ruleset.weights = literals.class_weights(np.int64).tolist()
    predictor = predictor_of.from_ruleset(ruleset)

    def votes(x: IntArray) -> IntArray:
        out = np.empty((len(x), literals.classes), np.int64)
        for n, sample in enumerate(x):
            predictor.predict(sample)
            out[n] = predictor.get_votes()
        return out

    return votes


def _variants(blocks: Sequence[tuple[int, int]], dtypes: Sequence[str] = ("",)) -> list[Variant]:
    return [
        Variant(samples, edges, sums, dtype)
        for dtype in dtypes
        for samples, edges in blocks
        for sums in ("dense", "sparse")
    ]


# blocks that came out first for some size on one of the machines tried
RIVALS: list[Rival] = [
    Rival("numpy gather", "numpy", _variants([(16, 512), (16, 20_000)]), _numpy_gather),
    Rival(
        "numpy packed AND",
        "numpy",
        _variants([(64, 20_000), (1024, 2048), (8192, 256), (8192, 2048)]),
        _numpy_packed,
    ),
    Rival(
        "scipy.sparse",
        "scipy",
        [
            *_variants([(32, 20_000), (128, 20_000), (512, 2048), (512, 20_000)], ["int8"]),
            *_variants([(128, 20_000), (512, 2048)], ["int16", "float32"]),
        ],
        _scipy_sparse,
    ),
    Rival(
        "torch gather",
        "torch",
        _variants([(1, 20_000), (16, 512), (128, 512)]),
        lambda literals, variant: _through_torch(torch_gather(literals, variant)),
        pooled=False,
    ),
    Rival(
        "torch AND-loop",
        "torch",
        _variants([(64, 20_000), (1024, 256), (1024, 2048), (8192, 256)]),
        lambda literals, variant: _through_torch(torch_and_loop(literals, variant)),
        pooled=False,
    ),
    Rival(
        "torch GEMM",
        "torch",
        [
            *_variants([(256, 2048)], ["float32"]),
            *_variants([(64, 20_000), (256, 2048)], ["bfloat16", "int8"]),
        ],
        lambda literals, variant: _through_torch(torch_gemm(literals, variant)),
        pooled=False,
    ),
    Rival(
        "green_tsetlin",
        "green_tsetlin",
        [Variant(1, 0, "")],
        _green_tsetlin,
        threads=1,
        most_edges=100_000,
    ),
]


def available_rivals(available: Callable[[str], bool]) -> tuple[list[Rival], list[str]]:
    """Return the rivals that can run here, and a remark for each that cannot."""
    here = [rival for rival in RIVALS if available(rival.module)]
    missing = [f"{r.name}: skipped, {r.module} is not installed" for r in RIVALS if r not in here]
    return here, missing


def numpy_match(literals: Literals, x: IntArray, block: int = 16) -> IntArray:
    """Bool [N, E] of matches, by numpy's gather in blocks of samples."""
    out = np.empty((len(x), len(literals)), bool)
    for start in range(0, len(x), block):
        stop = start + block
        gathered = x[start:stop, literals.indices]
        np.all(gathered == literals.values, axis=-1, out=out[start:stop])
    return out
