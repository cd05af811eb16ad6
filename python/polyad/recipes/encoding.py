"""Features as the 0/1 variables of a hypernet: one each, or one for each of several levels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from polyad.data import Dataset
from polyad.report.hypernet import EdgePicture
from polyad.run import Run, RunError

if TYPE_CHECKING:
    from polyad.models import Hypernet

ENCODERS = ("binary", "thermometer")


@dataclass(frozen=True)
class Encoding:
    """How numbers become the 0/1 variables of the hypernet, and back.

    Attributes:
        threshold: [I], or [] for all features: a feature is on above it; recall is measured on
            these bits.
        levels: None, or the levels [I, L] or [L] of a thermometer: variable i * L + l says
            x_i >= t_il.
    """

    threshold: NDArray[np.float64]
    levels: NDArray[np.float64] | None = None

    @classmethod
    def choose(cls, encoder: str, data: Dataset, threshold: float | None, levels: int) -> Encoding:
        """Choose thresholds from training data.

        Pixels have the same thresholds everywhere; other features are measured in units of their
        own and have thresholds of their own.

        Args:
            encoder: 'binary': one variable a feature; 'thermometer': ``levels`` variables.
            data: The training examples.
            threshold: Where a feature turns on; None: half the largest value for pictures, the
                median of each feature otherwise.
            levels: Variables a feature for the thermometer. They are evenly spaced but for one,
                which is where a feature turns on.

        Raises:
            ValueError: Another encoder; a threshold that is no number.
        """
        if encoder not in ENCODERS:
            raise ValueError(f"encoder: expected {' or '.join(ENCODERS)}, got {encoder!r}")
        if threshold is not None and not np.isfinite(threshold):
            raise ValueError(f"threshold: expected a finite number, got {threshold}")
        pixels, integers = data.image_shape is not None, data.X.dtype == np.uint8
        if threshold is not None:
            chosen = np.array(float(threshold))
        elif pixels:
            half = float(data.X.max()) / 2
            chosen = np.array(np.ceil(half) - 0.5 if integers else half)
        else:
            low, high = data.X.min(axis=0).astype(float), data.X.max(axis=0).astype(float)
            median = np.median(data.X, axis=0)
            chosen = np.where(median < high, median, (low + high) / 2)
        if encoder == "binary":
            return cls(chosen)
        from polyad.models import ThermometerEncoder

        spread = "range" if pixels else "feature"
        even = ThermometerEncoder(levels=levels, spread=spread).fit(data.X).thresholds_
        turn = np.floor(chosen) + 1 if integers else np.nextafter(chosen, np.inf)
        nearest = np.abs(even - turn[..., None]).argmin(axis=1)
        even[np.arange(len(even)), nearest] = turn
        even.sort(axis=1)  # a feature that never changes has equal levels but for this one
        return cls(chosen, even[0] if pixels else even)

    @property
    def binarize(self) -> float | None:
        """What the model applies itself: the threshold, where there is just one and no levels."""
        return float(self.threshold) if self.levels is None and not self.threshold.ndim else None

    def encode(self, X: NDArray[Any]) -> NDArray[Any]:
        """Return what the model takes: ``X`` if it binarizes, else its variables."""
        return X if self.binarize is not None else self.variables(X)

    def variables(self, X: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the 0/1 variables of ``X``: [N, I], or [N, I * L] with a thermometer."""
        if self.levels is None:
            return self.bits(X)
        count = self.levels.shape[-1]
        filled = np.empty((*X.shape, count), np.uint8)
        for level in range(count):
            filled[:, :, level] = self.levels[..., level] <= X
        return filled.reshape(len(X), -1)

    def bits(self, X: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the features that are on, [N, I]."""
        return (self.threshold < X).astype(np.uint8)

    def spread(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return a mask of features as a mask of variables."""
        return mask if self.levels is None else np.repeat(mask, self.levels.shape[-1], axis=-1)

    def decode(self, variables: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the features that are on, [N, I], from the model's variables."""
        if self.levels is None:
            return variables
        grouped = variables.reshape(len(variables), -1, self.levels.shape[-1])
        turn = (self.levels <= self.threshold[..., None]).sum(axis=-1)
        at = np.broadcast_to(turn, grouped.shape[1:2])
        return np.take_along_axis(grouped, at[None, :, None], axis=2)[:, :, 0]

    def shades(self, variables: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the share of each feature's variables that are on, [N, I], to draw it."""
        count = 1 if self.levels is None else self.levels.shape[-1]
        return np.asarray(variables.reshape(len(variables), -1, count).mean(2))

    def settings(self) -> dict[str, Any]:
        """Return what settings.json keeps."""
        levels = None if self.levels is None else self.levels.tolist()
        return {"threshold": self.threshold.tolist(), "levels": levels}

    @classmethod
    def of(cls, run: Run) -> Encoding:
        """Return the encoding that a run was trained with."""
        kept = run.setting("encoding", dict)
        try:
            threshold = np.array(kept["threshold"], np.float64)
            levels = None if kept["levels"] is None else np.array(kept["levels"], np.float64)
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{run.file('settings.json')}: damaged (encoding)") from error
        if threshold.ndim > 1 or (levels is not None and (levels.ndim not in (1, 2))):
            raise RunError(f"{run.file('settings.json')}: damaged (encoding)")
        return cls(threshold, levels)

    def picture(self, edge: int, model: Hypernet, shape: tuple[int, int]) -> EdgePicture:
        """Return edge number ``edge`` of ``model`` as a picture of its literals."""
        count = 1 if self.levels is None else self.levels.shape[-1]
        indices, values = literals(model, edge)
        asked = np.zeros((2, shape[0] * shape[1]))
        np.add.at(asked, (values, indices // count), 1.0)
        off, on = (np.minimum(1.0, part / max(1.0, count / 2)).reshape(shape) for part in asked)
        label = str(model.classes_[model.labels_[edge]])
        return EdgePicture(label, float(model.weights_[edge]), on, off)

    def words(self, edge: int, model: Hypernet, names: tuple[str, ...] | None) -> list[str]:
        """Return what edge number ``edge`` asks for, such as 'width > 3.5'."""
        found = []
        for variable, value in zip(*literals(model, edge), strict=True):
            feature, level = divmod(
                int(variable), 1 if self.levels is None else self.levels.shape[-1]
            )
            name = f"x{feature}" if names is None else names[feature]
            if self.levels is None:
                limit = self.threshold if self.threshold.ndim == 0 else self.threshold[feature]
                found.append(f"{name} {'>' if value else '<='} {limit:g}")
            else:
                limits = self.levels if self.levels.ndim == 1 else self.levels[feature]
                found.append(f"{name} {'>=' if value else '<'} {limits[level]:g}")
        return found


def literals(model: Hypernet, edge: int) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Return the variables of an edge and the values that it asks for."""
    edges = model.edges_.numpy()
    inside = slice(*edges.offsets[edge : edge + 2])
    indices = edges.indices[inside]
    values = np.ones(len(indices), np.uint8) if edges.values is None else edges.values[inside]
    return np.asarray(indices), np.asarray(values)
