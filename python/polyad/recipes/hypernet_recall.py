"""Recall of half-hidden digits, optdigits: a hypernet beside majority, nearest neighbours, an MLP.

python -m polyad.recipes.hypernet_recall --data FOLDER        (with optdigits.tra, optdigits.tes)

Half of the pixels of every test picture are hidden at random; what counts is the share of hidden
pixels whose bit (at least 8 of 16) is right. The observed pixels are given as bits, or as
thermometers of 8 levels. All see the same pictures and the same masks. The neighbours' k and
distance are the best of all tried, chosen on the test pictures themselves, in their favour; the
hypernet's settings were chosen on the training file alone.
"""

from __future__ import annotations

import os
import time
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyad.recipes.experiment import Figures, main, over_seeds, show
from polyad.recipes.hypernet_optdigits import LEVELS, THRESHOLD, load

HIDDEN = 0.5
SETTINGS: dict[str, Any] = {
    "draw": "common",
    "edges_per_example": 8,
    "max_edges": 32_000,
    "epochs": 0,
}
NEIGHBOURS = (1, 3, 5, 7, 9, 11, 13, 15, 20, 25, 30, 40)
WIDTH, MLP_BATCH = 1024, 128


class Task:
    """Test pictures with hidden pixels, and how well they are filled.

    Attributes:
        observed: bool [N, 64], True = given.
    """

    def __init__(self, bits: NDArray[np.bool_], seed: int) -> None:
        self._bits = bits
        self.observed = np.random.default_rng(seed).random(bits.shape) >= HIDDEN

    def share(self, filled: NDArray[Any]) -> float:
        """The share of hidden bits that ``filled`` [N, 64] has right."""
        hidden = ~self.observed
        return float((filled.astype(bool) == self._bits)[hidden].mean())


def best_neighbours(
    task: Task, train: NDArray[np.float32], test: NDArray[np.float32], bits: NDArray[np.bool_]
) -> tuple[float, int]:
    """Fill in what most of the k nearest training pictures have; return the best share and its k.

    Args:
        task: The masks.
        train: [N, 64, L] what is observed of a picture.
        test: [M, 64, L].
        bits: bool [N, 64], of the training pictures.
    """
    seen = task.observed[:, :, None].astype(np.float32)
    flat_train = train.reshape(len(train), -1)
    square = (train**2).sum(axis=2)
    distance = task.observed.astype(np.float32) @ square.T
    distance -= 2 * (test * seen).reshape(len(test), -1) @ flat_train.T
    order = np.argsort(distance, axis=1, kind="stable")[:, : max(NEIGHBOURS)]
    share = {k: task.share(bits[order[:, :k]].mean(axis=1) > 0.5) for k in NEIGHBOURS}
    best = max(share, key=lambda k: share[k])
    return share[best], best


def masked_mlp(
    task: Task,
    train: NDArray[np.float32],
    test: NDArray[np.float32],
    bits: NDArray[np.bool_],
    epochs: int,
    seed: int,
) -> float:
    """Train an MLP with two hidden layers to fill random masks; return its share.

    Input: the observed values, 0 where hidden, and the mask. New masks in every epoch.

    Args:
        task: The masks.
        train: [N, 64] observable values.
        test: [M, 64].
        bits: bool [N, 64], the targets.
        epochs: Passes over the training pictures.
        seed: Randomness.
    """
    from sklearn.neural_network import MLPClassifier

    rng = np.random.default_rng(seed)

    def given(values: NDArray[np.float32], observed: NDArray[np.bool_]) -> NDArray[np.float32]:
        return np.concatenate([values * observed, observed], axis=1, dtype=np.float32)

    net = MLPClassifier((WIDTH, WIDTH), batch_size=MLP_BATCH, random_state=seed)
    classes = np.arange(bits.shape[1])
    for _ in range(epochs):
        observed = rng.random(bits.shape) >= HIDDEN
        order = rng.permutation(len(bits))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one epoch is not meant to converge
            net.partial_fit(given(train, observed)[order], bits[order].astype(int), classes=classes)
    return task.share(net.predict_proba(given(test, task.observed)) > 0.5)


def _pictures(
    train: NDArray[Any], test: NDArray[Any], levels: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Both as [N, 64, L]."""
    first, second = (a.reshape(len(a), 64, levels).astype(np.float32) for a in (train, test))
    return first, second


def run(path: str | os.PathLike[str], *, seeds: int = 5, mlp_epochs: int = 300) -> Figures:
    """Measure recall.

    Args:
        path: The folder with optdigits.tra and optdigits.tes.
        seeds: How often to repeat, with other masks and models.
        mlp_epochs: Training of the MLP, which is done for the first seed only; 0: leave it out.

    Returns:
        Shares of hidden pixels that are right (mean, deviation) of every method and setting.
    """
    from polyad.models import Hypernet, ThermometerEncoder

    split = load(path)
    train, test = split.train, split.test
    train_bits, test_bits = train.X > THRESHOLD, test.X > THRESHOLD
    thermometer = ThermometerEncoder(thresholds=LEVELS).fit(train.X)
    seen = {
        "binary": (train_bits.astype(np.uint8), test_bits.astype(np.uint8), 1, 0),
        "thermometer": (
            thermometer.transform(train.X),
            thermometer.transform(test.X),
            len(LEVELS),
            LEVELS.index(8),
        ),
    }
    found: dict[str, list[float]] = {}

    def note(name: str, share: float, more: str = "") -> None:
        found.setdefault(name, []).append(share)
        show(f"{name}, seed {len(found[name]) - 1}: {share:.4f}{more}")

    for seed in range(seeds):
        task = Task(test_bits, seed)
        note(
            "majority", task.share(np.broadcast_to(train_bits.mean(axis=0) > 0.5, test_bits.shape))
        )
        for name, (x, x_test, levels, place) in seen.items():
            began = time.perf_counter()
            net = Hypernet(binarize=None, random_state=seed, **SETTINGS).fit(x, train.y)
            mask = np.repeat(task.observed, levels, axis=1)
            filled = net.recall(x_test, mask)[:, place::levels]
            took = time.perf_counter() - began
            note(
                f"hypernet_{name}", task.share(filled), f" ({len(net.edges_)} edges, {took:.1f} s)"
            )
            share, k = best_neighbours(task, *_pictures(x, x_test, levels), train_bits)
            if name == "thermometer":  # grey levels are what a thermometer counts
                grey = _pictures(train.X, test.X, 1)
                share, k = max((share, k), best_neighbours(task, *grey, train_bits))
            note(f"best_knn_{name}", share, f" (k = {k})")
            if seed == 0 and mlp_epochs:
                given = (train.X / 16, test.X / 16) if name == "thermometer" else (x, x_test)
                inputs = (given[0].astype(np.float32), given[1].astype(np.float32))
                share = masked_mlp(task, *inputs, train_bits, mlp_epochs, seed)
                note(f"masked_mlp_2x{WIDTH}_{name}", share, f" ({mlp_epochs} epochs)")
    figures: Figures = {}
    for name, shares in found.items():
        figures |= over_seeds(f"{name}_recall", shares)
    return figures


if __name__ == "__main__":
    main("Recall of half-hidden optdigits.", run, mlp_epochs=300)
