"""The harness of the benchmarks, and the hypernet family at sizes that take no time."""

import json
import os
import resource
import time

import numpy as np
import pytest

from polyad import bench
from polyad.bench import harness, hypernet, hypernet_cases, hypernet_cuda, hypernet_peers, rows
from polyad.bench.harness import Limits
from polyad.bench.hypernet_peers import RIVALS, Variant, in_blocks
from polyad.bench.rows import Claim, Row
from polyad.ops import hypernet as ops

FIELDS = {"k", "I", "E", "N", "batch", "threads", "packing_included", "median_s", "min_s"}
FIELDS |= {"op", "peer", "status", "ratio_to_polyad", "repetitions", "prepare_s"}

TINY = hypernet_cases.Settings(
    orders=(3,),
    edges=(50, 200),
    samples=(1, 70),
    claim=(3, 200, 70),
    variables=30,
    classes=3,
    sweep_limits=Limits(full_s=0.02, budget_s=0.005, most_repetitions=3),
    claim_limits=Limits(budget_s=0.005, most_repetitions=3),
    energy=(3, 100, 40),
    single=(4, 60, 80),
    gibbs=(3, 50, 16),
    tuning_s=0.0002,
    compile_s=0.0,
    memory=False,
)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(hypernet, "QUICK", TINY)


def test_a_run_writes_complete_rows_and_a_figure(tiny, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    file, picture = tmp_path / "rows.json", tmp_path / "cost.png"
    code = bench.main("hypernet", threads=[1, 2], quick=True, json_path=file, plot_path=picture)
    assert code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cost.png", "rows.json"]

    document = json.loads(file.read_text())
    assert document["format_version"] == 1
    assert document["machine"]["cpu"]
    measured = document["rows"]
    assert all(row.keys() >= FIELDS for row in measured)
    assert all(row.keys() & {"pairs_per_s", "updates_per_s"} for row in measured)
    assert {row["status"] for row in measured} <= {rows.MEASURED, rows.SCALED}
    assert all(0 < row["min_s"] <= row["median_s"] for row in measured)
    ours = {
        (row["op"], row["k"], row["E"], row["N"], row["threads"])
        for row in measured
        if row["peer"] == "polyad" and row["ratio_to_polyad"] == 1
    }
    votes = {("votes", 3, edges, n, t) for edges in (50, 200) for n in (1, 70) for t in (1, 2)}
    assert votes <= ours
    assert {op.split()[0] for op, *_ in ours} == set(hypernet.OPS)
    assert "cuda" in " ".join(document["remarks"]) or "cuda_device" in document["machine"]

    stated = [claim for claim in document["claims"] if claim["required_ratio"]]
    assert all(c["holds"] == (c["ratio"] >= c["required_ratio"]) for c in stated)
    printed = capsys.readouterr().out
    assert "Stated ratios" in printed
    assert "numpy packed AND" in printed


def test_a_run_of_one_op_has_no_other_rows(tiny, tmp_path):
    file = tmp_path / "rows.json"
    bench.main("hypernet", threads=[1], quick=True, json_path=file, op="match_counts")
    assert {row["op"] for row in json.loads(file.read_text())["rows"]} == {"match_counts"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"family": "capsules"},
            "family: expected one of hypernet, ntm, capsule, align, got 'capsules'",
        ),
        ({"threads": [0]}, "threads: expected numbers of at least 1"),
        ({"threads": []}, "threads: expected numbers of at least 1"),
        ({"op": "vote"}, "op: expected one of votes"),
        ({"json_path": "missing/rows.json"}, "json_path: there is no folder"),
        ({"plot_path": "cost.gif"}, "plot_path: expected .png, .svg, .pdf, got cost.gif"),
    ],
)
def test_wrong_arguments_are_named_before_anything_runs(arguments, message, tmp_path, monkeypatch):
    monkeypatch.setattr(hypernet, "run", lambda *_: pytest.fail("ran"))
    call = {"family": "hypernet", **arguments}
    for name in ("json_path", "plot_path"):
        if name in call:
            call[name] = tmp_path / call[name]
    with pytest.raises(ValueError, match=message):
        bench.main(**call)


@pytest.mark.parametrize("rival", RIVALS, ids=lambda rival: rival.name)
@pytest.mark.parametrize("samples", [1, 63, 130])
def test_every_variant_of_a_rival_counts_our_votes(rival, samples):
    if not harness.available(rival.module):
        pytest.skip(f"{rival.module} is not installed")
    x, literals, edges = hypernet_cases.binary_case(4, 300, samples, 40, 5)
    expected = ops.votes(x, edges, literals.weights, literals.labels, 5)
    assert expected.any(), "a case without a match could not tell right from wrong"
    for variant in rival.variants:
        votes = rival.prepare(literals, Variant(16, 128, variant.sums, variant.dtype))
        assert np.array_equal(in_blocks(votes, 16, None)(x), expected), variant


