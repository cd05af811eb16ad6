"""The hypernet: a classifier, an associative memory and a probability model made of hyperedges."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from polyad import _arrays as arrays
from polyad.models import _hypernet_structure as structure
from polyad.models._hypernet_density import Density
from polyad.models._hypernet_explain import Explanation, explain
from polyad.models._hypernet_learning import Learning
from polyad.models._hypernet_memory import Memory
from polyad.models._hypernet_structure import EdgeSet
from polyad.ops.hypernet import match, votes

if TYPE_CHECKING:
    import xgi

__all__ = ["Hypernet"]

PRIOR_VOTE = 1e-6
"""Weight of the class frequencies beside the votes: they only decide when no edge votes."""


class Hypernet(ClassifierMixin, Learning, Memory, Density):  # type: ignore[misc]
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
            apply), orders 2 and 3 unless given: then `log_prob` and `sample` work as well. Such a
            model always has the C (I + 1) edges of orders 0 and 1, if need be beyond
            ``max_edges``.
        draw: What an edge is when it is drawn: 'parts', some variables of one example; 'common',
            all that an example has in common with two others near it, of its class. That is best
            for `recall` and for one-shot learning (``epochs=0``); edges so long have few literals
            to swap, so correcting them gains less than correcting parts.
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

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def votes(self, X: Any) -> NDArray[Any]:
        """Return the votes of every class: votes[n, c] = sum_i w_i phi_i(x_n) 1[y_i = c].

        Args:
            X: [N, I].

        Returns:
            [N, C]; softmax of it is P(y | x).
        """
        check_is_fitted(self)
        bits = self._input(X)
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
