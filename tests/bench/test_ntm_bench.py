"""The ntm family of the benchmarks, at sizes that take no time."""

import json
import textwrap
from dataclasses import replace

import pytest

from polyad import bench
from polyad.bench import harness, rows
from polyad.bench.harness import Limits
from polyad.bench.rows import Row

torch = pytest.importorskip("torch")

from polyad.bench import (  # noqa: E402
    ntm,
    ntm_cases,
    ntm_cuda,
    ntm_peers,
    ntm_pieces,
    ntm_scan,
)

TINY = ntm_cases.Settings(
    batches=(1, 3),
    steps=4,
    rows=8,
    width=3,
    hidden=5,
    sweep_batches=(2,),
    sweep_steps=(9,),
    sweep_rows=(5, 16),
    sweep_batch=3,
    limits=Limits(full_s=0.5, budget_s=0.005, most_repetitions=3),
    sweep_limits=Limits(full_s=0.5, budget_s=0.005, most_repetitions=2),
    compile_s=0.0,
    compile_step_s=0.0,
    memory=False,
    rivals_on_all_threads=False,
)

# A machine with the interface of the public one, and none of its mathematics.
PUBLIC = """
    import torch

    class EncapsulatedNTM(torch.nn.Module):
        def __init__(self, inputs, outputs, size, layers, num_heads, N, M):
            super().__init__()
            self.linear = torch.nn.Linear(inputs, outputs)

        def init_sequence(self, batch_size):
            self.state = torch.zeros(batch_size, 1)

        def forward(self, x):
            self.state = self.state + x.sum(1, keepdim=True)
            return self.linear(x) + self.state, self.state
"""


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(ntm, "QUICK", TINY)


@pytest.fixture
def checkout(tmp_path):
    package = tmp_path / "pytorch-ntm" / "ntm"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "aio.py").write_text(textwrap.dedent(PUBLIC))
    return package.parent