def test_the_cuda_cases_rehearsed_on_the_cpu(tiny, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(hypernet_cuda, "DEVICE", "cpu")
    monkeypatch.setattr(harness, "cuda_missing", lambda: None)
    monkeypatch.setattr(harness, "cuda_clock", harness.wall_clock)
    monkeypatch.setattr(harness, "machine", lambda: {"cpu": "some", "isa": "v2"})
    file = tmp_path / "rows.json"
    assert bench.main("hypernet", threads=[1], quick=True, json_path=file) == 0
    found = [row for row in json.loads(file.read_text())["rows"] if row["device"] == "cuda"]
    assert {(row["op"], row["variant"].split()[0]) for row in found if "GEMM" in row["peer"]} == {
        ("votes", "bfloat16"),
        ("votes", "int8"),
    }
    assert {row["op"] for row in found} == {"votes", "energy forward+backward"}
    assert all(row["status"] in (rows.MEASURED, rows.SCALED) for row in found)
    ours = [row for row in found if row["peer"] == "polyad"]
    assert all(row["ratio_to_polyad"] == 1 for row in ours)


def test_a_rival_that_disagrees_fails_the_run(tiny, tmp_path, monkeypatch):
    wrong = hypernet_peers.Rival(
        "wrong", "numpy", [Variant(16, 128)], lambda lit, _: lambda x: np.zeros((len(x), 3))
    )
    monkeypatch.setattr(hypernet_peers, "RIVALS", [wrong])
    file = tmp_path / "rows.json"
    assert bench.main("hypernet", threads=[1], quick=True, json_path=file, op="votes") == 1
    failed = [row for row in json.loads(file.read_text())["rows"] if row["peer"] == "wrong"]
    assert failed
    assert all(row["status"] == "failed" and "disagrees" in row["note"] for row in failed)
    assert all(row["median_s"] is None for row in failed)


def clock_of(cost):
    """A clock that returns ``cost(n)`` for the call on n samples, and runs it."""
    return lambda call: harness.Seconds(cost(call()), cost(call()))


def test_a_short_call_is_measured_whole():
    timing = harness.measure(
        lambda n: lambda: n, 1000, Limits(full_s=1.0), clock=clock_of(lambda n: n * 1e-4)
    )
    assert timing.status == rows.MEASURED
    assert timing.median_s == pytest.approx(0.1)
    assert timing.repetitions >= 3


def test_a_long_call_is_scaled_from_a_linear_subsample():
    # a fixed cost of half a second: small subsamples must not be scaled up
    timing = harness.measure(
        lambda n: lambda: n,
        1_000_000,
        Limits(full_s=1.0),
        clock=clock_of(lambda n: 0.5 + n * 1e-4),
    )
    assert timing.status == rows.SCALED
    assert 1.7 <= timing.linearity <= 2.6
    assert timing.median_s == pytest.approx(100, rel=0.2)
    assert timing.measured_on.startswith("N = ")


def test_a_cost_that_is_not_linear_runs_out_of_time():
    timing = harness.measure(
        lambda n: lambda: n, 10**6, Limits(full_s=1.0), clock=clock_of(lambda n: n**3 * 1e-6)
    )
    assert timing.status == rows.OUT_OF_TIME
    assert timing.median_s is None


def test_what_does_not_fit_is_scaled_from_what_does():
    def make(n):
        if n > 100:
            raise MemoryError
        return lambda: n

    clock = clock_of(lambda n: n * 1e-3)
    timing = harness.measure(make, 1000, Limits(full_s=60.0), clock=clock)
    assert timing.status == rows.SCALED
    assert timing.median_s == pytest.approx(1.0)
    timing = harness.measure(make, 1000, Limits(), step=500, clock=clock)
    assert timing.status == rows.OUT_OF_MEMORY


def test_an_error_of_a_formulation_is_not_taken_for_memory():
    def make(n):
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes"):
        harness.measure(make, 10, Limits())


@pytest.mark.skipif(
    resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY,
    reason="this process has a limit already, which is left alone",
)
def test_the_memory_limit_stops_an_allocation_and_is_lifted_again():
    with harness.memory_limit(2**28), pytest.raises(MemoryError):
        np.ones(2**27)
    assert np.ones(2**27, np.uint8).nbytes == 2**27


def test_the_time_limit_stops_python_code():
    def forever():
        while True:
            time.sleep(0.01)

    with harness.time_limit(0.05), pytest.raises(TimeoutError, match="more than"):
        forever()


@pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="the kernel has no high-water mark"
)
def test_peak_memory_counts_what_is_freed_again():
    def call():
        return int(np.ones(2**24, np.uint8).sum())

    extra, result = harness.peak_memory(call)
    assert result == 2**24
    assert 2**24 * 0.9 < extra < 2**24 * 1.5


def test_ratios_compare_within_a_case_only():
    sizes = {"k": 3, "I": 9, "E": 5, "N": 7}
    base = Row("votes", "polyad", sizes, 1, 35.0, median_s=2.0, min_s=1.0, spent_s=1.5)
    other = Row("votes", "other", sizes, 1, 35.0, median_s=6.0, min_s=5.0, spent_s=6.0)
    elsewhere = Row("votes", "other", sizes, 2, 35.0, median_s=6.0, min_s=5.0)
    filled = rows.with_ratios([other, base, elsewhere])
    assert [row.ratio_to_polyad for row in filled] == [3.0, 1.0, None]
    assert [row.rate for row in filled] == [35 / 6, 17.5, 35 / 6]
    claim = Claim.of("votes", 3.5, base, other)
    assert (claim.ratio, claim.ratio_of_minima, claim.ratio_of_processor) == (3.0, 5.0, 4.0)
    assert claim.holds is False
    assert Claim.of("votes", None, base, other).holds is None


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (1.5, "1.5 s"), (0.0123, "12.3 ms"), (4e-5, "40 µs")]
)
def test_seconds_are_written_with_their_unit(value, text):
    assert rows.seconds(value) == text
