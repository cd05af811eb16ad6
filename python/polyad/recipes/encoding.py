"""Features as the 0/1 variables of a hypernet: one each, or one for each of several levels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from polyad.data import Dataset
from polyad.report.hypernet import EdgePicture
from polyad.run import Run

if TYPE_CHECKING:
    from polyad.models import Hypernet

ENCODERS = ("binary", "thermometer")


@dataclass(frozen=True)
class Encoding:
    """How numbers become the 0/1 variables of the hypernet, and back.

    Attributes:
        threshold: A feature counts as on above it; recall is measured on these bits.
        levels: None, or thresholds [I, L] of a thermometer: variable i * L + l says x_i >= t_il.
    """

    threshold: float
    levels: NDArray[np.float64] | None = None

    @classmethod
    def choose(cls, encoder: str, data: Dataset, threshold: float | None, levels: int) -> Encoding:
        """Choose thresholds from training data.

        Args:
            encoder: 'binary': one variable a feature; 'thermometer': ``levels`` variables.
            data: The training examples.
            threshold: Where a feature turns on; None: at half the largest value there is.
            levels: Variables a feature for the thermometer.

        Raises:
            ValueError: Another encoder.
        """
        if encoder not in ENCODERS:
            raise ValueError(f"encoder: expected {' or '.join(ENCODERS)}, got {encoder!r}")
        if threshold is None:
            half = float(data.X.max()) / 2
            threshold = half - 0.5 if data.X.dtype == np.uint8 else half
        if encoder == "binary":
            return cls(threshold)
        from polyad.models import ThermometerEncoder

        fitted = ThermometerEncoder(levels=levels).fit(data.X)
        return cls(threshold, np.asarray(fitted.thresholds_, np.float64))

    def encode(self, X: NDArray[Any]) -> NDArray[Any]:
        """Return what the model takes: ``X`` itself (it has its own threshold), or [N, I * L]."""
        if self.levels is None:
            return X
        return (X[:, :, None] >= self.levels).reshape(len(X), -1).astype(np.uint8)

    def bits(self, X: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the features that are on, [N, I]."""
        return (self.threshold < X).astype(np.uint8)

    def spread(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return a mask of features as a mask of variables."""
        return mask if self.levels is None else np.repeat(mask, self.levels.shape[-1], axis=-1)

    def decode(self, variables: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the features that are on, from the model's variables.

        With a thermometer a feature is on if the lowest level above the threshold is.
        """
        if self.levels is None:
            return variables.astype(np.uint8)
        count = self.levels.shape[-1]
        levels = np.broadcast_to(self.levels, (variables.shape[1] // count, count))
        above = np.where(levels > self.threshold, levels, np.inf)
        nearest = np.where(np.isfinite(above).any(1), above.argmin(1), levels.argmax(1))
        grouped = variables.reshape(len(variables), -1, count)
        return np.take_along_axis(grouped, nearest[None, :, None], 2)[:, :, 0].astype(np.uint8)

    def settings(self) -> dict[str, Any]:
        """Return what settings.json keeps."""
        return {
            "threshold": self.threshold,
            "levels": None if self.levels is None else self.levels.tolist(),
        }

    @classmethod
    def of(cls, run: Run) -> Encoding:
        """Return the encoding that a run was trained with."""
        kept = run.settings["encoding"]
        levels = kept["levels"]
        return cls(kept["threshold"], None if levels is None else np.array(levels))

    def literals(
        self, edge: int, model: Hypernet, shape: tuple[int, int], weight: float, label: str
    ) -> EdgePicture:
        """Return edge number ``edge`` as a picture."""
        start, stop = model.edges_.offsets[edge : edge + 2]
        indices, values = model.edges_.indices[start:stop], model.edges_.values
        signs = np.ones(stop - start, bool) if values is None else values[start:stop].astype(bool)
        count = 1 if self.levels is None else self.levels.shape[-1]
        asked = np.zeros((2, shape[0] * shape[1]))
        np.add.at(asked, (signs.astype(int), indices // count), 1.0)
        off, on = np.minimum(1.0, asked / max(1.0, count / 2))
        return EdgePicture(label, weight, on=on.reshape(shape), off=off.reshape(shape))
