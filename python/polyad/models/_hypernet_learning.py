"""How a hypernet learns: at once, epoch by epoch, or from a stream."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from polyad.models import _hypernet_likelihood as likelihood
from polyad.models import _hypernet_structure as structure
from polyad.models._hypernet_base import HypernetBase
from polyad.models._hypernet_correction import Correction, class_votes, correct, vote_scale
from polyad.models._hypernet_recall import calibrate
from polyad.models._hypernet_structure import EdgeSet

Progress = Callable[[Mapping[str, Any]], Any]
CALIBRATION_ROWS, STREAM_BATCH = 16, 256
"""A batch of a stream must be that large to calibrate recall by, and to be learned from at the full
rate."""
CLASS_MASS = 8.0
"""Total weight of a class while its edges are being collected: if a quarter of them match, votes
read as logits."""
SETTLING = 0.3
"""The share of the epochs, at the end, in which no edge is replaced: what is there settles."""
ASCENT = 3.0
"""A step up the likelihood is ASCENT * rate * sqrt(N) times the mean gradient of N examples: the
noise of a step then does not depend on N."""


class Learning(HypernetBase):
    """fit, resume, partial_fit and reweight."""

    def fit(self, X: Any, y: Any, *, on_progress: Progress | None = None) -> Self:
        """Learn from scratch.

        Args:
            X: [N, I], dense, sparse or a DataFrame.
            y: [N], labels.
            on_progress: Called with a dict (epoch, epochs, stage, updates, edges, replaced,
                samples, seconds) after the one-shot pass (epoch 0) and after every epoch. The model
                can be saved there, and `resume` continues such a file exactly. If it returns True,
                learning stops.
        """
        self._check_parameters()
        bits, number = self._training_data(X, y, first=True)
        self._begin(bits, number)
        return self._continue(bits, number, on_progress)

    def resume(self, X: Any, y: Any, *, on_progress: Progress | None = None) -> Self:
        """Do the epochs that are left of a `fit` that was stopped or loaded from a file.

        With the same data the result is that of an uninterrupted `fit`, bit for bit.

        Args:
            X: [N, I], what `fit` was given.
            y: [N].
            on_progress: As in `fit`.
        """
        check_is_fitted(self)
        self._check_parameters()
        bits, number = self._training_data(X, y, first=False)
        return self._continue(bits, number, on_progress)

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Self:
        """Learn from one batch of a stream, in memory that ``max_edges`` bounds.

        The batch is remembered (edges are drawn from it, first from what is misclassified; once
        there are ``max_edges``, the weakest make room) and, unless ``epochs`` is 0, corrected once.

        Args:
            X: [N, I].
            y: [N].
            classes: All labels there will ever be; needed in the first call.
        """
        self._check_parameters()
        first = not hasattr(self, "_edge_set")
        if first and classes is None:
            raise ValueError("classes: expected all labels in the first call to partial_fit")
        if first:
            self.classes_ = np.unique(np.asarray(classes))
        elif classes is not None and not np.array_equal(self.classes_, np.unique(classes)):
            raise ValueError(
                f"classes: expected {self.classes_} as in the first call, got {np.unique(classes)}"
            )
        bits, number = self._training_data(X, y, first=first, keep_classes=True)
        if first:
            self._prepare(bits.shape[1])
        self._stream(bits, number)
        self._publish()
        return self

    def reweight(self, X: Any, y: Any, *, epochs: int | None = None) -> Self:
        """Learn the weights of the present edges, whose literals and labels stay.

        With objective 'likelihood' and few variables the gradient is exact, and many epochs reach
        the weights of highest likelihood.

        Args:
            X: [N, I].
            y: [N].
            epochs: How many; None for the parameter ``epochs``.
        """
        check_is_fitted(self)
        self._check_parameters()
        bits, number = self._training_data(X, y, first=False)
        total = self.epochs if epochs is None else epochs
        for epoch in range(total):
            self._epoch(bits, number, self.learning_rate * (1 - epoch / total), swaps=False)
        self._publish()
        return self

    def _begin(self, bits: structure.Bits, number: structure.Ints) -> None:
        """One-shot learning: draw the edges."""
        self._prepare(bits.shape[1])
        self._variation.see(bits, number)
        classes, votes = len(self.classes_), self.objective == "votes"
        room = self.max_edges
        if not votes:
            self._edge_set = likelihood.base_edges(bits.shape[1], classes, bits, number)
            room -= len(self._edge_set)
        anchors = structure.balanced_anchors(
            number, classes, max(0, room), self.edges_per_example, self._rng
        )
        drawn = self._draw(bits, number, anchors)
        drawn.weights = drawn.balanced_copies() if votes else np.zeros(len(drawn))
        self._edge_set = self._edge_set.merged(drawn)
        if votes:
            self._rescale(bits)
        if self.epochs and votes:
            self._edge_set.open_scores(self._rng)
        self._calibrate(bits, np.arange(len(bits)))
        self.n_iter_ = 0

    def _continue(
        self, bits: structure.Bits, number: structure.Ints, on_progress: Progress | None
    ) -> Self:
        began = time.perf_counter()

        def report(stage: str, updates: float, replaced: int) -> bool:
            self._publish()
            if on_progress is None:
                return False
            info = {
                "epoch": self.n_iter_,
                "epochs": self.epochs,
                "stage": stage,
                "updates": updates,
                "edges": len(self._edge_set),
                "replaced": replaced,
                "samples": len(bits),
                "seconds": time.perf_counter() - began,
            }
            return on_progress(info) is True

        stop = self.n_iter_ == 0 and report("one-shot", 0.0, 0)
        while self.n_iter_ < self.epochs and not stop:
            rate = self.learning_rate * (1 - self.n_iter_ / self.epochs)
            updates = self._epoch(bits, number, rate, swaps=True)
            self.n_iter_ += 1
            replaced = 0
            if self.n_iter_ <= (1 - SETTLING) * self.epochs:
                replaced = self._replace(bits, number)
            elif self.n_iter_ == self.epochs:
                self._finish(bits)
            stop = report("learn", updates / len(bits), replaced)
        self._publish()
        return self

    def _finish(self, bits: structure.Bits) -> None:
        """Remove what has no say; see how to recall with what is left."""
        if self.objective == "votes":
            self._edge_set = self._edge_set.take(np.nonzero(self._edge_set.weights > 0)[0])
        self._calibrate(bits, np.arange(len(bits)))

    def _epoch(
        self, bits: structure.Bits, number: structure.Ints, rate: float, *, swaps: bool
    ) -> int:
        """Look at every example once; return how many were corrected."""
        updates = 0
        for rows in self._batches(len(bits)):
            if self.objective == "votes":
                settings = Correction(
                    rate, self.noise, swaps and self._edge_set.scores is not None, self._varies()
                )
                updates += correct(self._edge_set, bits[rows], number[rows], settings, self._rng)
            else:
                updates += self._ascend(bits[rows], number[rows], rate)
        return updates

    def _ascend(self, x: structure.Bits, y: structure.Ints, rate: float) -> int:
        """One step up the likelihood; return how many examples were not regenerated whole."""
        edge_set = self._edge_set
        if edge_set.variables <= likelihood.EXACT_GRADIENT_VARIABLES:
            gradient, changed = likelihood.exact_gradient(edge_set, x, y), len(x)
        else:
            seed = int(self._rng.integers(2**63))
            gradient, x_hat = likelihood.contrastive_gradient(edge_set, x, y, self.cd_sweeps, seed)
            changed = int((x != x_hat).any(axis=1).sum())
        edge_set.weights = edge_set.weights + ASCENT * rate * len(x) ** 0.5 * gradient
        return changed

    def _batches(self, samples: int) -> list[structure.Ints]:
        order = self._rng.permutation(samples)
        return [order[i : i + self.batch_size] for i in range(0, samples, self.batch_size)]

    def _replace(self, bits: structure.Bits, number: structure.Ints) -> int:
        """Replace the weakest edges of every class by parts of what is still got wrong."""
        edge_set = self._edge_set
        bounds, votes = edge_set.bounds(), self.objective == "votes"
        strength = edge_set.weights if votes else np.abs(edge_set.weights)
        fixed = edge_set.sources[:, 0] < 0 if not votes else np.zeros(len(edge_set), bool)
        strength = np.where(fixed, np.inf, strength)
        rows = self._rng.permutation(len(bits))[: max(self.batch_size, 8192)]
        wrong, likeness = self._not_regenerated(bits[rows], number[rows])
        gone: list[structure.Ints] = []
        anchors: list[structure.Ints] = []
        for label in range(edge_set.classes):
            own = strength[bounds[label] : bounds[label + 1]]
            count = int(self.replace * np.isfinite(own).sum())
            pool = rows[wrong & (number[rows] == label)]
            pool = pool if len(pool) else np.nonzero(number == label)[0]
            if count and len(pool):
                gone.append(bounds[label] + np.argsort(own, kind="stable")[:count])
                anchors.append(self._rng.choice(pool, count))
        if not gone:
            return 0
        shares = structure.order_shares(edge_set, self._orders())
        fresh = self._draw(bits, number, np.concatenate(anchors), shares, likeness)
        if votes:
            live = edge_set.weights[edge_set.weights > 0]
            fresh.weights[:] = 0.5 * (np.median(live) if len(live) else 1.0)
            fresh.spread[:] = edge_set.spread.mean()
            fresh.age[:] = edge_set.age.max()
            fresh.second[:] = edge_set.second.mean()
            if edge_set.scores is not None:
                fresh.open_scores(self._rng)
        else:
            fresh.weights[:] = 0.0
        kept = np.ones(len(edge_set), bool)
        kept[np.concatenate(gone)] = False
        self._edge_set = edge_set.take(np.nonzero(kept)[0]).merged(fresh)
        return len(fresh)

    def _not_regenerated(
        self, x: structure.Bits, y: structure.Ints
    ) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Which examples the model gets wrong, and how likely a variable is taken for new edges."""
        chances = self._variation.chances()
        if self.objective == "votes":
            return class_votes(x, self._edge_set).argmax(axis=1) != y, chances
        chains = likelihood.Chains(self._edge_set, int(self._rng.integers(2**63)))
        x_hat, _ = chains.run(x, 1, y=y)
        differ = x != x_hat
        return differ.any(axis=1), chances * (differ.mean(axis=0) + 1e-3)

    def _stream(self, bits: structure.Bits, number: structure.Ints) -> None:
        """Remember a batch and learn from it once."""
        votes, classes = self.objective == "votes", len(self.classes_)
        if len(self._edge_set) and len(bits) >= CALIBRATION_ROWS:
            self._calibrate(bits, None)  # on examples that no edge has seen
        first = self._variation.classes.sum() == 0
        self._variation.see(bits, number)
        if first and not votes:
            self._edge_set = likelihood.base_edges(bits.shape[1], classes, bits, number)
        wrong = np.ones(len(bits), bool)
        if len(self._edge_set) and votes:
            wrong = class_votes(bits, self._edge_set).argmax(axis=1) != number
        self._remember(bits, number, wrong)
        if votes and not self.epochs:
            self._edge_set.weights = self._edge_set.balanced_copies()
            self._rescale(bits)
        if self.epochs:
            if votes:
                self._edge_set.open_scores(self._rng)
            # the mean over fewer examples is noisier in proportion to 1 / sqrt(N)
            caution = min(1.0, (len(bits) / STREAM_BATCH) ** 0.5)
            self._epoch(bits, number, self.learning_rate * caution, swaps=True)
        if first:
            self._calibrate(bits, np.arange(len(bits)))
        self._edge_set.sources[self._edge_set.sources >= 0] = np.iinfo(np.int64).max
        self.n_iter_ = getattr(self, "n_iter_", 0) + 1

    def _remember(
        self, bits: structure.Bits, number: structure.Ints, wrong: NDArray[np.bool_]
    ) -> None:
        """Draw edges from a batch, class by class; in a full class others leave for them."""
        share, rest = divmod(self.max_edges, len(self.classes_))
        kept = np.ones(len(self._edge_set), bool)
        anchors = []
        for label in np.unique(number):
            capacity = share + int(label < rest)
            own = np.nonzero(self._edge_set.labels == label)[0]
            rows = self._rng.permutation(np.nonzero(number == label)[0])
            room = max(0, capacity - len(own))
            count = min(room, len(rows) * self.edges_per_example)
            chosen = np.resize(rows, count)
            leaving = self._leaving(own)
            if count == room and len(leaving):
                # A fair share of the room for each example; once edges are corrected, only for
                # those that are got wrong.
                asking = rows[wrong[rows]] if self.epochs else rows
                fair = min(self.edges_per_example, capacity / self._variation.classes[label])
                more = int(fair * len(asking) + self._rng.random())
                more = min(more, len(leaving), capacity)
                chosen = np.concatenate([chosen, np.resize(asking, more)])
                kept[leaving[:more]] = False
            anchors.append(chosen)
        drawn_from = np.concatenate(anchors).astype(np.int64)
        if not len(drawn_from):
            return
        shares = structure.order_shares(self._edge_set, self._orders())
        fresh = self._draw(bits, number, drawn_from, shares)
        before = self._edge_set.weights.sum()
        stay = self._edge_set.take(np.nonzero(kept)[0])
        grows = kept.all()
        if self.objective == "votes":
            fresh.weights[:] = stay.weights.mean() * (1.0 if grows else 0.5) if len(stay) else 1.0
        else:
            fresh.weights[:] = 0.0
        if self._edge_set.scores is not None:
            fresh.open_scores(self._rng)
        self._edge_set = stay.merged(fresh)
        if grows and self.objective == "votes":
            mass = max(before, CLASS_MASS * len(np.unique(self._edge_set.labels)))
            self._edge_set.weights *= mass / self._edge_set.weights.sum()

    def _leaving(self, own: structure.Ints) -> structure.Ints:
        """The edges ``own`` of a class in the order in which they make room for new ones."""
        if self.objective == "likelihood":
            own = own[self._edge_set.sources[own, 0] >= 0]  # orders 0 and 1 stay
        if not self.epochs:
            return self._rng.permutation(own)
        strength = np.abs(self._edge_set.weights[own])
        return np.asarray(own[np.argsort(strength, kind="stable")])

    def _draw(
        self,
        bits: structure.Bits,
        number: structure.Ints,
        anchors: structure.Ints,
        shares: structure.Doubles | None = None,
        chances: structure.Doubles | None = None,
    ) -> EdgeSet:
        chances = self._variation.chances() if chances is None else chances
        if self.draw == "common":
            return structure.draw_common(
                bits,
                number,
                anchors,
                self._varies(),
                self._tolerance(),
                len(self.classes_),
                self._rng,
            )
        choices = self._orders()
        orders = self._rng.choice(choices, len(anchors), p=shares)
        random = self._rng.random(len(anchors)) < self.random_edges
        parts = [
            structure.draw(
                bits, number, anchors[which], orders[which], chances, self._tolerance(),
                len(self.classes_), self._rng, random_values=values,
            )
            for which, values in ((~random, False), (random, True))
            if which.any()
        ]  # fmt: skip
        empty = EdgeSet.empty(bits.shape[1], len(self.classes_))
        for part in parts:
            empty = empty.merged(part)
        return empty

    def _tolerance(self) -> float:
        return self.tolerance if self.objective == "votes" else 0

    def _orders(self) -> structure.Ints:
        varying = int(self._varies().sum())
        if self.objective == "likelihood" and self.orders is None:
            return np.asarray(np.minimum([2, 3], varying), np.int64)
        return structure.orders_for(self.orders, varying)

    def _rescale(self, bits: structure.Bits) -> None:
        """Give the one-shot weights the size at which votes read as logits."""
        self._edge_set.weights *= vote_scale(class_votes(bits[:4096], self._edge_set))

    def _calibrate(self, bits: structure.Bits, sources: structure.Ints | None) -> None:
        rng = np.random.default_rng(int(self._rng.integers(2**63)))
        found = calibrate(self._edge_set, bits, rng, sources)
        if found is not None:
            self._recall_grade = found

    def _training_data(
        self, X: Any, y: Any, *, first: bool, keep_classes: bool = False
    ) -> tuple[structure.Bits, structure.Ints]:
        X, y = validate_data(
            self, X, y, accept_sparse="csr", dtype="numeric", reset=first, ensure_min_features=1
        )
        check_classification_targets(y)
        if first and not keep_classes:
            self.classes_ = np.unique(y)
        return self._bits(X), self._label_numbers(y, X.shape[0])
