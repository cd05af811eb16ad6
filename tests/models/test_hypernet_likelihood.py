"""The hypernet as a probability model, against enumeration and against known models."""

import numpy as np
import pytest
from scipy.stats import chi2

import polyad
from polyad.models import Hypernet
from polyad.models import _hypernet_likelihood as likelihood


def known_model(variables=6, classes=2, edges=14, seed=0, scale=1.0):
    """A random model with singletons, pairs and triples, literals of both values."""
    rng = np.random.default_rng(seed)
    members = [[j] for j in range(variables)] * classes
    labels = [c for c in range(classes) for _ in range(variables)]
    values = [[1]] * len(members)
    for _ in range(edges):
        k = int(rng.integers(2, 4))
        members.append(sorted(rng.choice(variables, k, replace=False).tolist()))
        values.append(rng.integers(0, 2, k).tolist())
        labels.append(int(rng.integers(classes)))
    weights = scale * rng.normal(size=len(members))
    return Hypernet.from_edges(
        polyad.Hyperedges.from_lists(members, values),
        weights,
        np.array(labels),
        classes=np.arange(classes),
        n_features=variables,
        objective="likelihood",
        binarize=None,
        random_state=0,
    )


def joint_table(net):
    """All states [2^I, I] and P(x, y) [2^I, C], by plain enumeration."""
    states = likelihood.all_states(net.n_features_in_)
    scores = np.zeros((len(states), len(net.classes_)))
    edges = net.edges_
    for i in range(len(edges)):
        inside = slice(edges.offsets[i], edges.offsets[i + 1])
        holds = (states[:, edges.indices[inside]] == edges.values[inside]).all(axis=1)
        scores[:, net.labels_[i]] += net.weights_[i] * holds
    table = np.exp(scores)
    return states, table / table.sum()


