"""The five tasks on which Graves et al. (2014) tested the Neural Turing Machine, as generators.

batch = task("copy").batch(seed=0, step=17, batch_size=16)

A batch is a pure function of its arguments, so a training that resumes at step 17 sees what it
would have seen. `HELD_OUT` separates the seeds of test sequences from those of training.
"""

from __future__ import annotations

import difflib
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "HELD_OUT",
    "TASKS",
    "AssociativeRecall",
    "Batch",
    "Copy",
    "NGrams",
    "PrioritySort",
    "RepeatCopy",
    "Task",
    "task",
]

HELD_OUT = 1 << 63
"""Training uses seeds below this; `Task.held_out` adds it."""

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Drawn = tuple[Floats, Floats, NDArray[np.bool_], Integers]


class Batch(NamedTuple):
    """Sequences of one batch, zero after their ends.

    Attributes:
        inputs: float32 [B, T, I].
        targets: float32 [B, T, O], 0 or 1.
        mask: bool [B, T], the steps whose outputs count.
        lengths: int64 [B] in 1 .. T; T is the longest.
    """

    inputs: Tensor
    targets: Tensor
    mask: Tensor
    lengths: Tensor

    def part(self, begin: int, end: int) -> Batch:
        """Return sequences ``begin`` to ``end``, as long as the longest of them."""
        lengths = self.lengths[begin:end]
        steps = int(lengths.max())
        inputs, targets, mask = (
            tensor[begin:end, :steps] for tensor in (self.inputs, self.targets, self.mask)
        )
        return Batch(inputs, targets, mask, lengths)


@dataclass(frozen=True)
class Task:
    """What the tasks share. Fields are ranges, and both ends belong to them.

    Attributes:
        name: As in `TASKS`.
    """

    name: ClassVar[str]

    @property
    def input_size(self) -> int:
        """Features of an input step."""
        raise NotImplementedError

    @property
    def output_size(self) -> int:
        """Bits of a target step."""
        raise NotImplementedError

    def settings(self) -> dict[str, int]:
        """Return the ranges: ``task(t.name, **t.settings())`` is ``t`` again."""
        return asdict(self)

    def batch(self, seed: int, step: int, batch_size: int) -> Batch:
        """Draw the sequences of one training step from Philox(key = [seed, step]).

        Args:
            seed: 0 .. 2**64 - 1; those from `HELD_OUT` on are for testing.
            step: 0 .. 2**64 - 1.
            batch_size: B, at least 1.

        Returns:
            Torch tensors on the CPU; each sequence draws its own length.

        Raises:
            ValueError: An argument is out of range.
        """
        import torch

        for name, value in (("seed", seed), ("step", step)):
            if not 0 <= value < 1 << 64:
                raise ValueError(f"{name}: expected 0 .. 2**64 - 1, got {value}")
        if batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
        key = np.array([seed, step], np.uint64)
        drawn = self._draw(np.random.Generator(np.random.Philox(key=key)), batch_size)
        return Batch(*(torch.from_numpy(np.ascontiguousarray(array)) for array in drawn))

    def held_out(self, sequences: int, *, seed: int = 0) -> Batch:
        """Return test sequences, which no training seed below `HELD_OUT` sees."""
        return self.batch(HELD_OUT + seed, 0, sequences)

    def longer(self) -> list[tuple[str, Task]]:
        """Return the sizes on which a trained model is tested, each with its label."""
        raise NotImplementedError

    def _draw(self, rng: np.random.Generator, batch: int) -> Drawn:
        raise NotImplementedError

    def _require(self, *ranges: tuple[str, str]) -> None:
        """Check that all fields are at least 1, and that no range is empty."""
        for name, value in asdict(self).items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}: expected an integer of at least 1, got {value!r}")
        for low, high in ranges:
            if getattr(self, low) > getattr(self, high):
                raise ValueError(
                    f"{low}: expected at most {high} = {getattr(self, high)}, "
                    f"got {getattr(self, low)}"
                )


