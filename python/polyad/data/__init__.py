"""Examples to learn from: by name, from tables, archives and idx folders. Nothing is downloaded."""

from polyad.data.align_synthetic import align_synthetic
from polyad.data.dataset import DataError, Dataset, Split, thirds
from polyad.data.source import NAMED, digits, load, load_test

__all__ = [
    "NAMED",
    "DataError",
    "Dataset",
    "Split",
    "align_synthetic",
    "digits",
    "load",
    "load_test",
    "thirds",
]