def draw_from(net, count, seed):
    states, table = joint_table(net)
    picked = np.random.default_rng(seed).choice(table.size, count, p=table.ravel())
    return states[picked // table.shape[1]], picked % table.shape[1]


@pytest.mark.parametrize(("variables", "classes"), [(1, 1), (5, 1), (6, 3), (12, 2)])
def test_probabilities_are_those_of_enumeration(variables, classes):
    net = known_model(variables, classes, edges=0 if variables == 1 else 12)
    states, table = joint_table(net)
    np.testing.assert_allclose(np.exp(net.log_prob(states)), table.sum(axis=1), atol=1e-12)
    for label in range(classes):
        y = np.full(len(states), label)
        np.testing.assert_allclose(np.exp(net.log_prob(states, y)), table[:, label], atol=1e-12)
    np.testing.assert_allclose(
        net.predict_proba(states), table / table.sum(axis=1, keepdims=True), atol=1e-12
    )


@pytest.mark.parametrize(("variables", "classes"), [(4, 1), (7, 3), (12, 2)])
def test_exact_gradient(variables, classes):
    """Data minus model moments, and finite differences of the exact log-likelihood."""
    net = known_model(variables, classes)
    rng = np.random.default_rng(1)
    x = rng.integers(0, 2, (50, variables)).astype(np.uint8)
    y = rng.integers(0, classes, 50)
    edge_set = net._edge_set
    gradient = likelihood.exact_gradient(edge_set, x, y)

    states, table = joint_table(net)
    data, model = np.zeros(len(net.edges_)), np.zeros(len(net.edges_))
    for i in range(len(net.edges_)):
        inside = slice(net.edges_.offsets[i], net.edges_.offsets[i + 1])
        members, values = net.edges_.indices[inside], net.edges_.values[inside]
        data[i] = ((x[:, members] == values).all(axis=1) & (y == net.labels_[i])).mean()
        holds = (states[:, members] == values).all(axis=1)
        model[i] = table[holds, net.labels_[i]].sum()
    np.testing.assert_allclose(gradient, data - model, atol=1e-9, rtol=0)

    def mean_log_prob(weights):
        edge_set.weights = weights
        scores = likelihood.log_weights(x, edge_set)[np.arange(50), y]
        return scores.mean() - likelihood.exact_log_partition(edge_set)

    weights, step = edge_set.weights.copy(), 1e-5
    for i in range(0, len(weights), 3):
        nudge = np.zeros(len(weights))
        nudge[i] = step
        slope = (mean_log_prob(weights + nudge) - mean_log_prob(weights - nudge)) / (2 * step)
        assert slope == pytest.approx(gradient[i], abs=1e-8)


def test_learning_reaches_the_unique_optimum():
    """All moments of the data lie inside (0, 1), so there is one; there model = data moments."""
    truth = known_model(5, 2, edges=6, seed=3, scale=0.7)
    x, y = draw_from(truth, 2000, seed=1)
    start = Hypernet.from_edges(
        truth.edges_,
        np.zeros(len(truth.edges_)),
        truth.labels_,
        classes=[0, 1],
        n_features=5,
        objective="likelihood",
        binarize=None,
        batch_size=len(x),
        learning_rate=0.02,
        random_state=0,
    )
    moments = likelihood.data_moments(start._edge_set, x, y)
    assert ((moments > 0.01) & (moments < 0.99)).all()
    start.reweight(x, y, epochs=600)
    np.testing.assert_allclose(likelihood.exact_moments(start._edge_set), moments, atol=1e-4)
    other = Hypernet.from_edges(
        truth.edges_,
        np.random.default_rng(0).normal(size=len(truth.edges_)),
        truth.labels_,
        classes=[0, 1],
        n_features=5,
        objective="likelihood",
        binarize=None,
        batch_size=len(x),
        learning_rate=0.02,
        random_state=0,
    ).reweight(x, y, epochs=600)
    states = likelihood.all_states(5)
    np.testing.assert_allclose(start.log_prob(states), other.log_prob(states), atol=5e-3)
    assert np.abs(start.log_prob(states) - truth.log_prob(states)).max() < 0.5


def test_contrastive_divergence_points_to_the_data():
    truth = known_model(6, 2, seed=5)
    x, y = draw_from(truth, 6000, seed=2)
    flat = known_model(6, 2, seed=5)
    flat._edge_set.weights = np.zeros(len(flat.edges_))
    exact = likelihood.exact_gradient(flat._edge_set, x, y)
    close, _ = likelihood.contrastive_gradient(flat._edge_set, x, y, 1, seed=0)
    far, _ = likelihood.contrastive_gradient(flat._edge_set, x, y, 30, seed=0)
    assert np.corrcoef(close, exact)[0, 1] > 0.8
    assert np.corrcoef(far, exact)[0, 1] > 0.98


@pytest.mark.parametrize("classes", [1, 2])
def test_sampling_follows_the_exact_probabilities(classes):
    """Chi-square over all states, from the final states of independent chains."""
    net = known_model(4, classes, edges=6, seed=2, scale=0.5)
    _, table = joint_table(net)
    count = 20_000
    x, y = net.sample(count, sweeps=60, random_state=11)
    cell = (x @ (1 << np.arange(4))) * classes + y
    seen = np.bincount(cell, minlength=table.size)
    expected = count * table.ravel()
    assert expected.min() > 5
    statistic = ((seen - expected) ** 2 / expected).sum()
    assert chi2.sf(statistic, table.size - 1) > 1e-3
    wrong = np.roll(expected, 1)
    assert chi2.sf(((seen - wrong) ** 2 / wrong).sum(), table.size - 1) < 1e-3


def test_sampling_given_the_label_and_a_part():
    net = known_model(5, 2, seed=4)
    states, table = joint_table(net)
    chains = likelihood.Chains(net._edge_set, 3)
    observed = np.zeros((8000, 5), bool)
    observed[:, :2] = True
    start = np.zeros((8000, 5), np.uint8)
    start[:, 1] = 1
    x, y = chains.run(start, 60, y=np.ones(8000, int), observed=observed)
    assert (y == 1).all()
    assert (x[:, 0] == 0).all()
    assert (x[:, 1] == 1).all()
    fits = (states[:, 0] == 0) & (states[:, 1] == 1)
    exact = (states[fits] * table[fits, 1:]).sum(axis=0) / table[fits, 1].sum()
    np.testing.assert_allclose(x.mean(axis=0), exact, atol=0.03)


def test_annealing_finds_the_partition_function():
    net = known_model(8, 3, edges=30)
    exact = likelihood.exact_log_partition(net._edge_set)
    found = likelihood.annealed_log_partition(net._edge_set, 200, 200, seed=1)
    assert found == pytest.approx(exact, abs=0.1)


def test_beyond_twenty_variables_log_prob_is_annealed():
    rng = np.random.default_rng(0)
    weights = rng.normal(size=24)
    net = Hypernet.from_edges(
        polyad.Hyperedges.from_lists([[j] for j in range(24)]), weights, objective="likelihood"
    )
    exact = np.log1p(np.exp(weights)).sum()
    assert net.log_partition(chains=100, steps=100) == pytest.approx(exact, abs=0.1)
    x = rng.integers(0, 2, (5, 24))
    np.testing.assert_allclose(
        net.log_prob(x, chains=100, steps=100), x @ weights - exact, atol=0.1
    )


def test_learning_raises_the_likelihood_over_naive_bayes():
    """x1 = x0 xor noise within one class: singletons cannot say it, pairs can."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, (1200, 5)).astype(np.uint8)
    y = rng.integers(0, 2, 1200)
    x[:, 1] = np.where(y == 1, x[:, 0], 1 - x[:, 0]) ^ (rng.random(1200) < 0.1)
    settings = {"objective": "likelihood", "orders": 2, "max_edges": 200, "random_state": 0}
    naive = Hypernet(epochs=0, **settings).fit(x[:800], y[:800])
    learned = Hypernet(epochs=60, **settings).fit(x[:800], y[:800])
    assert naive.score(x[800:], y[800:]) < 0.65
    assert learned.score(x[800:], y[800:]) > 0.85
    gain = learned.log_prob(x[800:], y[800:]).mean() - naive.log_prob(x[800:], y[800:]).mean()
    assert gain > 0.2


def test_base_edges_are_naive_bayes(patterns):
    x, y = patterns
    edge_set = likelihood.base_edges(24, 3, x, y)
    scores = likelihood.log_weights(x, edge_set)
    share = np.array([(x[y == c].sum(axis=0) + 1) / ((y == c).sum() + 2) for c in range(3)])
    prior = np.log((np.bincount(y) + 1) / (len(y) + 3))
    expected = prior + x @ np.log(share).T + (1 - x) @ np.log(1 - share).T
    np.testing.assert_allclose(scores, expected, atol=1e-9)
