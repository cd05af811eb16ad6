"""gibbs: the reference draw for draw, the exact distribution, and bad input."""

import itertools

import numpy as np
import pytest
import torch
from hypernet_cases import KINDS, get, put, random_edges
from scipy import stats

import polyad
from polyad.ops import hypernet as ops
from polyad.reference import hypernet as reference


def start(rng, samples, variables, domain, dtype):
    bits = rng.integers(0, 2, (samples, variables))
    return (bits * 2 - 1 if domain == "pm1" else bits).astype(dtype)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("domain", ["01", "pm1"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("samples", [0, 1, 65, 300])
def test_equals_the_reference_draw_for_draw(rng, kind, domain, dtype, samples):
    x = start(rng, samples, 13, domain, dtype)
    edges = random_edges(rng, 40, 13, 5, valued=domain == "01")
    weights = rng.standard_normal(40).astype(dtype)
    clamp = rng.random(x.shape) < 0.3
    settings = {"sweeps": 3, "domain": domain, "temperature": 0.7, "seed": 2**63 + 5}
    want = reference.gibbs(x, edges, weights.astype(float), clamp=clamp, **settings)
    for form in (put(edges, kind), put(edges, kind).plan()):
        got = ops.gibbs(put(x, kind), form, put(weights, kind), clamp=put(clamp, kind), **settings)
        assert get(got).dtype == dtype
        np.testing.assert_array_equal(get(got), want)


@pytest.mark.parametrize("domain", ["01", "pm1"])
def test_final_states_follow_the_exact_distribution(rng, domain):
    variables, chains = 4, 40_000
    edges = random_edges(rng, 9, variables, 3, valued=domain == "01", shortest=1)
    weights = rng.standard_normal(9)
    low = -1 if domain == "pm1" else 0
    states = np.array(list(itertools.product([low, 1], repeat=variables)), float)
    probability = np.exp(-ops.energy(states, edges, weights) / 1.5)
    probability /= probability.sum()
    x = start(rng, chains, variables, domain, "float64")
    final = ops.gibbs(x, edges, weights, sweeps=60, domain=domain, temperature=1.5, seed=11)
    codes = ((final > 0) @ (2 ** np.arange(variables)[::-1])).astype(int)
    counts = np.bincount(codes, minlength=2**variables)
    assert stats.chisquare(counts, probability * chains).pvalue > 1e-3


def test_clamped_variables_keep_their_value_and_shift_the_rest(rng):
    edges = polyad.Hyperedges.from_lists([[0, 1]])
    x = np.zeros((4000, 2), np.uint8)
    x[:2000, 0] = 1
    clamp = np.zeros(x.shape, bool)
    clamp[:, 0] = True
    final = ops.gibbs(x, edges, np.array([2.0]), sweeps=1, clamp=clamp, seed=3)
    np.testing.assert_array_equal(final[:, 0], x[:, 0])
    assert abs(final[:2000, 1].mean() - 1 / (1 + np.exp(-2.0))) < 0.04
    assert abs(final[2000:, 1].mean() - 0.5) < 0.04


def test_chains_do_not_depend_on_threads_or_on_each_other(rng):
    x = start(rng, 1500, 20, "01", "uint8")
    edges = random_edges(rng, 60, 20, 4)
    weights = rng.standard_normal(60)
    results = []
    for threads in (1, 2):
        polyad.set_num_threads(threads)
        results.append(ops.gibbs(x, edges, weights, sweeps=4, seed=9))
    np.testing.assert_array_equal(*results)
    np.testing.assert_array_equal(
        ops.gibbs(x[:10], edges, weights, sweeps=4, seed=9), results[0][:10]
    )
    assert (ops.gibbs(x, edges, weights, sweeps=4, seed=10) != results[0]).any()


@pytest.mark.parametrize("dtype", ["bool", "uint8", "float32"])
def test_the_result_has_the_dtype_of_x(rng, dtype):
    x = start(rng, 5, 6, "01", dtype)
    edges = random_edges(rng, 4, 6, 3)
    assert ops.gibbs(x, edges, np.ones(4), sweeps=1).dtype == dtype
    assert ops.gibbs(x, edges, np.ones(4), sweeps=0).tolist() == x.tolist()
    spins = start(rng, 5, 6, "pm1", "int8")
    positive = random_edges(rng, 4, 6, 3, valued=False)
    assert ops.gibbs(spins, positive, np.ones(4), sweeps=1, domain="pm1").dtype == np.int8


def test_opcheck_and_compile(rng):
    edges = random_edges(rng, 20, 9, 4).to("cpu")
    x = torch.from_numpy(start(rng, 70, 9, "01", "uint8"))
    weights = torch.rand(20)
    planes = polyad.BitPlanes.pack(x)
    plan = edges.plan()
    literals = (plan.literals, plan.offsets, plan.positives, plan.order)
    torch.library.opcheck(
        torch.ops.polyad.hypernet_gibbs.default,
        (planes.words, None, 70, *literals, *plan.incidence(9), weights, 2, False, 1.0, 5),
    )

    def sample(x, weights):
        return ops.gibbs(x, edges, weights, sweeps=2, seed=5)

    compiled = torch.compile(sample, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(x, weights), sample(x, weights))


def test_philox_known_answers():
    # The first of Random123's known answers, and counters that use every word.
    assert reference.philox(0, np.array([0]), 0, 0)[0] == 0x6627E8D5
    ones = reference.philox(2**64 - 1, np.array([2**64 - 1], np.uint64), 2**32 - 1, 2**32 - 1)
    assert ones[0] == 0x408F276D


X = np.zeros((4, 3), np.uint8)
EDGES = polyad.Hyperedges.from_lists([[0, 1], [2]])
NEGATED = polyad.Hyperedges.from_lists([[0, 1], [2]], [[1, 0], [1]])
SPINS = np.ones((4, 3))
WEIGHTS = np.ones(2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ops.gibbs(X, EDGES, WEIGHTS, sweeps=-1), ValueError, "sweeps: expected 0 .. 4294967295, got -1"),
        (lambda: ops.gibbs(X, EDGES, WEIGHTS, sweeps=1.5), TypeError, "sweeps: expected an int, got float"),
        (lambda: ops.gibbs(X, EDGES, WEIGHTS, sweeps=1, domain="spin"), ValueError, "domain: expected '01' or 'pm1', got 'spin'"),
        (lambda: ops.gibbs(X, EDGES, WEIGHTS, sweeps=1, temperature=0), ValueError, "temperature: expected a finite number above 0, got 0"),
        (lambda: ops.gibbs(X, EDGES, WEIGHTS, sweeps=1, temperature=np.nan), ValueError, "temperature: .* got nan"),
        (lambda: ops.gibbs(X, EDGES, WEIGHTS, sweeps=1, seed=-1), ValueError, "seed: expected 0 .. 18446744073709551615, got -1"),
        (lambda: ops.gibbs(X, EDGES, WEIGHTS, sweeps=1, clamp=X), TypeError, "clamp: expected dtype bool, got uint8"),
        (lambda: ops.gibbs(X, EDGES, WEIGHTS, sweeps=1, clamp=X[:2] > 0), ValueError, r"clamp: expected \[N, I\] = \[4, 3\], got \[2, 3\]"),
        (lambda: ops.gibbs(X + np.uint8(2), EDGES, WEIGHTS, sweeps=1), ValueError, "x: expected values 0 and 1, got 2"),
        (lambda: ops.gibbs(SPINS * 0, EDGES, WEIGHTS, sweeps=1, domain="pm1"), ValueError, "x: expected values -1 and 1, got 0"),
        (lambda: ops.gibbs(X, EDGES, WEIGHTS, sweeps=1, domain="pm1"), TypeError, "x: expected dtype int8 or float32 or float64, got uint8"),
        (lambda: ops.gibbs(SPINS, NEGATED, WEIGHTS, sweeps=1, domain="pm1"), ValueError, "edges: expected literals of value 1 only with domain 'pm1'"),
        (lambda: ops.gibbs(X, EDGES, WEIGHTS.astype(int), sweeps=1), TypeError, "weights: expected dtype float32 or float64, got int64"),
        (lambda: ops.gibbs(X, EDGES, WEIGHTS * np.inf, sweeps=1), ValueError, "weights: expected finite values, got inf"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
