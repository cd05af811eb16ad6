"""What a CapsNet is trained on: pictures of one object, of two that overlap, or in a larger frame.

task = task_of("classify", load("digits"))
batch = task.batch(seed=0, step=0, size=32, shift=1)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from polyad.data import DataError, Dataset, Split
from polyad.data.digit_images import affine, pairs, placed, shifted

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["TASKS", "Batch", "Task", "answers_of", "loss", "task_of", "wrong"]

HELD_OUT_SEED = 2**63
"""Of what is done to test pictures; seeds of trainings are below it."""

BRIGHTEST = 255


class Batch(NamedTuple):
    """Pictures and what is in them.

    Attributes:
        images: float32 [B, 1, H, W] in 0 .. 1.
        targets: int64 [B], the class of each; or 0 and 1, [B, J]: which classes are there.
        parts: [B, P, 1, H, W], what each object looks like alone; None: there is one.
        part_classes: int64 [B, P].
    """

    images: Tensor
    targets: Tensor
    parts: Tensor | None = None
    part_classes: Tensor | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """Return ``change`` of each tensor."""
        parts = None if self.parts is None else change(self.parts)
        part_classes = None if self.part_classes is None else change(self.part_classes)
        return Batch(change(self.images), change(self.targets), parts, part_classes)


def answers_of(found: Any) -> Tensor:
    """Return how sure a network is of each class, [B, J]: lengths of capsules, or logits."""
    answers: Tensor = getattr(found, "lengths", found)
    return answers


def wrong(answers: Tensor, targets: Tensor) -> Tensor:
    """Return which pictures are answered wrongly, bool [B].

    Of a picture with P classes the P largest answers must be those; that is how MultiMNIST is
    measured.

    Args:
        answers: [B, J], the larger the surer.
        targets: As of `Batch`.
    """
    if targets.dim() == 1:
        return answers.argmax(dim=1) != targets
    count = int(targets[0].sum()) if len(targets) else 1
    top = answers.topk(count, dim=1).indices
    return targets.gather(1, top).sum(dim=1) < count


class Task:
    """Pictures of one object each.

    Args:
        split: Examples to train and to test on, which are pictures.
        validation: How many of those to train on are held out, by a fixed shuffle.

    Attributes:
        name: As in `TASKS`.
        image_size: (height, width) of what a model sees.
        classes: How many.
        train: The examples to train on.
        held_out: Those that are held out of them.
        test: The examples to test on.

    Raises:
        DataError: They are no pictures, or hold numbers below 0; too few are left.
    """

    name = "classify"

    def __init__(self, split: Split, validation: int = 0) -> None:
        source = split.train.name
        for data in (split.train, split.test):
            if data.image_shape is None:
                raise DataError(
                    f"{source}: expected pictures, the examples are {data.X.shape[1]} features; "
                    "say their size with --image-shape"
                )
            if data.X.min() < 0:
                raise DataError(f"{source}: expected pixels of at least 0, got {data.X.min()}")
        if split.train.image_shape != split.test.image_shape:
            raise DataError(
                f"{source}: pictures of {split.train.image_shape} for training, "
                f"{split.test.image_shape} for tests"
            )
        self.classes = int(max(split.train.y.max(), split.test.y.max())) + 1
        if self.classes < 2:
            raise DataError(f"{source}: expected at least two classes, every label is 0")
        self.brightest = float(split.train.X.max()) or 1.0
        if not 0 <= validation < len(split.train):
            raise DataError(
                f"validation: expected less than the {len(split.train):,} training examples, "
                f"got {validation:,}"
            )
        shuffled = np.argsort(np.random.PCG64(1).random_raw(len(split.train)), kind="stable")
        self.held_out = split.train.take(np.sort(shuffled[:validation]))
        self.train = split.train.take(np.sort(shuffled[validation:]))
        self.test = split.test
        self._pictures = self.pictures(self.train)

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of what a model sees."""
        return self._pictures.shape[1], self._pictures.shape[2]

    def __len__(self) -> int:
        return len(self.train)

    def pictures(self, data: Dataset) -> NDArray[np.uint8]:
        """Return the pictures of a dataset, [N, H, W]; the brightest that is trained on has 255."""
        assert data.image_shape is not None
        if data.X.dtype == np.uint8 and self.brightest == BRIGHTEST:
            scaled = data.X
        else:
            scaled = np.rint(np.minimum(data.X / self.brightest, 1) * BRIGHTEST).astype(np.uint8)
        return scaled.reshape(-1, *data.image_shape)

    def chosen(self, seed: int, step: int, size: int) -> tuple[int, NDArray[np.int64]]:
        """Return the epoch of a step, and which training pictures it sees.

        The order of an epoch is that of Philox's raw words, which numpy keeps stable.
        """
        epoch, at = divmod(step, len(self) // size)
        words = np.random.Philox(key=[seed, epoch]).random_raw(len(self))
        order = np.argsort(words, kind="stable")
        return epoch, order[at * size : (at + 1) * size].astype(np.int64)

    def batch(self, seed: int, step: int, size: int, shift: int) -> Batch:
        """Return the pictures of a step: a function of the arguments alone.

        Args:
            seed: Of the training.
            step: Which.
            size: B.
            shift: Pixels by which pictures are moved at random, at most, along each axis.
        """
        epoch, ids = self.chosen(seed, step, size)
        images = shifted(self._pictures[ids], shift, seed=seed, step=epoch, index=ids)
        return _batch(images, self.train.y[ids])

    def batches(self, data: Dataset, at_once: int) -> Iterator[Batch]:
        """Return the examples of a dataset as a model is tested on them, in batches."""
        images = self.pictures(data)
        for begin in range(0, len(images), at_once):
            part = slice(begin, begin + at_once)
            yield _batch(images[part], data.y[part])


class Framed(Task):
    """Pictures anywhere in a larger frame, to be tested on turned, sheared and scaled ones.

    The frame adds 6 pixels to each side of 28 x 28, and as many in proportion to others.
    """

    name = "affine"

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of the frame, which is square."""
        longest, shortest = max(super().image_size), min(super().image_size)
        side = longest + 2 * max(1, round(shortest * 6 / 28))
        return side, side

    def batch(self, seed: int, step: int, size: int, shift: int) -> Batch:
        """Return the pictures of a step; they are anywhere, so ``shift`` adds nothing."""
        epoch, ids = self.chosen(seed, step, size)
        side = self.image_size[0]
        images = placed(self._pictures[ids], side, seed=seed, step=epoch, index=ids)
        return _batch(images, self.train.y[ids])

    def batches(self, data: Dataset, at_once: int) -> Iterator[Batch]:
        """Return the examples of a dataset in the frame, each at its own place, always the same."""
        images = placed(self.pictures(data), self.image_size[0], seed=HELD_OUT_SEED)
        for begin in range(0, len(images), at_once):
            part = slice(begin, begin + at_once)
            yield _batch(images[part], data.y[part])

    def turned(self, data: Dataset, at_once: int) -> Iterator[Batch]:
        """Return the examples of a dataset turned, sheared and scaled, in batches."""
        images = affine(self.pictures(data), self.image_size[0], seed=HELD_OUT_SEED)
        for begin in range(0, len(images), at_once):
            part = slice(begin, begin + at_once)
            yield _batch(images[part], data.y[part])


class Overlaid(Task):
    """Two pictures of different classes on top of each other, as in MultiMNIST.

    An epoch lays each picture under one that is drawn anew; as many pairs are tested as there are
    test examples. Pictures are moved by 4 pixels of 28, and as many in proportion of others.
    """

    name = "multimnist"

    @property
    def _shift(self) -> int:
        return max(1, round(min(super().image_size) * 4 / 28))

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of a pair."""
        height, width = super().image_size
        return height + 2 * self._shift, width + 2 * self._shift

    def batch(self, seed: int, step: int, size: int, shift: int) -> Batch:
        """Return the pairs of a step; they are moved already, so ``shift`` adds nothing."""
        epoch, ids = self.chosen(seed, step, size)
        return self._pairs(self._pictures, self.train, epoch * len(self) + ids, seed)

    def batches(self, data: Dataset, at_once: int) -> Iterator[Batch]:
        """Return pairs of the examples of a dataset, always the same, in batches."""
        images = self.pictures(data)
        for begin in range(0, len(images), at_once):
            index = np.arange(begin, min(len(images), begin + at_once))
            yield self._pairs(images, data, index, HELD_OUT_SEED)

    def _pairs(
        self, images: NDArray[np.uint8], data: Dataset, index: NDArray[np.int64], seed: int
    ) -> Batch:
        import torch

        made = pairs(images, data.y, index=index, seed=seed, shift=self._shift)
        there = np.zeros((len(index), self.classes), np.int64)
        np.put_along_axis(there, made.classes, 1, axis=1)
        return Batch(
            _scaled(made.images)[:, None],
            torch.from_numpy(there),
            _scaled(made.parts)[:, :, None],
            torch.from_numpy(made.classes),
        )


def loss(model: Any, batch: Batch) -> Tensor:
    """Return what training makes smaller, of a CapsNet or a network beside it."""
    more: dict[str, Any] = {}
    if batch.parts is not None and getattr(model, "decoder", None) is not None:
        more = {"parts": batch.parts, "part_classes": batch.part_classes}
    total: Tensor = model.loss(batch.images, batch.targets, **more).total
    return total


def _scaled(images: NDArray[np.uint8]) -> Tensor:
    import torch

    return torch.from_numpy(images).float() / BRIGHTEST


def _batch(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Batch:
    import torch

    return Batch(_scaled(images)[:, None], torch.from_numpy(labels.copy()))


TASKS: dict[str, type[Task]] = {task.name: task for task in (Task, Overlaid, Framed)}
"""What can be trained, by name."""


def task_of(name: str, split: Split, *, validation: int = 0) -> Task:
    """Make a task.

    Raises:
        ValueError: There is none of that name.
        DataError: The examples cannot be used for it.
    """
    if name not in TASKS:
        raise ValueError(f"task: expected one of {', '.join(TASKS)}, got {name!r}")
    return TASKS[name](split, validation)
