import json

import numpy as np
import pytest

from polyad.data import Dataset
from polyad.run import Run

pytest.importorskip("sklearn")

from polyad.models import Hypernet
from polyad.recipes.encoding import Encoding


def dataset(kind, pixels):
    rng = np.random.default_rng(0)
    if kind == "bytes":
        X = rng.integers(0, 17, (40, 6)).astype(np.uint8)
        X[:, 2] = 3  # a feature that never changes
    else:
        X = rng.normal(size=(40, 6)) * 10.0 ** np.arange(-2, 4)
    names = tuple("abcdef")
    return Dataset("made", X, np.arange(40) % 2, (2, 3) if pixels else None, names)


CASES = [
    (kind, pixels, encoder, threshold)
    for kind in ("bytes", "floats")
    for pixels in (True, False)
    for encoder in ("binary", "thermometer")
    for threshold in (None, 1.5)
]


@pytest.mark.parametrize(("kind", "pixels", "encoder", "threshold"), CASES)
@pytest.mark.parametrize("levels", [1, 4])
def test_variables_tell_which_features_are_on(kind, pixels, encoder, threshold, levels, tmp_path):
    data = dataset(kind, pixels)
    encoding = Encoding.choose(encoder, data, threshold, levels)
    variables = encoding.variables(data.X)
    expected = (encoding.threshold if threshold is None else threshold) < data.X
    assert np.array_equal(encoding.bits(data.X), expected)
    assert np.array_equal(encoding.decode(variables), expected)
    count = levels if encoder == "thermometer" else 1
    assert variables.shape == (40, 6 * count)
    assert encoding.spread(np.ones((40, 6), bool)).shape == variables.shape
    grouped = variables.reshape(40, 6, count).astype(int)
    assert (np.diff(grouped, axis=2) <= 0).all()  # a thermometer fills from below
    assert np.allclose(encoding.shades(variables), grouped.mean(2))

    kept = json.loads(json.dumps({"encoding": encoding.settings()}))
    again = Encoding.of(Run(tmp_path, "hypernet", kept))
    assert np.array_equal(again.variables(data.X), variables)
    assert again.binarize == encoding.binarize


def test_pixels_share_a_threshold_and_features_have_their_own():
    assert Encoding.choose("binary", dataset("bytes", True), None, 8).threshold == 7.5
    own = Encoding.choose("binary", dataset("floats", False), None, 8)
    on = own.bits(dataset("floats", False).X).mean(0)
    assert np.allclose(on, 0.5)


def test_zeros_and_ones_stay_what_they_are():
    X = np.array([[0, 1], [1, 1], [1, 0], [1, 1]], np.uint8)
    for shape in (None, (1, 2)):
        encoding = Encoding.choose("binary", Dataset("made", X, np.zeros(4, int), shape), None, 8)
        assert np.array_equal(encoding.bits(X), X)


@pytest.mark.parametrize("encoder", ["binary", "thermometer"])
@pytest.mark.parametrize("pixels", [True, False])
def test_edges_in_words_hold_for_the_examples_that_they_match(encoder, pixels):
    data = dataset("floats", pixels)
    encoding = Encoding.choose(encoder, data, None, 3)
    net = Hypernet(
        binarize=encoding.binarize, orders=3, tolerance=0, epochs=0, max_edges=20, random_state=0
    ).fit(encoding.encode(data.X), data.y)
    from polyad.ops.hypernet import match

    hits = match(encoding.variables(data.X), net.edges_)
    for edge in range(len(net.edges_)):
        words = encoding.words(edge, net, data.feature_names)
        for example, values in enumerate(data.X.tolist()):
            known = dict(zip(data.feature_names, values, strict=True))
            true = []
            for literal in words:
                name, sign, limit = literal.split()
                # limits are printed with six digits; stay away from ties
                assert abs(known[name] - float(limit)) > 1e-5 * abs(known[name])
                true.append((known[name] > float(limit)) == (sign in (">", ">=")))
            assert all(true) == hits[example, edge]


def test_unusable_settings():
    for encoder, threshold in (("onehot", None), ("binary", float("nan"))):
        with pytest.raises(ValueError, match="expected"):
            Encoding.choose(encoder, dataset("bytes", True), threshold, 8)