def test_a_run_writes_complete_rows_and_a_figure(tiny, checkout, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    file, picture = tmp_path / "rows.json", tmp_path / "cost.png"
    code = bench.main(
        "ntm",
        threads=[1, 2],
        quick=True,
        json_path=file,
        plot_path=picture,
        pytorch_ntm=checkout,
        op="scan",
    )
    assert code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")

    document = json.loads(file.read_text())
    assert document["family"] == "ntm"
    measured = [row for row in document["rows"] if row["op"].startswith("scan")]
    assert all(row["status"] == rows.MEASURED for row in measured)
    assert all(0 < row["min_s"] <= row["median_s"] for row in measured)
    assert all(
        row["us_per_step"] == pytest.approx(row["median_s"] / row["T"] * 1e6) for row in measured
    )
    found = {
        (row["op"], row["peer"], row["B"], row["T"], row["N"], row["threads"]) for row in measured
    }
    peers = (ntm_peers.OURS, ntm_peers.EAGER, ntm_peers.LSTM, ntm_peers.PUBLIC)
    passes = (ntm_scan.BOTH, ntm_scan.FORWARD, ntm_scan.BACKWARD, ntm_scan.INFERENCE)
    main = {(op, peer, batch, 4, 8, 1) for op in passes for peer in peers for batch in (1, 3)}
    swept = {
        (ntm_scan.BOTH, "polyad", *sizes) for sizes in ((2, 4, 8, 1), (1, 9, 8, 2), (3, 4, 16, 1))
    }
    assert main | swept <= found
    assert any("pytorch-ntm" in remark for remark in document["remarks"])
    claim = document["claims"][0]
    assert claim["required_ratio"] == 30
    assert "torch eager" in claim["claim"]
    assert "µs/step" in capsys.readouterr().out


def test_forward_and_backward_apart_do_what_they_do_together():
    case = ntm_cases.Case.of(TINY, B=2)
    inputs, grad = case.sequences()
    ours = ntm_peers.ours(case)
    out, *grads = ours.both(inputs, grad)
    assert len(grads) == len(ours.parameters)
    for op in (ntm_scan.BOTH, ntm_scan.FORWARD, ntm_scan.BACKWARD, ntm_scan.INFERENCE):
        result = ntm_scan._calls(op, ours, inputs, grad)(case.T)()
        if op == ntm_scan.BACKWARD:
            assert all(map(torch.equal, result(), grads))
        elif op == ntm_scan.BOTH:
            assert all(map(torch.equal, result, (out, *grads)))
        else:
            assert torch.equal(result, out)
            assert result.requires_grad == (op == ntm_scan.FORWARD)


def test_every_piece_is_measured_beside_the_reference(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(ntm_scan, "scan", lambda here: None)
    file = tmp_path / "rows.json"
    assert bench.main("ntm", threads=[1], quick=True, json_path=file) == 0
    found = {(r["op"], r["peer"], r["B"]) for r in json.loads(file.read_text())["rows"]}
    assert found == {
        (f"{op} forward+backward", peer, batch)
        for op in ntm_pieces.OPS
        for peer in (ntm_peers.OURS, ntm_peers.EAGER)
        for batch in TINY.batches
    }


def test_the_cuda_cases_rehearsed_on_the_cpu(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(ntm_scan, "scan", lambda here: None)
    monkeypatch.setattr(ntm_pieces, "OPS", ())
    monkeypatch.setattr(ntm_cuda, "DEVICE", "cpu")
    monkeypatch.setattr(ntm_cuda, "graphed", lambda f, inputs, grad: lambda: f.both(inputs, grad))
    monkeypatch.setattr(harness, "cuda_missing", lambda: None)
    monkeypatch.setattr(harness, "cuda_clock", harness.wall_clock)
    monkeypatch.setattr(harness, "machine", lambda: {"cpu": "some", "isa": "v2"})
    file = tmp_path / "rows.json"
    assert bench.main("ntm", threads=[1], quick=True, json_path=file) == 0
    found = json.loads(file.read_text())["rows"]
    assert all((row["device"], row["status"]) == ("cuda", rows.MEASURED) for row in found)
    sizes = {(row["N"], row["B"], row["T"], row["peer"]) for row in found}
    assert {(8, 3, 4, p) for p in (ntm_peers.OURS, ntm_peers.EAGER, ntm_cuda.GRAPHED)} <= sizes
    assert (16, 3, 4, ntm_peers.OURS) in sizes


def test_what_is_prepared_is_not_timed():
    seen = []
    clock = harness.prepared(lambda call: seen.append(call()) or harness.Seconds(1.0, 1.0))
    assert clock(lambda: lambda: "timed").elapsed == 1.0
    assert seen == ["timed"]


def test_a_rival_that_disagrees_fails_the_run(tiny, tmp_path, monkeypatch):
    def wrong(case):
        eager = ntm_peers.ours(case)
        return replace(eager, forward=lambda inputs: eager.forward(inputs) * 1.1)

    monkeypatch.setattr(ntm_peers, "eager", wrong)
    file = tmp_path / "rows.json"
    assert bench.main("ntm", threads=[1], quick=True, json_path=file, op="scan") == 1
    failed = [row for row in json.loads(file.read_text())["rows"] if row["status"] == rows.FAILED]
    assert {row["peer"] for row in failed} == {ntm_peers.EAGER}
    assert all("disagrees with polyad" in row["note"] for row in failed)


def test_a_compiler_that_takes_too_long_is_a_row(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(ntm, "QUICK", replace(TINY, compile_step_s=7.0, batches=(1,)))

    def slow(case, whole_s, step_s):
        raise TimeoutError(f"more than {step_s:.0f} s")

    monkeypatch.setattr(ntm_peers, "compiled", slow)
    file = tmp_path / "rows.json"
    assert bench.main("ntm", threads=[1], quick=True, json_path=file, op="scan") == 0
    (row,) = [r for r in json.loads(file.read_text())["rows"] if r["peer"] == "torch.compile"]
    assert row["status"] == rows.OUT_OF_TIME
    assert row["note"] == "compiling: more than 7 s"


def test_a_whole_sequence_that_compiles_too_long_is_compiled_by_steps(monkeypatch):
    case = ntm_cases.Case.of(TINY)
    tried = []

    def compiled(case, limit_s, make):
        tried.append((make.__name__, limit_s))
        if make is ntm_peers._compiled_loop:
            raise TimeoutError
        return ntm_peers.eager(case)

    monkeypatch.setattr(ntm_peers, "_compiled", compiled)
    assert ntm_peers.compiled(case, 2.0, 5.0).note == ntm_peers.STEP_COMPILED
    assert tried == [("_compiled_loop", 2.0), ("_loop_of_compiled_steps", 5.0)]


@pytest.mark.slow
def test_the_compiled_step_computes_the_same():
    case = ntm_cases.Case.of(TINY, B=2)
    compiled = ntm_peers.compiled(case, 0.0, 300.0)
    assert compiled.prepare_s > 0
    assert ntm_scan.disagreement(case, compiled, ntm_peers.ours(case)) == ""


@pytest.mark.slow
def test_memory_is_measured_in_processes_of_their_own(tiny, tmp_path, monkeypatch):
    settings = replace(TINY, memory=True, rows=64, width=16, steps=200, batches=(8,))
    settings = replace(settings, sweep_batches=(), sweep_steps=(), sweep_rows=())
    monkeypatch.setattr(ntm, "QUICK", settings)
    file = tmp_path / "rows.json"
    assert bench.main("ntm", threads=[1], quick=True, json_path=file) == 0
    found = {
        row["peer"]: row["extra_bytes"]
        for row in json.loads(file.read_text())["rows"]
        if row["op"] == ntm_scan.MEMORY
    }
    assert found[ntm_peers.EAGER] > 200 * 8 * 64 * 16 * 4  # the memory after every step, at least


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"family": "hypernet"}, "pytorch_ntm: expected the family ntm, got hypernet"),
        ({"family": "ntm"}, "pytorch_ntm: expected a checkout with ntm/aio.py, got"),
    ],
)
def test_a_wrong_checkout_is_named_before_anything_runs(arguments, message, tmp_path, monkeypatch):
    monkeypatch.setattr(ntm, "run", lambda *_: pytest.fail("ran"))
    with pytest.raises(ValueError, match=message):
        bench.main(**arguments, pytorch_ntm=tmp_path)


def test_rows_in_steps_state_microseconds_of_one(capsys):
    row = Row("scan", "polyad", {"T": 41}, 1, 41.0, unit="steps", median_s=41e-5, min_s=1e-5)
    assert row.flat()["us_per_step"] == pytest.approx(10.0)
    assert "us_per_step" not in Row("votes", "polyad", {"N": 1}, 1, 1.0).flat()
    from rich.console import Console

    rows.print_table(Console(width=150), "scan", rows.with_ratios([row]))
    printed = capsys.readouterr().out
    assert "µs/step" in printed
    assert "packing" not in printed
