"""A hypernet in one .npz file: arrays, and a json header with everything else. No pickle.

Saved in the middle of `fit`, the file holds all that learning needs to continue as if it had not
stopped: scores, running means of the step sizes and the state of the random generator.
"""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from polyad._files import written_whole
from polyad._hyperedges import Hyperedges
from polyad.models._hypernet_structure import OTHERS, EdgeSet, Variation

if TYPE_CHECKING:
    from polyad.models.hypernet import Hypernet

FORMAT_VERSION = 1
KIND = "polyad.models.Hypernet"
DOUBLES = ("weights", "first", "second", "spread")
INTEGERS = {"labels": np.int32, "tolerances": np.int32, "copies": np.int64, "sources": np.int64,
            "age": np.int64}  # fmt: skip


def save(net: Hypernet, path: str | os.PathLike[str]) -> None:
    """Write ``net`` to ``path``; the file appears whole or not at all."""
    edge_set = net._edge_set
    parameters = net.get_params(deep=False)
    seed = parameters.pop("random_state")
    header = {
        "format_version": FORMAT_VERSION,
        "kind": KIND,
        "parameters": {name: _plain(value) for name, value in parameters.items()},
        "random_state": int(seed) if isinstance(seed, int | np.integer) else None,
        "generator": {"name": type(net._rng.bit_generator).__name__,
                      "state": _plain(net._rng.bit_generator.state)},
        "variables": edge_set.variables,
        "n_iter": int(net.n_iter_),
        "recall_grade": list(net._recall_grade),
        "feature_names": [str(name) for name in getattr(net, "feature_names_in_", [])] or None,
        "object_labels": net.classes_.dtype == object,
    }  # fmt: skip
    values: dict[str, NDArray[Any]] = {
        "indices": edge_set.edges.indices,
        "offsets": edge_set.edges.offsets,
        "values": np.asarray(edge_set.edges.values),
        "classes": net.classes_.astype(str) if net.classes_.dtype == object else net.classes_,
        "ones": net._variation.ones,
        "class_counts": net._variation.classes,
    }
    values |= {name: getattr(edge_set, name) for name in EdgeSet.PER_EDGE}
    if edge_set.scores is not None:
        values["scores"] = edge_set.scores
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    with written_whole(Path(path)) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, header=text, **values)


def load(path: str | os.PathLike[str]) -> Hypernet:
    """Read what `save` wrote.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no hypernet, is damaged, or of a newer format.
    """
    try:
        with Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            header = json.loads(bytes(file["header"]).decode())
            if header.get("kind") != KIND:
                raise ValueError(f"it holds {header.get('kind')}")
            if header["format_version"] > FORMAT_VERSION:
                raise ValueError(
                    f"format_version {header['format_version']} is newer than {FORMAT_VERSION}, "
                    "the newest that this polyad reads"
                )
            return _build(header, file)
    except FileNotFoundError:
        raise
    except (KeyError, TypeError, IndexError, EOFError, OSError, ValueError, AttributeError,
            zipfile.BadZipFile, UnicodeDecodeError) as error:  # fmt: skip
        raise ValueError(f"{path}: expected a file that Hypernet.save wrote: {error}") from error


def _build(header: dict[str, Any], file: Any) -> Hypernet:
    from polyad.models.hypernet import Hypernet

    parameters = header["parameters"]
    if isinstance(parameters.get("orders"), list):
        parameters["orders"] = tuple(parameters["orders"])
    net = Hypernet(**parameters, random_state=header["random_state"])
    net._check_parameters()
    classes = file["classes"]
    net.classes_ = classes.astype(object) if header["object_labels"] else classes
    net.n_features_in_ = int(header["variables"])
    if header["feature_names"]:
        net.feature_names_in_ = np.array(header["feature_names"], dtype=object)
    net._variation = Variation(file["ones"], file["class_counts"])
    fields: dict[str, Any] = {name: file[name].astype(np.float64) for name in DOUBLES}
    fields |= {name: file[name].astype(kind) for name, kind in INTEGERS.items()}
    net._edge_set = EdgeSet(
        Hyperedges(file["indices"], file["offsets"], file["values"]),
        variables=net.n_features_in_,
        classes=len(classes),
        scores=file.get("scores"),
        **fields,
    )
    _require_consistent(net)
    generator = header["generator"]
    bits = getattr(np.random, generator["name"])()
    bits.state = generator["state"]
    net._rng = np.random.Generator(bits)
    net._recall_grade = (float(header["recall_grade"][0]), float(header["recall_grade"][1]))
    net.n_iter_ = int(header["n_iter"])
    net._publish()
    return net


def _require_consistent(net: Hypernet) -> None:
    edge_set, count = net._edge_set, len(net._edge_set.edges)
    for name in EdgeSet.PER_EDGE:
        shape = (count, 1 + OTHERS) if name == "sources" else (count,)
        if getattr(edge_set, name).shape != shape:
            raise ValueError(f"{name} does not have one entry for each of {count} edges")
    if edge_set.scores is not None and edge_set.scores.shape != (count, edge_set.variables):
        raise ValueError("scores do not fit the edges")
    if edge_set.edges.num_variables > edge_set.variables:
        raise ValueError("edges use more variables than there are")
    if net._variation.ones.shape != (edge_set.variables,):
        raise ValueError("counts of variables do not fit")
    if net._variation.classes.shape != (edge_set.classes,):
        raise ValueError("counts of classes do not fit")
    if (np.diff(edge_set.labels) < 0).any():
        raise ValueError("labels are not in order")


def _plain(value: Any) -> Any:
    """``value`` with numpy numbers and arrays as what json knows."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value