@dataclass(frozen=True)
class Copy(Task):
    """Copy: vectors of random bits, a delimiter, then the same vectors are wanted.

    Inputs are the bits and the delimiter's channel, outputs the bits; T = 2 length + 1. Chance is
    8 x 10.5 = 84 bits a sequence.

    Attributes:
        bits: Of a vector.
        shortest: Vectors of the shortest sequence.
        longest: Vectors of the longest sequence.
    """

    name: ClassVar[str] = "copy"
    bits: int = 8
    shortest: int = 1
    longest: int = 20

    def __post_init__(self) -> None:
        self._require(("shortest", "longest"))

    @property
    def input_size(self) -> int:  # noqa: D102
        return self.bits + 1

    @property
    def output_size(self) -> int:  # noqa: D102
        return self.bits

    def longer(self) -> list[tuple[str, Task]]:
        """Return lengths 10, 20, 30, 50 and 120, as in the paper's figure 4."""
        return [
            (f"length {length}", replace(self, shortest=length, longest=length))
            for length in (10, 20, 30, 50, 120)
        ]

    def _draw(self, rng: np.random.Generator, batch: int) -> Drawn:
        length = rng.integers(self.shortest, self.longest + 1, batch)
        vectors = _bits(rng, batch, length.max(), self.bits)
        ends = 2 * length + 1
        at = np.arange(ends.max())
        inputs = np.zeros((batch, len(at), self.input_size), np.float32)
        inputs[..., : self.bits], _ = _placed(vectors, at, 0 * length, length)
        inputs[np.arange(batch), length, self.bits] = 1
        targets, mask = _placed(vectors, at, length + 1, length)
        return inputs, targets, mask, ends


@dataclass(frozen=True)
class RepeatCopy(Task):
    """Repeat copy: vectors, then a number: so many copies are wanted, and an end marker after them.

    Inputs are the bits, a delimiter and the number of repetitions r, given with the delimiter as
    (r - 5.5) / 2.872: mean 0 and variance 1 over 1 .. 10. It is the same for other ranges, so that
    a model finds the number it knows. Outputs are the bits and the end marker;
    T = length + 1 + r length + 1. The parameter counts of the paper say 6 bits.

    Attributes:
        bits: Of a vector.
        shortest: Vectors of the shortest sequence.
        longest: Vectors of the longest sequence.
        fewest: Repetitions, at least.
        most: Repetitions, at most.
    """

    name: ClassVar[str] = "repeat-copy"
    bits: int = 6
    shortest: int = 1
    longest: int = 10
    fewest: int = 1
    most: int = 10

    def __post_init__(self) -> None:
        self._require(("shortest", "longest"), ("fewest", "most"))

    @property
    def input_size(self) -> int:  # noqa: D102
        return self.bits + 2

    @property
    def output_size(self) -> int:  # noqa: D102
        return self.bits + 1

    def longer(self) -> list[tuple[str, Task]]:
        """Return the ends of the trained ranges, then twice the length and twice the number."""
        return [
            (
                f"length {length}, {times} times",
                replace(self, shortest=length, longest=length, fewest=times, most=times),
            )
            for length, times in ((10, 10), (20, 10), (10, 20))
        ]

    def _draw(self, rng: np.random.Generator, batch: int) -> Drawn:
        length = rng.integers(self.shortest, self.longest + 1, batch)
        times = rng.integers(self.fewest, self.most + 1, batch)
        vectors = _bits(rng, batch, length.max(), self.bits)
        ends = length + 1 + times * length + 1
        at, every = np.arange(ends.max()), np.arange(batch)
        inputs = np.zeros((batch, len(at), self.input_size), np.float32)
        inputs[..., : self.bits], _ = _placed(vectors, at, 0 * length, length)
        inputs[every, length, self.bits] = 1
        inputs[every, length, self.bits + 1] = (times - 5.5) / np.sqrt(99 / 12)
        targets = np.zeros((batch, len(at), self.output_size), np.float32)
        targets[..., : self.bits], mask = _placed(
            vectors, at, length + 1, times * length, period=length
        )
        targets[every, ends - 1, self.bits] = 1
        mask[every, ends - 1] = True
        return inputs, targets, mask, ends


