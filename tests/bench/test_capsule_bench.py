"""The capsule family of the benchmarks, at sizes that take no time."""

import json
from dataclasses import replace

import pytest

from polyad import bench
from polyad.bench import harness, rows
from polyad.bench.harness import Limits, Seconds

torch = pytest.importorskip("torch")

from polyad.bench import (  # noqa: E402
    capsule,
    capsule_cases,
    capsule_cuda,
    capsule_network,
    capsule_peers,
    capsule_pieces,
    capsule_routing,
)
from polyad.bench.capsule_cases import Case  # noqa: E402

SMALL = Case(6, I=20, J=3, D=4, K=5)
TINY = capsule_cases.Settings(
    main=(SMALL, replace(SMALL, detach=True)),
    others=(replace(SMALL, B=1), replace(SMALL, types=4), replace(SMALL, I=30)),
    large=(),
    memory=(),
    claimed=SMALL,
    in_blocks=(SMALL,),
    blocks=(4, 2),
    pieces=(2,),
    network=(2,),
    preset="digits",
    limits=Limits(full_s=5.0, budget_s=0.001, least_repetitions=2, most_repetitions=2),
    large_limits=Limits(full_s=0.5, budget_s=0.0, least_repetitions=1),
    rounds=2,
    compile_s=0.0,
    rivals_on_all_threads=False,
)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(capsule, "QUICK", TINY)


def run(tmp_path, **arguments):
    file = tmp_path / "rows.json"
    code = bench.main("capsule", quick=True, json_path=file, **arguments)
    document = json.loads(file.read_text())
    return code, document["rows"], document


