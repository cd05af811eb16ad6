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
        threshold: A feature counts as on above it; recall is measured on these bits.
        levels: None, or the L levels of a thermometer: variable i * L + l says x_i >= t_l.
    """

    threshold: float
    levels: tuple[float, ...] | None = None

    @classmethod
    def choose(cls, encoder: str, data: Dataset, threshold: float | None, levels: int) -> Encoding:
        """Choose thresholds from training data.

        Args:
            encoder: 'binary': one variable a feature; 'thermometer': ``levels`` variables.
            data: The training examples.
            threshold: Where a feature turns on; None: at half the largest value there is.
            levels: Variables a feature for the thermometer. They are evenly spaced but for one,
                which is where a feature turns on.

        Raises:
            ValueError: Another encoder; a threshold that is no number.
        """
        if encoder not in ENCODERS:
            raise ValueError(f"encoder: expected {' or '.join(ENCODERS)}, got {encoder!r}")
        integers = data.X.dtype == np.uint8
        if threshold is None:
            half = float(data.X.max()) / 2
            threshold = np.ceil(half) - 0.5 if integers else half
        if not np.isfinite(threshold):
            raise ValueError(f"threshold: expected a finite number, got {threshold}")
        if encoder == "binary":
            return cls(float(threshold))
        from polyad.models import ThermometerEncoder

        even = ThermometerEncoder(levels=levels).fit(data.X).thresholds_[0]
        turn = np.floor(threshold) + 1 if integers else np.nextafter(threshold, np.inf)
        even[np.abs(even - turn).argmin()] = turn
        return cls(float(threshold), tuple(np.unique(even).tolist()))

    def encode(self, X: NDArray[Any]) -> NDArray[Any]:
        """Return what the model takes: ``X`` itself (it has its own threshold), or [N, I * L]."""
        if self.levels is None:
            return X
        from polyad.models import ThermometerEncoder

        return ThermometerEncoder(thresholds=self.levels).fit(X[:1]).transform(X)

    def bits(self, X: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the features that are on, [N, I]."""
        return (self.threshold < X).astype(np.uint8)

    def spread(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return a mask of features as a mask of variables."""
        return mask if self.levels is None else np.repeat(mask, len(self.levels), axis=-1)

    def decode(self, variables: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the features that are on, [N, I], from the model's variables."""
        if self.levels is None:
            return variables
        turn = int(np.searchsorted(self.levels, self.threshold, side="right"))
        return variables.reshape(len(variables), -1, len(self.levels))[:, :, turn]

    def shades(self, variables: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the share of each feature's variables that are on, [N, I], to draw it."""
        count = 1 if self.levels is None else len(self.levels)
        return np.asarray(variables.reshape(len(variables), -1, count).mean(2))

    def settings(self) -> dict[str, Any]:
        """Return what settings.json keeps."""
        return {"threshold": self.threshold, "levels": self.levels}

    @classmethod
    def of(cls, run: Run) -> Encoding:
        """Return the encoding that a run was trained with."""
        kept = run.setting("encoding", dict)
        try:
            levels = None if kept["levels"] is None else tuple(map(float, kept["levels"]))
            return cls(float(kept["threshold"]), levels)
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{run.file('settings.json')}: damaged (encoding)") from error

    def picture(self, edge: int, model: Hypernet, shape: tuple[int, int]) -> EdgePicture:
        """Return edge number ``edge`` of ``model`` as a picture of its literals."""
        count = 1 if self.levels is None else len(self.levels)
        edges = model.edges_.numpy()
        values = np.ones(len(edges.indices), np.uint8) if edges.values is None else edges.values
        inside = slice(*edges.offsets[edge : edge + 2])
        asked = np.zeros((2, shape[0] * shape[1]))
        np.add.at(asked, (values[inside], edges.indices[inside] // count), 1.0)
        off, on = (np.minimum(1.0, part / max(1.0, count / 2)).reshape(shape) for part in asked)
        label = str(model.classes_[model.labels_[edge]])
        return EdgePicture(label, float(model.weights_[edge]), on, off)

    def words(self, variable: int, value: int, names: tuple[str, ...] | None) -> str:
        """Return what a literal asks for, such as 'width > 3.5'."""
        count = 1 if self.levels is None else len(self.levels)
        feature, level = divmod(variable, count)
        name = f"x{feature}" if names is None else names[feature]
        if self.levels is None:
            return f"{name} {'>' if value else '<='} {self.threshold:g}"
        return f"{name} {'>=' if value else '<'} {self.levels[level]:g}"
