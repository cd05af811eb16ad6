"""The hypernet as a classifier: scikit-learn's contract, what it learns, and its errors."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.utils.estimator_checks import parametrize_with_checks

import polyad
import polyad.reference.hypernet
from polyad.models import Hypernet
from polyad.ops.hypernet import votes


@parametrize_with_checks([Hypernet(), Hypernet(objective="likelihood")])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def test_learning_beats_one_shot_on_digits(digits):
    x, y = digits
    settings = {"binarize": 7.5, "max_edges": 1500, "random_state": 0}
    once = Hypernet(epochs=0, **settings).fit(x[:1000], y[:1000])
    learned = Hypernet(epochs=12, **settings).fit(x[:1000], y[:1000])
    assert once.score(x[1000:], y[1000:]) > 0.7
    assert learned.score(x[1000:], y[1000:]) > once.score(x[1000:], y[1000:]) + 0.03
    assert learned.n_iter_ == 12


def test_votes_are_the_matching_weights(patterns):
    x, y = patterns
    net = Hypernet(epochs=2, max_edges=200, random_state=0).fit(x, y)
    expected = polyad.reference.hypernet.votes(
        x, net.edges_, net.weights_.astype(np.float64), net.labels_, 3, tolerance=net.tolerances_
    )
    np.testing.assert_allclose(net.votes(x), expected, rtol=1e-4, atol=1e-4)
    chance = net.predict_proba(x)
    np.testing.assert_allclose(chance.sum(axis=1), 1)
    np.testing.assert_array_equal(chance.argmax(axis=1), net.votes(x).argmax(axis=1))


def test_all_there_is_to_the_model_is_its_edges(patterns):
    x, y = patterns
    net = Hypernet(epochs=3, random_state=0).fit(x, y)
    assert len(net.edges_) == len(net.weights_) == len(net.labels_) == len(net.tolerances_)
    counts = votes(x, net.edges_, net.weights_, net.labels_, 3, tolerance=net.tolerances_)
    np.testing.assert_array_equal(net.classes_[counts.argmax(axis=1)], net.predict(x))
    assert (net.weights_ > 0).all()
    assert (np.diff(net.labels_) >= 0).all()


@pytest.mark.parametrize("objective", ["votes", "likelihood"])
def test_same_seed_same_model(patterns, objective):
    x, y = patterns
    first, second, other = (
        Hypernet(objective=objective, epochs=3, max_edges=300, random_state=seed).fit(x, y)
        for seed in (3, 3, 4)
    )
    assert first.edges_ == second.edges_
    np.testing.assert_array_equal(first.weights_, second.weights_)
    assert first.edges_ != other.edges_


def test_threads_do_not_change_the_model(patterns):
    x, y = patterns
    x = np.tile(x, (5, 1))
    y = np.tile(y, 5)
    models = []
    for threads in (1, 2):
        polyad.set_num_threads(threads)
        models.append(Hypernet(epochs=4, max_edges=300, random_state=0).fit(x, y))
    assert models[0].edges_ == models[1].edges_
    np.testing.assert_array_equal(models[0].weights_, models[1].weights_)


def test_dense_sparse_and_frames_agree(patterns):
    x, y = patterns
    names = [f"pixel {j}" for j in range(x.shape[1])]
    dense = Hypernet(epochs=2, random_state=0).fit(x, y)
    sparse = Hypernet(epochs=2, random_state=0).fit(scipy.sparse.csr_matrix(x), y)
    frame = Hypernet(epochs=2, random_state=0).fit(pd.DataFrame(x, columns=names), y)
    assert dense.edges_ == sparse.edges_ == frame.edges_
    assert frame.feature_names_in_.tolist() == names
    expected = dense.predict(x)
    np.testing.assert_array_equal(sparse.predict(scipy.sparse.csc_matrix(x)), expected)
    np.testing.assert_array_equal(frame.predict(pd.DataFrame(x, columns=names)), expected)


def test_sparse_zeros_follow_the_threshold(patterns):
    x, y = patterns
    shifted = x.astype(float)
    dense = Hypernet(binarize=-0.5, epochs=1, random_state=0).fit(shifted, y)
    sparse = Hypernet(binarize=-0.5, epochs=1, random_state=0).fit(
        scipy.sparse.csr_matrix(shifted), y
    )
    assert dense.edges_ == sparse.edges_  # zeros lie above -0.5: every variable is constant
    assert dense.order_distribution_ == {0: 1.0}


def test_labels_may_be_words(patterns):
    x, y = patterns
    words = np.array(["ant", "bee", "cat"], dtype=object)[y]
    net = Hypernet(epochs=3, random_state=0).fit(x, words)
    assert net.score(x, words) > 0.95
    assert set(net.predict(x)) <= {"ant", "bee", "cat"}


def test_one_class():
    net = Hypernet(random_state=0).fit(np.eye(4), np.full(4, 7))
    assert net.predict(np.zeros((2, 4))).tolist() == [7, 7]


def test_classes_count_alike_when_one_is_rare():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.random((300, 12)) < 0.3, rng.random((15, 12)) < 0.7]).astype(np.uint8)
    y = np.repeat([0, 1], [300, 15])
    net = Hypernet(epochs=0, orders=4, tolerance=0, max_edges=200, random_state=0).fit(x, y)
    mass = np.bincount(net.labels_, weights=net.weights_)
    assert 0.5 < mass[0] / mass[1] < 2
    assert (net.predict(x[300:]) == 1).mean() > 0.6


def test_edges_stay_within_their_bound(patterns):
    x, y = patterns
    for bound in (3, 10, 77):
        net = Hypernet(max_edges=bound, epochs=2, random_state=0).fit(x, y)
        assert len(net.edges_) <= bound


def test_orders_that_earn_more_are_drawn_more(digits):
    x, y = digits
    net = Hypernet(
        binarize=7.5, orders=(1, 12), replace=0.3, max_edges=600, epochs=10, random_state=0
    ).fit(x[:800], y[:800])
    shares = net.order_distribution_
    assert shares[12] > shares[1]  # single pixels say little; half and half at the start


def test_random_edges_ask_for_more_than_examples_show(patterns):
    x, y = patterns
    real = Hypernet(epochs=0, orders=12, tolerance=0, random_state=0).fit(x, y)
    random = Hypernet(epochs=0, orders=12, tolerance=0, random_edges=1.0, random_state=0).fit(x, y)

    def matched(net):
        return polyad.ops.hypernet.match_counts(x, net.edges_)

    assert (matched(real) >= 1).all()
    assert (matched(random) == 0).mean() > 0.5


def test_progress_reports_every_epoch_and_can_stop(patterns):
    x, y = patterns
    seen = []
    net = Hypernet(epochs=5, random_state=0).fit(x, y, on_progress=seen.append)
    assert [info["epoch"] for info in seen] == [0, 1, 2, 3, 4, 5]
    assert [info["stage"] for info in seen] == ["one-shot"] + ["learn"] * 5
    assert all(info["epochs"] == 5 and info["samples"] == len(x) for info in seen)
    assert seen[-1]["edges"] == len(net.edges_)
    stopped = Hypernet(epochs=5, random_state=0).fit(
        x, y, on_progress=lambda info: info["epoch"] == 2
    )
    assert stopped.n_iter_ == 2
    assert stopped.score(x, y) > 0.5


def test_reweight_keeps_the_structure(patterns):
    x, y = patterns
    net = Hypernet(epochs=0, max_edges=200, random_state=0).fit(x, y)
    edges, weights = net.edges_, net.weights_
    net.reweight(x, y, epochs=3)
    assert net.edges_ == edges
    assert not np.array_equal(net.weights_, weights)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"objective": "vote"}, "objective: expected 'votes' or 'likelihood', got 'vote'"),
        ({"max_edges": 0}, "max_edges: expected at least 1, got 0"),
        ({"epochs": -1}, "epochs: expected at least 0, got -1"),
        ({"edges_per_example": 0}, "edges_per_example: expected at least 1, got 0"),
        ({"learning_rate": 0.0}, "learning_rate: expected a number above 0, got 0.0"),
        ({"noise": 0.6}, "noise: expected 0 .. 0.5, got 0.6"),
        ({"replace": 1.5}, "replace: expected 0 .. 1.0, got 1.5"),
        ({"tolerance": 1.5}, "tolerance: expected an int >= 0 or a share"),
        ({"tolerance": -1}, "tolerance: expected an int >= 0 or a share"),
        ({"orders": 0}, "orders: expected ints of at least 1, got 0"),
        ({"orders": 2.5}, "orders: expected ints of at least 1, got 2.5"),
        ({"orders": "some"}, "orders: expected ints, 'all' or None, got 'some'"),
        ({"draw": "half"}, "draw: expected 'parts' or 'common', got 'half'"),
    ],
)
def test_bad_parameters(patterns, parameters, message):
    with pytest.raises(ValueError, match=message):
        Hypernet(**parameters).fit(*patterns)


def test_binary_input_may_be_required(patterns):
    x, y = patterns
    assert Hypernet(binarize=None, epochs=1, random_state=0).fit(x, y).score(x, y) > 0.8
    with pytest.raises(ValueError, match="X: expected 0 and 1 with binarize=None, got 2"):
        Hypernet(binarize=None).fit(2 * x, y)


def test_probabilities_of_a_votes_model_are_refused_with_the_cure(patterns):
    net = Hypernet(epochs=1, random_state=0).fit(*patterns)
    for ask in (lambda: net.sample(3), lambda: net.log_prob(patterns[0]), net.log_partition):
        with pytest.raises(ValueError, match="fit Hypernet\\(objective='likelihood'\\)"):
            ask()