@dataclass(frozen=True)
class AssociativeRecall(Task):
    """Associative recall: items, then one of them as a query: the item after it is wanted.

    An item is a delimiter and ``item_length`` vectors of random bits; the query, never the last
    item, stands between two delimiters of another channel. Inputs are the bits and the two
    delimiters, outputs the bits; T = (S + 1) items + 2 S + 2 for items of S vectors. Chance is 18
    bits a sequence.

    Attributes:
        bits: Of a vector.
        item_length: Vectors of an item.
        fewest: Items, at least 2.
        most: Items, at most.
    """

    name: ClassVar[str] = "associative-recall"
    bits: int = 6
    item_length: int = 3
    fewest: int = 2
    most: int = 6

    def __post_init__(self) -> None:
        self._require(("fewest", "most"))
        if self.fewest < 2:
            raise ValueError(f"fewest: expected at least 2 (query and answer), got {self.fewest}")

    @property
    def input_size(self) -> int:  # noqa: D102
        return self.bits + 2

    @property
    def output_size(self) -> int:  # noqa: D102
        return self.bits

    def longer(self) -> list[tuple[str, Task]]:
        """Return 6, 8, 10, 12, 15 and 20 items, as in the paper's figure 11."""
        return [
            (f"{items} items", replace(self, fewest=items, most=items))
            for items in (6, 8, 10, 12, 15, 20)
        ]

    def _draw(self, rng: np.random.Generator, batch: int) -> Drawn:
        size, block, every = self.item_length, self.item_length + 1, np.arange(batch)
        items = rng.integers(self.fewest, self.most + 1, batch)
        asked = rng.integers(0, items - 1)
        vectors = _bits(rng, batch, items.max() * size, self.bits)
        vectors = vectors.reshape(batch, -1, size, self.bits)
        with_delimiter = np.zeros((batch, items.max(), block, self.input_size), np.float32)
        with_delimiter[:, :, 1:, : self.bits] = vectors
        with_delimiter[:, :, 0, self.bits] = 1
        query = block * items  # where it begins
        ends = query + 2 * size + 2
        at = np.arange(ends.max())
        inputs, _ = _placed(
            with_delimiter.reshape(batch, -1, self.input_size), at, 0 * items, query
        )
        inputs[..., : self.bits] += _placed(vectors[every, asked], at, query + 1, size)[0]
        inputs[every, query, self.bits + 1] = 1
        inputs[every, query + block, self.bits + 1] = 1
        targets, mask = _placed(vectors[every, asked + 1], at, query + block + 1, size)
        return inputs, targets, mask, ends


@dataclass(frozen=True)
class NGrams(Task):
    """Dynamic n-grams: bits whose chance of being 1 depends on the five before them; predict them.

    Every sequence draws a table of 2**context chances from Beta(1/2, 1/2), and begins with
    ``context`` fair bits. Step t shows a bit and wants the next; the ``predicted`` bits after the
    first ``context`` count, so T = context + predicted - 1. `optimal_bits` is the cost of the best
    that can be done, 131.02 bits a sequence on average with the default ranges.

    Attributes:
        predicted: Bits that count.
        context: Bits that decide the next.
    """

    name: ClassVar[str] = "n-grams"
    predicted: int = 200
    context: int = 5

    def __post_init__(self) -> None:
        self._require()
        if self.context > 16:
            raise ValueError(f"context: expected at most 16, got {self.context}")

    @property
    def input_size(self) -> int:  # noqa: D102
        return 1

    @property
    def output_size(self) -> int:  # noqa: D102
        return 1

    def longer(self) -> list[tuple[str, Task]]:
        """Return sequences of as many bits, and of twice as many."""
        return [
            (f"{bits} bits", replace(self, predicted=bits))
            for bits in (self.predicted, 2 * self.predicted)
        ]

    def _draw(self, rng: np.random.Generator, batch: int) -> Drawn:
        tables = 1 << self.context
        chance = rng.beta(0.5, 0.5, (batch, tables)).ravel()
        uniform = rng.random((self.context + self.predicted, batch))
        drawn = np.empty(uniform.shape, np.int64)
        drawn[: self.context] = uniform[: self.context] < 0.5
        row, seen = tables * np.arange(batch), _number(drawn[: self.context])
        for t in range(self.context, len(drawn)):
            drawn[t] = uniform[t] < chance[row + seen]
            seen = (2 * seen + drawn[t]) & (tables - 1)
        bits = drawn.T[..., None].astype(np.float32)
        mask = np.zeros((batch, len(drawn) - 1), np.bool_)
        mask[:, self.context - 1 :] = True
        targets = bits[:, 1:] * mask[..., None]
        return bits[:, :-1], targets, mask, np.full(batch, len(drawn) - 1)

    def optimal_bits(self, batch: Batch) -> NDArray[np.float64]:
        """Return what the best estimator pays for each sequence, [B] bits.

        P(1 | context) = (N1 + 1/2) / (N0 + N1 + 1), with N0 and N1 how often 0 and 1 have followed
        this context in this sequence (Murphy, 2012; the paper's equation 10).
        """
        first = batch.inputs[..., 0].numpy().astype(np.int64)
        last = batch.targets[:, -1:, 0].numpy().astype(np.int64)
        bits = np.concatenate([first, last], axis=1)
        every, tables = np.arange(len(bits)), 1 << self.context
        counts = np.full((len(bits), tables, 2), 0.5)
        seen = _number(bits.T[: self.context])
        cost = np.zeros(len(bits))
        for bit in bits.T[self.context :]:
            cost -= np.log2(counts[every, seen, bit] / counts[every, seen].sum(axis=1))
            counts[every, seen, bit] += 1
            seen = (2 * seen + bit) & (tables - 1)
        return cost