def test_a_run_writes_complete_rows_and_a_figure(tiny, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "cost.png"
    code, found, document = run(tmp_path, threads=[1, 2], plot_path=picture, op="routing")
    assert code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert document["family"] == "capsule"
    assert all(row["status"] == rows.MEASURED for row in found)
    assert all(0 < row["min_s"] <= row["median_s"] and row["processor_s"] > 0 for row in found)

    main = {(r["op"], r["peer"], r["threads"]) for r in found if r["B"] == 6}
    ops = (capsule_routing.BOTH, f"{capsule_routing.BOTH}, detached", capsule_routing.INFERENCE)
    peers = ("polyad", *capsule_peers.EAGER_PEERS)
    assert {(op, peer, 1) for op in ops for peer in peers} <= main
    assert {(op, "polyad", 2) for op in ops} <= main
    blocks = [capsule_peers.in_blocks(capsule_peers.BMM, samples) for samples in (4, 2)]
    assert {(ops[0], peer, 1) for peer in blocks} <= main
    assert not {(ops[1], peer, 1) for peer in blocks} & main
    others = {(r["op"], r["peer"], r["B"]) for r in found}
    assert (f"{capsule_routing.BOTH}, 4 types", capsule_peers.EINSUM, 6) in others
    assert (capsule_routing.BOTH, capsule_peers.BMM, 1) in others
    printed = capsys.readouterr().out
    assert "processor" in printed
    assert "Stated ratios" in printed


def test_what_is_stated_is_about_processor_times_of_one_thread():
    case = capsule.FULL.claimed
    blocks = capsule_peers.in_blocks(capsule_peers.COMPILED, 16)
    spent = {
        capsule_peers.OURS: 1.0,
        capsule_peers.EINSUM: 16.0,
        capsule_peers.BMM: 9.0,
        capsule_peers.POPULAR: 14.0,
        capsule_peers.COMPILED: 5.0,
        capsule_peers.COMPILED_FACTORED: 4.0,
        blocks: 2.0,
    }
    measured = [
        replace(
            case.row(capsule_routing.BOTH, peer),
            threads=threads,
            median_s=100.0,  # as on a machine that does other things, too
            min_s=1.0,
            spent_s=seconds,
        )
        for threads in (1, 2)
        for peer, seconds in spent.items()
    ]
    memory = replace(case.row(capsule_routing.MEMORY), extra_bytes=8e6)
    large = capsule.FULL.large[0]
    whole = replace(large.row(capsule_routing.MEMORY), extra_bytes=1e9)
    claims = capsule.claims(capsule.FULL, [*measured, memory, whole])

    stated = {c.required: c for c in claims if c.required and c.ratio_of_processor}
    assert set(stated) == {3, 8, 15}
    assert all("1 thread" in claim.text for claim in stated.values())
    assert [stated[k].ratio_of_processor for k in (3, 8, 15)] == [4, 9, 14]
    assert [stated[k].holds for k in (3, 8, 15)] == [True, True, False]
    assert capsule_peers.COMPILED_FACTORED in stated[3].text
    assert capsule_peers.BMM in stated[8].text
    beside = [c for c in claims if blocks in c.text and "1 thread" in c.text]
    assert [(c.required, c.ratio_of_processor) for c in beside] == [(None, 2)]
    of_memory = [c for c in claims if "MB / " in c.text]
    assert of_memory[0].ratio == 2
    assert of_memory[1].ratio == pytest.approx(
        3e9 / (1e9 + capsule_routing.inputs_and_outputs(large))
    )
    # the same of another case is not stated
    quick = replace(capsule.FULL, claimed=Case(32))
    found = [replace(row, sizes=Case(32).sizes()) for row in measured]
    assert all(claim.required is None for claim in capsule.claims(quick, found))


@pytest.mark.parametrize("name", capsule_peers.EAGER_PEERS)
@pytest.mark.parametrize(
    "options", [{}, {"detach": True}, {"leaky": True}, {"r": 1}, {"r": 4, "leaky": True}]
)
@pytest.mark.parametrize("block", [None, 4])
def test_every_formulation_computes_what_ours_does(name, options, block):
    case = replace(SMALL, **options)
    if block:
        name = capsule_peers.in_blocks(name, block)
    formulation = capsule_peers.make(name, case, 0.0)
    assert capsule_routing.disagreement(case, formulation, capsule_peers.ours(case)) == ""


@pytest.mark.parametrize("name", [capsule_peers.EINSUM, capsule_peers.BMM])
def test_shared_weights_are_those_of_the_type(name):
    case = replace(SMALL, types=3)
    kind = case.options()["capsule_type"]
    assert kind.dtype == torch.int32
    assert len(kind) == case.I
    formulation = capsule_peers.make(name, case, 0.0)
    assert capsule_routing.disagreement(case, formulation, capsule_peers.ours(case)) == ""


def test_blocks_give_what_the_whole_batch_gives():
    u, _, grad = SMALL.inputs()
    whole = capsule_peers.make(capsule_peers.EINSUM, SMALL, 0.0)
    blocks = capsule_peers.make(capsule_peers.in_blocks(capsule_peers.EINSUM, 4), SMALL, 0.0)
    for got, want in zip(blocks.both(u, grad), whole.both(u, grad), strict=True):
        assert torch.allclose(got, want, atol=1e-6)
    assert torch.allclose(blocks.inference(u), whole.inference(u), atol=1e-6)


def test_a_rival_that_disagrees_fails_the_run(tiny, tmp_path, monkeypatch):
    def wrong(case, weight):
        eager = capsule_peers.bmm(case, weight)
        return replace(eager, forward=lambda u, weight: eager.forward(u, weight) * 1.1)

    monkeypatch.setitem(capsule_peers.EAGER_PEERS, capsule_peers.EINSUM, wrong)
    code, found, _ = run(tmp_path, threads=[1], op="routing")
    assert code == 1
    failed = [row for row in found if row["status"] == rows.FAILED]
    assert {row["peer"].partition(capsule_peers.BLOCKS)[0] for row in failed} == {
        capsule_peers.EINSUM
    }
    assert all("disagrees with polyad" in row["note"] for row in failed)


def test_a_compiler_that_takes_too_long_is_a_row(tiny, tmp_path, monkeypatch):
    settings = replace(TINY, main=(SMALL,), others=(), compile_s=7.0)
    monkeypatch.setattr(capsule, "QUICK", settings)

    def slow(case, eager, limit_s):
        raise TimeoutError(f"more than {limit_s:.0f} s")

    monkeypatch.setattr(capsule_peers, "_compiled", slow)
    code, found, _ = run(tmp_path, threads=[1], op="routing")
    assert code == 0
    late = [row for row in found if row["status"] == rows.OUT_OF_TIME]
    assert len(late) == 4  # two formulations, whole and in blocks
    assert {row["note"] for row in late} == {"compiling: more than 7 s"}


def test_the_network_and_the_pieces(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(capsule_routing, "routing", lambda here: None)
    code, found, _ = run(tmp_path, threads=[1])
    assert code == 0
    assert all(row["status"] == rows.MEASURED for row in found)
    assert {(row["op"], row["peer"]) for row in found} == {
        *(
            (f"{op} forward+backward", peer)
            for op in capsule_pieces.OPS
            for peer in ("polyad", capsule_pieces.EAGER)
        ),
        (capsule_network.STEP, "polyad"),
        *((capsule_network.STEP, n) for n in capsule_network.PEERS if "compile" not in n),
    }


def test_the_cuda_cases_rehearsed_on_the_cpu(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(capsule_routing, "routing", lambda here: None)
    monkeypatch.setattr(capsule_cuda, "DEVICE", "cpu")
    monkeypatch.setattr(capsule_cuda, "graphed", lambda f, u, grad: lambda: f.both(u, grad))
    monkeypatch.setattr(harness, "cuda_missing", lambda: None)
    monkeypatch.setattr(harness, "cuda_clock", harness.wall_clock)
    monkeypatch.setattr(harness, "machine", lambda: {"cpu": "some", "isa": "v2"})
    code, found, _ = run(tmp_path, threads=[1], op="routing")
    assert code == 0
    assert all((row["device"], row["status"]) == ("cuda", rows.MEASURED) for row in found)
    peers = {row["peer"] for row in found if row["op"] == capsule_routing.BOTH and row["B"] == 6}
    assert {"polyad", capsule_peers.EINSUM, capsule_cuda.GRAPHED} <= peers


def test_formulations_take_turns():
    order = []

    def clock(call):
        order.append(call())
        return Seconds(1.0, 0.25)

    timings = harness.measure_in_turn(
        {"a": lambda n: lambda: "a", "b": lambda n: lambda: "b"},
        4,
        Limits(budget_s=1.0),
        rounds=2,
        steps={"a": 4, "b": 4},
        clock=clock,
    )
    assert order == ["a", "b", *"aabb", *"aabb"]  # once to see, then four of each
    assert {timing.repetitions for timing in timings.values()} == {4}


@pytest.mark.slow
@pytest.mark.parametrize("name", capsule_peers.COMPILED_PEERS)
def test_the_compiled_formulations_compute_the_same(name):
    compiled = capsule_peers.make(name, SMALL, 300.0)
    assert compiled.prepare_s > 0
    assert capsule_routing.disagreement(SMALL, compiled, capsule_peers.ours(SMALL)) == ""


@pytest.mark.slow
def test_memory_is_measured_in_processes_of_their_own(tiny, tmp_path, monkeypatch):
    case = Case(32, I=512)
    settings = replace(TINY, main=(), others=(), memory=(case,), claimed=case, large=())
    monkeypatch.setattr(capsule, "QUICK", settings)
    code, found, document = run(tmp_path, threads=[1], op="routing")
    assert code == 0
    extra = {row["peer"]: row["extra_bytes"] for row in found}
    assert extra[capsule_peers.EINSUM] > case.votes_bytes()
    assert extra["polyad"] < case.votes_bytes()
    (claim,) = document["claims"]
    assert "extra memory of polyad" in claim["claim"]
    assert claim["holds"]
