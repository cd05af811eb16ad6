"""MNIST: accuracy of a learned hypernet and how many pictures a core classifies per second.

python -m polyad.recipes.hypernet_mnist --data FOLDER          (with the idx or idx.gz files)

All settings were chosen on the training pictures alone (50,000 to learn from, 10,000 to choose by).
"""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

import polyad
from polyad import data as sources
from polyad.recipes.experiment import Figures, main, over_seeds, show

THRESHOLD = 95.5
SETTINGS: dict[str, Any] = {
    "max_edges": 5000,
    "epochs": 40,
    "batch_size": 2048,
    "noise": 0.05,
    "replace": 0.02,
}
BATCH = 10_000
REPEATS = 5
WEIGHT_STEPS = 63
"""Weights are rounded to whole 1/63 of the largest: 6 bits, which the kernel adds bit by bit."""


def whole_weights(weights: NDArray[Any]) -> NDArray[np.int32]:
    """Return the weights as integers 0 .. WEIGHT_STEPS."""
    return np.asarray(np.rint(weights * (WEIGHT_STEPS / weights.max())), np.int32)


def predictions_per_second(net: Any, x: NDArray[np.uint8]) -> tuple[float, float, NDArray[Any]]:
    """Measure one thread: binary pictures in, packing included, classes out.

    Args:
        net: A fitted hypernet.
        x: uint8 [N, I], 0 and 1.

    Returns:
        Predictions per second of wall time, and of CPU time (both of the best of several passes),
        and the predicted classes [N].
    """
    from polyad.ops.hypernet import votes

    weights = whole_weights(net.weights_)
    edges, kept = net.edges_.remove(weights > 0)
    plan = edges.plan(labels=net.labels_[kept], num_classes=len(net.classes_))
    weights, tolerances = weights[kept], net.tolerances_[kept]
    threads = polyad.get_num_threads()
    polyad.set_num_threads(1)
    wall, cpu = [], []
    predicted = np.zeros(len(x), np.int64)
    try:
        for _ in range(REPEATS):
            began, began_cpu = time.perf_counter(), time.process_time()
            for begin in range(0, len(x), BATCH):
                batch = x[begin : begin + BATCH]
                counts = votes(batch, plan, weights, tolerance=tolerances)
                predicted[begin : begin + BATCH] = np.asarray(counts).argmax(axis=1)
            wall.append(time.perf_counter() - began)
            cpu.append(time.process_time() - began_cpu)
    finally:
        polyad.set_num_threads(threads)
    return len(x) / min(wall), len(x) / min(cpu), net.classes_[predicted]


def run(path: str | os.PathLike[str], *, seeds: int = 5, max_edges: int = 5000) -> Figures:
    """Measure test accuracy and speed.

    Args:
        path: The folder with the idx files.
        seeds: How often to repeat, with other seeds.
        max_edges: How many edges the model may have.

    Returns:
        Accuracy (mean, deviation) of the model and of its whole-number weights, predictions per
        second and core at the latter accuracy, edges and seconds of training (mean).
    """
    from polyad.models import Hypernet

    split = sources.load(path)
    train, test = split.train, split.test
    bits = (test.X > THRESHOLD).astype(np.uint8)
    accuracy, rounded, wall, cpu, edges, seconds = [], [], [], [], [], []
    for seed in range(seeds):
        settings = SETTINGS | {"max_edges": max_edges}
        net = Hypernet(binarize=THRESHOLD, random_state=seed, **settings)
        began = time.perf_counter()
        net.fit(train.X, train.y)
        seconds.append(time.perf_counter() - began)
        accuracy.append(float(net.score(test.X, test.y)))
        rate, rate_cpu, predicted = predictions_per_second(net, bits)
        wall.append(rate)
        cpu.append(rate_cpu)
        rounded.append(float((predicted == test.y).mean()))
        edges.append(len(net.edges_))
        show(
            f"seed {seed}: {accuracy[-1]:.4f} ({rounded[-1]:.4f} with 6-bit weights), "
            f"{edges[-1]} edges, {rate / 1e6:.2f} million predictions/s "
            f"({rate_cpu / 1e6:.2f} by CPU time)"
        )
    figures = over_seeds("accuracy", accuracy) | over_seeds("six_bit_accuracy", rounded)
    return figures | {
        "predictions_per_second_best": max(wall),
        "predictions_per_cpu_second_best": max(cpu),
        "edges_mean": sum(edges) / seeds,
        "train_seconds_mean": sum(seconds) / seeds,
    }


if __name__ == "__main__":
    main("Hypernet on MNIST.", run, max_edges=5000)
