"""The hypernet as an associative memory: examples from a part of them, or from their label."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from polyad import _arrays as arrays
from polyad.models import _hypernet_likelihood as likelihood
from polyad.models import _hypernet_structure as structure
from polyad.models._hypernet_base import HypernetBase
from polyad.models._hypernet_recall import fill_step_by_step, vote_shares


class Memory(HypernetBase):
    """recall, recall_proba and recall_label."""

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
