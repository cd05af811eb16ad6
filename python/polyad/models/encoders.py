"""Numbers as 0/1 variables, for models that know only those: one or several for each feature."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from polyad import _arrays as arrays

__all__ = ["ThermometerEncoder", "ThresholdEncoder"]


def _names(estimator: Any, input_features: Any) -> list[str]:
    known = getattr(estimator, "feature_names_in_", None)
    if input_features is None:
        if known is not None:
            return [str(name) for name in known]
        return [f"x{j}" for j in range(estimator.n_features_in_)]
    given = [str(name) for name in input_features]
    if known is not None and given != [str(name) for name in known]:
        raise ValueError("input_features is not equal to feature_names_in_")
    if len(given) != estimator.n_features_in_:
        raise ValueError(
            "input_features should have length equal to number of features "
            f"({estimator.n_features_in_}), got {len(given)}"
        )
    return given


class ThresholdEncoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Say of every feature whether it is above a threshold: z_j = 1[x_j > t_j].

    Args:
        threshold: A number for all features; 'mean' or 'median' of each feature in the training
            data.

    Attributes:
        thresholds_: float64 [F].
        n_features_in_: F.

    >>> ThresholdEncoder(2.0).fit_transform([[1, 3], [5, 2]])
    array([[0, 1],
           [1, 0]], dtype=uint8)
    """

    def __init__(self, threshold: float | str = "mean") -> None:
        self.threshold = threshold

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags

    def fit(self, X: Any, y: Any = None) -> Self:
        """Choose the thresholds.

        Args:
            X: [N, F].
            y: Ignored.
        """
        X = validate_data(self, X, dtype="numeric")
        if self.threshold in ("mean", "median"):
            choose = np.mean if self.threshold == "mean" else np.median
            self.thresholds_ = np.asarray(choose(X, axis=0), np.float64)
        elif isinstance(self.threshold, str) or not np.isfinite(self.threshold):
            raise ValueError(
                f"threshold: expected a number, 'mean' or 'median', got {self.threshold!r}"
            )
        else:
            self.thresholds_ = np.full(X.shape[1], float(self.threshold))
        on = np.greater(X, self.thresholds_)
        count = np.maximum(on.sum(axis=0), 1), np.maximum((~on).sum(axis=0), 1)
        self._above = np.where(on.any(axis=0), (X * on).sum(axis=0) / count[0], self.thresholds_)
        self._below = np.where(
            (~on).any(axis=0), (X * ~on).sum(axis=0) / count[1], self.thresholds_
        )
        return self

    def transform(self, X: Any) -> NDArray[np.uint8]:
        """Return uint8 [N, F].

        Args:
            X: [N, F].
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype="numeric", reset=False)
        return np.asarray(np.greater(X, self.thresholds_), np.uint8)

    def inverse_transform(self, Z: Any) -> NDArray[np.float64]:
        """Return, for every bit, the mean of the training values on its side, [N, F].

        Args:
            Z: 0/1 [N, F].
        """
        check_is_fitted(self)
        Z = np.asarray(Z)
        arrays.require_shape("Z", Z, "N F", [None, self.n_features_in_])
        return np.asarray(np.where(Z > 0, self._above, self._below), np.float64)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Return names like 'x3>7.5', [F].

        Args:
            input_features: [F] names of the features, or None.
        """
        check_is_fitted(self)
        names = _names(self, input_features)
        pairs = zip(names, self.thresholds_, strict=True)
        return np.array([f"{name}>{threshold:g}" for name, threshold in pairs], dtype=object)


class ThermometerEncoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Say of every feature which of L levels it reaches: z_{j L + l} = 1[x_j >= t_jl].

    Levels ascend, so that a feature's bits fill up like a thermometer and the Hamming distance of
    two codes counts the levels between two values.

    Args:
        levels: L, levels per feature, spread evenly between the least and the largest training
            value of all features together ('range') or of each feature ('feature').
        thresholds: Levels for all features instead, ascending.
        spread: 'range' or 'feature'.

    Attributes:
        thresholds_: float64 [F, L].
        n_features_in_: F.

    >>> ThermometerEncoder(thresholds=[1, 3]).fit_transform([[0, 5], [2, 3]])
    array([[0, 0, 1, 1],
           [1, 0, 1, 1]], dtype=uint8)
    """

    def __init__(self, levels: int = 8, *, thresholds: Any = None, spread: str = "range") -> None:
        self.levels = levels
        self.thresholds = thresholds
        self.spread = spread

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags

    def fit(self, X: Any, y: Any = None) -> Self:
        """Choose the levels.

        Args:
            X: [N, F].
            y: Ignored.
        """
        X = validate_data(self, X, dtype="numeric")
        features = X.shape[1]
        if self.spread not in ("range", "feature"):
            raise ValueError(f"spread: expected 'range' or 'feature', got {self.spread!r}")
        if self.thresholds is not None:
            given = np.asarray(self.thresholds, np.float64)
            if given.ndim != 1 or not len(given) or not np.isfinite(given).all():
                raise ValueError(
                    f"thresholds: expected finite numbers [L], got {self.thresholds!r}"
                )
            if (np.diff(given) <= 0).any():
                raise ValueError("thresholds: expected ascending numbers")
            self.thresholds_ = np.tile(given, (features, 1))
        else:
            levels = arrays.require_int("levels", self.levels, 1)
            axis = 0 if self.spread == "feature" else None
            low = np.broadcast_to(np.asarray(X.min(axis=axis), np.float64), (features,))
            high = np.broadcast_to(np.asarray(X.max(axis=axis), np.float64), (features,))
            steps = (np.arange(levels) + 0.5) / levels
            self.thresholds_ = low[:, None] * (1 - steps) + high[:, None] * steps
        self._low = np.asarray(X.min(axis=0), np.float64)
        self._high = np.asarray(X.max(axis=0), np.float64)
        return self

    def transform(self, X: Any) -> NDArray[np.uint8]:
        """Return uint8 [N, F * L].

        Args:
            X: [N, F].
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype="numeric", reset=False)
        bits = np.empty((X.shape[0], *self.thresholds_.shape), np.uint8)
        for level in range(self.thresholds_.shape[1]):
            bits[:, :, level] = np.greater_equal(X, self.thresholds_[:, level])
        return bits.reshape(X.shape[0], -1)

    def inverse_transform(self, Z: Any) -> NDArray[np.float64]:
        """Return the middle of the interval that each feature's bits name, [N, F].

        Bits need not be a thermometer: how many of them are 1 counts.

        Args:
            Z: 0/1 [N, F * L].
        """
        check_is_fitted(self)
        Z = np.asarray(Z)
        features, levels = self.thresholds_.shape
        arrays.require_shape("Z", Z, "N F*L", [None, features * levels])
        reached = (Z.reshape(-1, features, levels) > 0).sum(axis=2)
        edges = np.concatenate(
            [
                np.minimum(self._low, self.thresholds_[:, 0])[:, None],
                self.thresholds_,
                np.maximum(self._high, self.thresholds_[:, -1])[:, None],
            ],
            axis=1,
        )
        middle = (edges[:, :-1] + edges[:, 1:]) / 2
        return np.asarray(middle[np.arange(features), reached])

    def expand_mask(self, mask: Any) -> NDArray[np.bool_]:
        """Return the mask of the encoded variables for a mask of features.

        Args:
            mask: bool [F] or [N, F].

        Returns:
            bool [F * L] or [N, F * L].
        """
        check_is_fitted(self)
        mask = np.asarray(mask)
        if mask.dtype != np.bool_:
            raise TypeError(f"mask: expected bool, got {mask.dtype}")
        if mask.shape[-1:] != (self.n_features_in_,):
            raise ValueError(
                f"mask: expected [.., F] = [.., {self.n_features_in_}], got {list(mask.shape)}"
            )
        return np.repeat(mask, self.thresholds_.shape[1], axis=-1)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Return names like 'x3>=7.5', [F * L].

        Args:
            input_features: [F] names of the features, or None.
        """
        check_is_fitted(self)
        return np.array(
            [
                f"{name}>={threshold:g}"
                for name, levels in zip(_names(self, input_features), self.thresholds_, strict=True)
                for threshold in levels
            ],
            dtype=object,
        )
