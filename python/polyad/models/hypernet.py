"""The hypernet: a classifier, an associative memory and a probability model made of hyperedges."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from polyad import _arrays as arrays
from polyad.models import _hypernet_likelihood as likelihood
from polyad.models import _hypernet_structure as structure
from polyad.models._hypernet_correction import Correction, class_votes, correct, vote_scale
from polyad.models._hypernet_explain import Explanation, explain
from polyad.models._hypernet_recall import calibrate, fill_step_by_step, vote_shares
from polyad.models._hypernet_structure import EdgeSet, Variation
from polyad.ops.hypernet import match

if TYPE_CHECKING:
    import xgi

__all__ = ["Hypernet"]

Progress = Callable[[Mapping[str, Any]], Any]
OBJECTIVES = ("votes", "likelihood")
SETTLING = 0.3
"""The share of the epochs, at the end, in which no edge is replaced: what is there settles."""
PRIOR_VOTE = 1e-6
"""Weight of the class frequencies beside the votes: they only decide when no edge votes."""
ASCENT = 3.0
"""A step up the likelihood is ASCENT * rate * sqrt(N) times the mean gradient of N examples: the
noise of a step then does not depend on N."""
ROW_BLOCK = 8192


class Hypernet(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier of weighted, labelled hyperedges over binary variables.

    P(x, y) proportional to exp( sum_i w_i phi_i(x) 1[y = y_i] ),
    phi_i(x) = 1 if at most t_i literals of edge i differ from x

    Edges are drawn from examples (one-shot: each is a remembered part of one example), then
    corrected on the examples they get wrong: weights move, single literals are swapped, the weakest
    edges are replaced by parts of misclassified examples. The same edges complete partly hidden
    examples (`recall`).

    Args:
        binarize: x > binarize counts as 1. None: the input must be 0 or 1 already.
        objective: 'votes', online error correction, weights >= 0; or 'likelihood', contrastive
            divergence on log P(x, y), weights of either sign, exact matches (``tolerance`` does not
            apply) and orders 1 to 3 unless given: then `log_prob` and `sample` work as well.
        draw: What an edge is when it is drawn: 'parts', some variables of one example; 'common',
            all that an example has in common with two others near it, of its class (best for
            `recall`).
        orders: For 'parts': how many literals an edge has: an int or several, among which new edges
            choose by what edges of each order have earned; 'all' for whole examples; None for a
            mixture that suits the number of variables.
        tolerance: Literals that may differ: an int, or a share (a float below 1) of the order.
        edges_per_example: At most so many edges are drawn from one example.
        max_edges: At most so many edges are kept.
        epochs: Passes of error correction over the training data; 0: one-shot learning only.
        learning_rate: Step size at the first epoch; it falls linearly to 0.
        batch_size: Examples corrected at a time.
        replace: The share of edges replaced by new ones in an epoch.
        noise: Chance that a bit of a training example is flipped while edges are corrected.
        random_edges: The share of edges that ask for random values instead of an example's.
        cd_sweeps: Gibbs sweeps of contrastive divergence.
        random_state: Seed, generator or None.

    Attributes:
        classes_: [C], the labels.
        n_features_in_: I.
        edges_: `polyad.Hyperedges`, edges in the order of their labels.
        weights_: float32 [E] ('votes') or float64 [E] ('likelihood').
        labels_: int32 [E], positions in ``classes_``.
        tolerances_: int32 [E].
        n_iter_: Epochs done.

    >>> from sklearn.datasets import load_digits
    >>> x, y = load_digits(return_X_y=True)
    >>> net = Hypernet(binarize=7.5, random_state=0).fit(x[:1200], y[:1200])
    >>> net.score(x[1200:], y[1200:]) > 0.85
    True
    """

    _recall_grade: tuple[float, float]
    _log_partition: float | None

    def __init__(
        self,
        *,
        binarize: float | None = 0.0,
        objective: str = "votes",
        draw: str = "parts",
        orders: Any = None,
        tolerance: float = 0.15,
        edges_per_example: int = 20,
        max_edges: int = 4000,
        epochs: int = 30,
        learning_rate: float = 0.02,
        batch_size: int = 512,
        replace: float = 0.05,
        noise: float = 0.03,
        random_edges: float = 0.0,
        cd_sweeps: int = 1,
        random_state: Any = None,
    ) -> None:
        self.binarize = binarize
        self.objective = objective
        self.draw = draw
        self.orders = orders
        self.tolerance = tolerance
        self.edges_per_example = edges_per_example
        self.max_edges = max_edges
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.replace = replace
        self.noise = noise
        self.random_edges = random_edges
        self.cd_sweeps = cd_sweeps
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    # --- learning --------------------------------------------------------------------------------

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
        if len(self._edge_set):
            self._calibrate(bits, None)  # on examples that no edge has seen
        first = self._variation.classes.sum() == 0
        self._variation.see(bits, number)
        if first and not votes:
            self._edge_set = likelihood.base_edges(bits.shape[1], classes, bits, number)
        wrong = np.ones(len(bits), bool)
        if len(self._edge_set) and votes:
            wrong = class_votes(bits, self._edge_set).argmax(axis=1) != number
        self._make_room(bits, number, wrong)
        if votes and (first or not self.epochs):
            self._edge_set.weights = self._edge_set.balanced_copies()
            self._rescale(bits)
        if self.epochs:
            if votes:
                self._edge_set.open_scores(self._rng)
            self._epoch(bits, number, self.learning_rate, swaps=True)
        if first:
            self._calibrate(bits, np.arange(len(bits)))
        self._edge_set.sources[self._edge_set.sources >= 0] = np.iinfo(np.int64).max
        self.n_iter_ = getattr(self, "n_iter_", 0) + 1

    def _make_room(
        self, bits: structure.Bits, number: structure.Ints, wrong: NDArray[np.bool_]
    ) -> None:
        """Add edges of a batch class by class; in a full class the weakest leave."""
        votes = self.objective == "votes"
        capacity = max(1, self.max_edges // len(self.classes_))
        drawn = []
        for label in range(len(self.classes_)):
            rows = np.nonzero(number == label)[0]
            bounds = self._edge_set.bounds()
            have = int(bounds[label + 1] - bounds[label])
            want = min(len(rows) * self.edges_per_example, capacity)
            if have + want > capacity:
                full = max(0, capacity - have)
                seen = max(1.0, self._variation.classes[label])
                # learning replaces a share; remembering keeps a fair sample of all examples so far
                fair = self.replace if self.epochs else min(1.0, len(rows) / seen)
                want = min(want, full + int(np.ceil(fair * capacity)))
                leave = max(0, have + want - capacity)
                own = np.arange(bounds[label], bounds[label + 1])
                movable = own[self._edge_set.sources[own, 0] >= 0] if not votes else own
                leave = min(leave, len(movable))
                strength = np.abs(self._edge_set.weights[movable])
                if not self.epochs:
                    strength = self._rng.random(len(movable))
                gone = movable[np.argsort(strength, kind="stable")[:leave]]
                kept = np.ones(len(self._edge_set), bool)
                kept[gone] = False
                self._edge_set = self._edge_set.take(np.nonzero(kept)[0])
                want = min(want, capacity - have + leave)
            order = self._rng.permutation(len(rows))
            order = order[np.argsort(~wrong[rows][order], kind="stable")] if self.epochs else order
            if want > 0 and len(rows):
                drawn.append(np.resize(rows[order], want))
        if not drawn:
            return
        shares = structure.order_shares(self._edge_set, self._orders())
        fresh = self._draw(bits, number, np.concatenate(drawn), shares)
        live = self._edge_set.weights[self._edge_set.weights > 0]
        fresh.weights[:] = (0.5 * np.median(live) if len(live) else 1.0) if votes else 0.0
        if self._edge_set.scores is not None:
            fresh.open_scores(self._rng)
        self._edge_set = self._edge_set.merged(fresh)

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

    def _varies(self) -> NDArray[np.bool_]:
        return np.asarray(self._variation.chances() > 0)

    def _rescale(self, bits: structure.Bits) -> None:
        """Give the one-shot weights the size at which votes read as logits."""
        self._edge_set.weights *= vote_scale(class_votes(bits[:4096], self._edge_set))

    def _calibrate(self, bits: structure.Bits, sources: structure.Ints | None) -> None:
        rng = np.random.default_rng(int(self._rng.integers(2**63)))
        found = calibrate(self._edge_set, bits, rng, sources)
        if found is not None:
            self._recall_grade = found

    def _prior(self) -> structure.Doubles:
        return np.asarray((self._variation.ones + 0.5) / (self._variation.classes.sum() + 1))

    def _prepare(self, variables: int) -> None:
        """Forget everything."""
        seed = self.random_state
        if isinstance(seed, np.random.RandomState):
            seed = int(seed.randint(2**31 - 1))
        elif seed is not None and not isinstance(seed, np.random.Generator):
            seed = int(seed)
        self._rng = np.random.default_rng(seed)
        self._variation = Variation.none(variables, len(self.classes_))
        self._edge_set = EdgeSet.empty(variables, len(self.classes_))
        self._recall_grade = (1.5, 0.0)
        self.n_iter_ = 0

    def _publish(self) -> None:
        """Show what was learned."""
        edge_set = self._edge_set
        kind = np.float32 if self.objective == "votes" else np.float64
        self.edges_ = edge_set.edges
        self.weights_ = edge_set.weights.astype(kind)
        self.labels_ = edge_set.labels
        self.tolerances_ = edge_set.tolerances
        self._plan = edge_set.edges.plan(labels=edge_set.labels, num_classes=edge_set.classes)
        self._log_partition = None

    @property
    def order_distribution_(self) -> dict[int, float]:
        """The share of the edges that has each order."""
        found, counts = np.unique(self.edges_.sizes, return_counts=True)
        return {int(k): float(n / counts.sum()) for k, n in zip(found, counts, strict=True)}

    # --- classification --------------------------------------------------------------------------

    def votes(self, X: Any) -> NDArray[Any]:
        """Return the votes of every class: votes[n, c] = sum_i w_i phi_i(x_n) 1[y_i = c].

        Args:
            X: [N, I].

        Returns:
            [N, C]; softmax of it is P(y | x).
        """
        check_is_fitted(self)
        bits = self._input(X)
        from polyad.ops.hypernet import votes

        counts = np.asarray(votes(bits, self._plan, self.weights_, tolerance=self.tolerances_))
        share = self._variation.classes / max(1.0, self._variation.classes.sum())
        return np.asarray(counts + (PRIOR_VOTE * share).astype(counts.dtype))

    def decision_function(self, X: Any) -> NDArray[Any]:
        """Return the votes [N, C]; for two classes the lead of the second one, [N].

        Args:
            X: [N, I].
        """
        votes = self.votes(X)
        return votes[:, 1] - votes[:, 0] if votes.shape[1] == 2 else votes

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the class with the most votes, [N].

        Args:
            X: [N, I].
        """
        best = self.votes(X).argmax(axis=1)
        return np.asarray(self.classes_[best])

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return P(y | x) = softmax of the votes, [N, C].

        Args:
            X: [N, I].
        """
        votes = self.votes(X).astype(np.float64)
        chance = np.exp(votes - votes.max(axis=1, keepdims=True))
        return np.asarray(chance / chance.sum(axis=1, keepdims=True))

    def explain(self, x: Any, *, top: int = 10) -> Explanation:
        """Say which edges decided about one example.

        Args:
            x: [I] or [1, I].
            top: The edges with the largest weights, at most so many.

        Returns:
            The label, the votes of every class and the matching edges, strongest first.
        """
        check_is_fitted(self)
        row = x if hasattr(x, "iloc") and x.ndim == 2 else np.reshape(np.asarray(x), (1, -1))
        bits = self._input(row)
        if len(bits) != 1:
            raise ValueError(f"x: expected one example, got {len(bits)}")
        names = getattr(self, "feature_names_in_", None)
        hits = np.asarray(match(bits, self.edges_, tolerance=self.tolerances_))[0]
        return explain(
            bits[0], hits, self.edges_, self.weights_, self.labels_, self.tolerances_,
            self.classes_, self.votes(row)[0], names, top,
        )  # fmt: skip

    # --- memory ----------------------------------------------------------------------------------

    def recall(
        self,
        X: Any,
        mask: Any,
        *,
        y: Any = None,
        method: str | None = None,
        fill: str = "once",
        sweeps: int = 100,
        random_state: Any = 0,
    ) -> NDArray[np.uint8]:
        """Complete examples of which only a part is observed.

        Args:
            X: [N, I]; any value, also NaN, where ``mask`` is False.
            mask: bool [N, I] or [I], True = observed.
            y: [N] labels or one label, if known: then only edges of that class speak.
            method: 'votes' (both objectives), 'gibbs' (objective 'likelihood' only); None: 'gibbs'
                for 'likelihood', else 'votes'.
            fill: 'once': every unknown from one vote; 'iterative': the most confident first, which
                then count as observed (method 'votes').
            sweeps: Gibbs sweeps; the second half is averaged.
            random_state: Seed of the Gibbs chains.

        Returns:
            uint8 [N, I]: observed variables as they are, the others completed.
        """
        if fill not in ("once", "iterative"):
            raise ValueError(f"fill: expected 'once' or 'iterative', got {fill!r}")
        bits, observed, labels, how = self._cue(X, mask, y, method)
        if how == "gibbs":
            shares = self._gibbs_shares(bits, observed, labels, sweeps, random_state)
        elif fill == "iterative":
            return fill_step_by_step(
                lambda x, seen: self._shares(x, seen, labels), bits, observed, 8, None
            )
        else:
            shares = self._shares(bits, observed, labels)
        return np.where(observed, bits, shares > 0.5).astype(np.uint8)

    def recall_proba(
        self,
        X: Any,
        mask: Any,
        *,
        y: Any = None,
        method: str | None = None,
        sweeps: int = 100,
        random_state: Any = 0,
    ) -> NDArray[np.float32]:
        """Return how much speaks for value 1 of every variable, given the observed ones.

        Args:
            X: As in `recall`.
            mask: As in `recall`.
            y: As in `recall`.
            method: As in `recall`.
            sweeps: As in `recall`.
            random_state: As in `recall`.

        Returns:
            float32 [N, I]; observed variables as they are.
        """
        bits, observed, labels, how = self._cue(X, mask, y, method)
        if how == "gibbs":
            shares = self._gibbs_shares(bits, observed, labels, sweeps, random_state)
        else:
            shares = self._shares(bits, observed, labels)
        return np.where(observed, bits, shares).astype(np.float32)

    def recall_label(
        self, label: Any, *, n: int = 1, random_state: Any = None
    ) -> NDArray[np.uint8]:
        """Recall examples from a label alone.

        By voting: variables are drawn in rounds, the most certain first, each round given those
        before. With objective 'likelihood': Gibbs sampling given the label.

        Args:
            label: One of ``classes_``.
            n: How many.
            random_state: Seed.

        Returns:
            uint8 [n, I].
        """
        check_is_fitted(self)
        n = arrays.require_int("n", n, 1)
        number = self._label_numbers(label, n)
        rng = np.random.default_rng(random_state)
        if self.objective == "likelihood":
            chains = likelihood.Chains(self._edge_set, int(rng.integers(2**63)))
            start = rng.integers(0, 2, (n, self.n_features_in_)).astype(np.uint8)
            return chains.run(start, 100, y=number)[0]
        nothing = np.zeros((n, self.n_features_in_), bool)
        return fill_step_by_step(
            lambda x, seen: self._shares(x, seen, number),
            nothing.astype(np.uint8),
            nothing,
            16,
            rng,
        )

    def _cue(
        self, X: Any, mask: Any, y: Any, method: str | None
    ) -> tuple[structure.Bits, NDArray[np.bool_], structure.Ints | None, str]:
        check_is_fitted(self)
        allowed = ("votes", "gibbs") if self.objective == "likelihood" else ("votes",)
        method = method or allowed[-1]
        if method not in ("votes", "gibbs"):
            raise ValueError(f"method: expected 'votes' or 'gibbs', got {method!r}")
        if method not in allowed:
            raise ValueError(
                "method: 'gibbs' needs a probability model; use method='votes', or fit "
                "Hypernet(objective='likelihood')"
            )
        observed = np.asarray(mask)
        if observed.dtype != np.bool_:
            raise TypeError(f"mask: expected bool, got {observed.dtype}")
        X = np.asarray(X.toarray() if hasattr(X, "toarray") else X)
        if X.ndim != 2 or X.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X: expected [N, I] = [N, {self.n_features_in_}], got {list(X.shape)}"
            )
        if observed.ndim == 1:
            observed = np.broadcast_to(observed, (len(X), len(observed)))
        arrays.require_shape("mask", observed, "N I", list(X.shape))
        known = np.where(observed, X, 0)
        if known.dtype.kind == "f" and not np.isfinite(known).all():
            raise ValueError("X: expected finite values where mask is True")
        bits = np.where(observed, self._bits(known), 0).astype(np.uint8)
        labels = None if y is None else self._label_numbers(y, len(X))
        return bits, observed, labels, method

    def _shares(
        self, bits: structure.Bits, observed: NDArray[np.bool_], labels: structure.Ints | None
    ) -> NDArray[np.float32]:
        return vote_shares(
            self._edge_set, bits, observed, self._prior(), *self._recall_grade, labels=labels
        )

    def _gibbs_shares(
        self,
        bits: structure.Bits,
        observed: NDArray[np.bool_],
        labels: structure.Ints | None,
        sweeps: int,
        random_state: Any,
    ) -> NDArray[np.float32]:
        sweeps = arrays.require_int("sweeps", sweeps, 2)
        rng = np.random.default_rng(random_state)
        chains = likelihood.Chains(self._edge_set, int(rng.integers(2**63)))
        guess = (rng.random(bits.shape) < self._prior()).astype(np.uint8)
        x = np.where(observed, bits, guess).astype(np.uint8)
        x, _ = chains.run(x, sweeps // 2, y=labels, observed=observed)
        total = np.zeros(x.shape, np.float32)
        for _ in range(sweeps - sweeps // 2):
            x, _ = chains.run(x, 1, y=labels, observed=observed)
            total += x
        return total / np.float32(sweeps - sweeps // 2)

    def _label_numbers(self, y: Any, count: int) -> structure.Ints:
        labels = np.asarray(y)
        labels = np.full(count, labels) if labels.ndim == 0 else labels
        arrays.require_shape("y", labels, "N", [count])
        number = np.searchsorted(self.classes_, labels)
        number = np.minimum(number, len(self.classes_) - 1)
        wrong = self.classes_[number] != labels
        if wrong.any():
            raise ValueError(
                f"y: expected labels among {self.classes_.tolist()}, got {labels[wrong][0]}"
            )
        return number.astype(np.int64)

    # --- probability -----------------------------------------------------------------------------

    def log_prob(
        self, X: Any, y: Any = None, *, chains: int = 256, steps: int = 1000, random_state: Any = 0
    ) -> NDArray[np.float64]:
        """Return log P(x, y), or log P(x) if ``y`` is None, [N].

        log Z is exact for I <= 20, by annealed importance sampling beyond.

        Args:
            X: [N, I].
            y: [N] labels or None.
            chains: Chains of the sampling.
            steps: Its intermediate distributions.
            random_state: Its seed.

        Raises:
            ValueError: The objective is not 'likelihood'.
        """
        self._require_likelihood("log_prob")
        scores = likelihood.log_weights(self._input(X), self._edge_set)
        log_z = self.log_partition(chains=chains, steps=steps, random_state=random_state)
        if y is None:
            return np.asarray(likelihood.log_sum(scores, axis=1) - log_z)
        number = self._label_numbers(y, len(scores))
        return np.asarray(scores[np.arange(len(scores)), number] - log_z)

    def log_partition(
        self, *, chains: int = 256, steps: int = 1000, random_state: Any = 0
    ) -> float:
        """Return log Z: exact for I <= 20, by annealed importance sampling beyond.

        Args:
            chains: Chains of the sampling.
            steps: Its intermediate distributions.
            random_state: Its seed.

        Raises:
            ValueError: The objective is not 'likelihood'.
        """
        self._require_likelihood("log_partition")
        if self.n_features_in_ <= likelihood.EXACT_VARIABLES:
            if self._log_partition is None:
                self._log_partition = likelihood.exact_log_partition(self._edge_set)
            return self._log_partition
        chains = arrays.require_int("chains", chains, 1)
        steps = arrays.require_int("steps", steps, 1)
        return likelihood.annealed_log_partition(self._edge_set, chains, steps, random_state)

    def sample(
        self, n_samples: int = 1, *, sweeps: int = 200, random_state: Any = 0
    ) -> tuple[NDArray[np.uint8], NDArray[Any]]:
        """Draw (x, y) from the model: the final states of independent Gibbs chains.

        Args:
            n_samples: How many.
            sweeps: Gibbs sweeps of every chain.
            random_state: Seed.

        Returns:
            uint8 [n_samples, I] and labels [n_samples].

        Raises:
            ValueError: The objective is not 'likelihood'.
        """
        self._require_likelihood("sample")
        n_samples = arrays.require_int("n_samples", n_samples, 1)
        sweeps = arrays.require_int("sweeps", sweeps, 1)
        rng = np.random.default_rng(random_state)
        start = rng.integers(0, 2, (n_samples, self.n_features_in_)).astype(np.uint8)
        chains = likelihood.Chains(self._edge_set, int(rng.integers(2**63)))
        x, number = chains.run(start, sweeps)
        return x, np.asarray(self.classes_[number])

    def _require_likelihood(self, name: str) -> None:
        check_is_fitted(self)
        if self.objective != "likelihood":
            raise ValueError(
                f"{name}: a model with objective='votes' has no normalised probability of x; fit "
                "Hypernet(objective='likelihood') (predict_proba gives P(y | x) with both)"
            )

    # --- exchange --------------------------------------------------------------------------------

    @classmethod
    def from_edges(
        cls,
        edges: Any,
        weights: Any,
        labels: Any = None,
        *,
        n_features: int | None = None,
        classes: Any = None,
        tolerances: Any = 0,
        feature_names: Any = None,
        **parameters: Any,
    ) -> Hypernet:
        """Make a model from given edges, to predict with, or to `reweight`.

        Args:
            edges: `polyad.Hyperedges`.
            weights: [E].
            labels: [E], the label of each edge; None: one class for all.
            n_features: I; None: as many as the edges use.
            classes: All labels; None: those in ``labels``.
            tolerances: int or int [E].
            feature_names: [I] names or None.
            **parameters: Of the constructor.
        """
        here = edges.numpy()
        count = len(here)
        weights = np.asarray(weights, np.float64)
        arrays.require_shape("weights", weights, "E", [count])
        arrays.require_finite("weights", weights)
        labels = np.zeros(count, np.int64) if labels is None else np.asarray(labels)
        arrays.require_shape("labels", labels, "E", [count])
        net = cls(**parameters)
        net._check_parameters()
        net.classes_ = np.unique(labels if classes is None else np.asarray(classes))
        net.n_features_in_ = here.num_variables if n_features is None else n_features
        arrays.require_int("n_features", net.n_features_in_, here.num_variables)
        if feature_names is not None:
            net.feature_names_in_ = np.asarray(feature_names, dtype=object)
        net._prepare(net.n_features_in_)
        values = np.ones(len(here.indices), np.uint8) if here.values is None else here.values
        number = net._label_numbers(labels, count)
        allowed = np.broadcast_to(np.asarray(tolerances), (count,)).astype(np.int32)
        given = EdgeSet(
            type(here)(here.indices, here.offsets, values),
            number.astype(np.int32),
            allowed,
            weights,
            net.n_features_in_,
            len(net.classes_),
            np.ones(count, np.int64),
            structure.sources_of(np.full(count, -1)),
        )
        net._edge_set = given.take(np.argsort(number, kind="stable"))
        net._publish()
        return net

    def to_xgi(self) -> xgi.Hypergraph:
        """Return the edges as an ``xgi.Hypergraph`` with weight, label, tolerance, values.

        Nodes are the features, by name where there are names, else by number.

        Raises:
            ImportError: xgi is missing.
        """
        check_is_fitted(self)
        from polyad.models._hypernet_graph import to_xgi

        return to_xgi(self)

    @classmethod
    def from_xgi(cls, graph: xgi.Hypergraph, **parameters: Any) -> Hypernet:
        """Make a model from an ``xgi.Hypergraph``.

        Args:
            graph: Any hypergraph; edge attributes 'weight' (1), 'label' (0), 'tolerance' (0) and
                'values' (node -> 0 or 1; 1) are read where there are some.
            **parameters: Of the constructor.

        Raises:
            ImportError: xgi is missing.
        """
        from polyad.models._hypernet_graph import from_xgi

        return from_xgi(graph, **parameters)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to an .npz file with a json header; whole or not at all.

        What is saved in the middle of `fit` continues with `resume`.

        Args:
            path: The file.
        """
        check_is_fitted(self)
        from polyad.models._hypernet_files import save

        save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Hypernet:
        """Read what `save` wrote.

        Args:
            path: The file.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It is no hypernet, or of a newer format.
        """
        from polyad.models._hypernet_files import load

        return load(path)

    # --- input -----------------------------------------------------------------------------------

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

    def _input(self, X: Any) -> structure.Bits:
        return self._bits(validate_data(self, X, accept_sparse="csr", dtype="numeric", reset=False))

    def _bits(self, X: Any) -> structure.Bits:
        """``X`` as 0 and 1, uint8 [N, I]; a part at a time, so that sparse input stays small."""
        bits = np.empty(X.shape, np.uint8)
        for begin in range(0, X.shape[0], ROW_BLOCK):
            rows = X[begin : begin + ROW_BLOCK]
            dense = rows.toarray() if hasattr(rows, "toarray") else rows
            if self.binarize is not None:
                bits[begin : begin + ROW_BLOCK] = dense > self.binarize
                continue
            wrong = (dense != 0) & (dense != 1)
            if wrong.any():
                raise ValueError(
                    f"X: expected 0 and 1 with binarize=None, got {dense[wrong].flat[0]}"
                )
            bits[begin : begin + ROW_BLOCK] = dense
        return bits

    def _check_parameters(self) -> None:
        if self.objective not in OBJECTIVES:
            raise ValueError(f"objective: expected 'votes' or 'likelihood', got {self.objective!r}")
        for name, low in (
            ("edges_per_example", 1), ("max_edges", 1), ("epochs", 0), ("batch_size", 1),
            ("cd_sweeps", 1),
        ):  # fmt: skip
            arrays.require_int(name, getattr(self, name), low)
        for name, high in (("replace", 1.0), ("noise", 0.5), ("random_edges", 1.0)):
            if not 0 <= getattr(self, name) <= high:
                raise ValueError(f"{name}: expected 0 .. {high}, got {getattr(self, name)}")
        if not 0 < self.learning_rate < float("inf"):
            raise ValueError(f"learning_rate: expected a number above 0, got {self.learning_rate}")
        share = isinstance(self.tolerance, float | np.floating)
        if self.tolerance < 0 or (share and self.tolerance >= 1):
            raise ValueError(
                f"tolerance: expected an int >= 0 or a share in [0, 1), got {self.tolerance}"
            )
        if self.draw not in ("parts", "common"):
            raise ValueError(f"draw: expected 'parts' or 'common', got {self.draw!r}")
        if isinstance(self.orders, str):
            if self.orders != "all":
                raise ValueError(f"orders: expected ints, 'all' or None, got {self.orders!r}")
        elif self.orders is not None:
            orders = np.atleast_1d(np.asarray(self.orders))
            if orders.dtype.kind not in "iu" or not len(orders) or orders.min() < 1:
                raise ValueError(f"orders: expected ints of at least 1, got {self.orders!r}")