@dataclass(frozen=True)
class PrioritySort(Task):
    """Priority sort: vectors with priorities, a delimiter, then the first of them in falling order.

    Inputs are the bits, the priority (uniform in -1 .. 1) and a delimiter; outputs the bits;
    T = vectors + 1 + wanted. Chance is 128 bits a sequence.

    Attributes:
        bits: Of a vector.
        vectors: How many are given.
        wanted: How many of the highest priorities are wanted.
    """

    name: ClassVar[str] = "priority-sort"
    bits: int = 8
    vectors: int = 20
    wanted: int = 16

    def __post_init__(self) -> None:
        self._require(("wanted", "vectors"))

    @property
    def input_size(self) -> int:  # noqa: D102
        return self.bits + 2

    @property
    def output_size(self) -> int:  # noqa: D102
        return self.bits

    def longer(self) -> list[tuple[str, Task]]:
        """Return as many vectors, and half as many again; a fifth is never wanted."""
        return [
            (f"{count} vectors", replace(self, vectors=count, wanted=max(1, count * 4 // 5)))
            for count in (20, 30)
        ]

    def _draw(self, rng: np.random.Generator, batch: int) -> Drawn:
        vectors = _bits(rng, batch, self.vectors, self.bits)
        priority = rng.uniform(-1, 1, (batch, self.vectors)).astype(np.float32)
        order = np.argsort(-priority, axis=1, kind="stable")[:, : self.wanted]
        steps = self.vectors + 1 + self.wanted
        inputs = np.zeros((batch, steps, self.input_size), np.float32)
        inputs[:, : self.vectors, : self.bits] = vectors
        inputs[:, : self.vectors, self.bits] = priority
        inputs[:, self.vectors, self.bits + 1] = 1
        targets = np.zeros((batch, steps, self.bits), np.float32)
        targets[:, self.vectors + 1 :] = np.take_along_axis(vectors, order[..., None], axis=1)
        mask = np.zeros((batch, steps), np.bool_)
        mask[:, self.vectors + 1 :] = True
        return inputs, targets, mask, np.full(batch, steps)


TASKS: dict[str, type[Task]] = {
    kind.name: kind for kind in (Copy, RepeatCopy, AssociativeRecall, NGrams, PrioritySort)
}
"""The tasks by name."""


def task(name: str, **ranges: Any) -> Task:
    """Return a task.

    Args:
        name: A name in `TASKS`.
        **ranges: Its fields, where they are not those of the paper.

    Raises:
        ValueError: There is no such task, or no such range, or it is empty.
    """
    if name not in TASKS:
        near = difflib.get_close_matches(name, TASKS, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"task: expected one of {', '.join(TASKS)}, got {name!r}{hint}")
    kind = TASKS[name]
    known = [field.name for field in fields(kind)]
    for given in ranges:
        if given not in known:
            raise ValueError(f"{given}: the task {name} has {', '.join(known)}")
    return kind(**ranges)


def _bits(rng: np.random.Generator, *shape: int) -> Floats:
    return rng.integers(0, 2, shape, np.uint8).astype(np.float32)


def _number(bits: Integers) -> Integers:
    """[C, B] bits, the oldest first, to [B] numbers."""
    return (1 << np.arange(len(bits))[::-1]) @ bits


def _placed(
    vectors: Floats,
    at: Integers,
    begin: Integers,
    steps: Integers | int,
    *,
    period: Integers | None = None,
) -> tuple[Floats, NDArray[np.bool_]]:
    """Put [B, L, W] into [B, T, W] from step ``begin`` [B] on, for ``steps`` [B] steps.

    Returns:
        The steps, zero elsewhere, and where they are: bool [B, T].
    """
    index = at - begin[:, None]
    inside = (index >= 0) & (index < np.asarray(steps).reshape(-1, 1))
    if period is not None:
        index = index % period[:, None]
    taken = np.take_along_axis(vectors, np.where(inside, index, 0)[..., None], axis=1)
    return taken * inside[..., None], inside
