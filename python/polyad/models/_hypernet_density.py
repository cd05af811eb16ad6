"""The hypernet as a probability model: log P, log Z and samples."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from polyad import _arrays as arrays
from polyad.models import _hypernet_likelihood as likelihood
from polyad.models._hypernet_base import HypernetBase


class Density(HypernetBase):
    """log_prob, log_partition and sample."""

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
