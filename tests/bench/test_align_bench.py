"""The family align of the benchmarks, at sizes that take no time, beside rivals that do nothing."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from polyad import bench
from polyad.bench import align, align_cases, align_peers, align_pieces, align_texts, process, rows
from polyad.bench.align_cases import Case
from polyad.bench.harness import Limits, Timing
from polyad.bench.rows import Row
from polyad.ops import align as ops

TINY = align_cases.Settings(
    sentences=(40, 80),
    claimed=40,
    large=80,
    documents=3,
    short=20,
    accurate=(30,),
    ableu=(30,),
    pieces=(60,),
    pairs=30,
    limits=Limits(full_s=2.0, budget_s=0.002, least_repetitions=1, most_repetitions=2),
    repetitions=2,
    budget_s=0.1,
    peer_s=30.0,
)

# Programs with the interfaces of the real ones: they align the first sentences with each other.
BLEUALIGN = """
    import sys
    out = sys.argv[sys.argv.index("-o") + 1]
    assert sys.argv[-4:] == ["-p", "1", "-v", "2"]
    print("reading in article 0:")
    print("alignment: 0 - 0")
    print("alignment: 1,2 - 1")
    open(out + "-s", "w").write("")
"""
BLEUALIGN_CPP = """
    import base64, sys
    header, *lines = sys.stdin.read().splitlines()
    print("src_url\\ttrg_url\\tsrc_text\\ttrg_text\\tbleualign_score")
    for line in lines:
        row = dict(zip(header.split("\\t"), line.split("\\t"), strict=True))
        texts = [base64.b64decode(row[f"{side}_text"]).decode().split() for side in ("src", "trg")]
        translated = base64.b64decode(row["src_translated"]).decode().splitlines()
        assert len(translated) == len(texts[0])
        print(row["src_url"], row["trg_url"], texts[0][0], texts[1][0], 0.5, sep="\\t")
"""
HUNALIGN = """
    import os, sys
    if sys.argv[1] == "-batch":
        for line in open(sys.argv[3]):
            translation, target, ladder = line.rstrip("\\n").split("\\t")
            assert os.path.exists(translation) and os.path.exists(target)
    else:
        assert os.path.getsize(sys.argv[1]) == 0
        print("0\\t0\\t0.9\\n1\\t1\\t0.5\\n3\\t2\\t0.1")
"""


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(align, "QUICK", TINY)


@pytest.fixture
def rivals(tmp_path):
    folder = tmp_path / "rivals"
    (folder / "bleualign").mkdir(parents=True)
    (folder / "bleualign" / "bleualign.py").write_text(textwrap.dedent(BLEUALIGN))
    for name, text in (("cpp", BLEUALIGN_CPP), ("hunalign", HUNALIGN)):
        path = folder / name
        path.write_text(f"#!{sys.executable}\n{textwrap.dedent(text)}")
        path.chmod(0o755)
    return {
        "bleualign": folder / "bleualign",
        "bleualign_cpp": folder / "cpp",
        "hunalign": folder / "hunalign",
    }


def run(tmp_path, **arguments):
    file = tmp_path / "rows.json"
    code = bench.main("align", quick=True, json_path=file, **arguments)
    document = json.loads(file.read_text())
    return code, document["rows"], document


def test_the_growth_beside_rivals_and_its_figure(tiny, rivals, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "growth.png"
    code, found, document = run(tmp_path, threads=[1], op="align", plot_path=picture, **rivals)
    assert code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert {row["status"] for row in found} == {rows.MEASURED}
    peers = (align_peers.BLEUALIGN, align_peers.BLEUALIGN_CPP, align_peers.HUNALIGN)
    assert {(row["peer"], row["n"], row["m"]) for row in found} == {
        (peer, n, m) for peer in (*peers, "polyad") for n, m in ((40, 38), (80, 76))
    }
    ours = [row for row in found if row["peer"] == "polyad"]
    assert {row["variant"] for row in ours} == {
        align_texts.ALIGNING,
        align_texts.FILES,
        align_texts.COMMAND,
    }
    for row in found:
        assert row["median_s"] > 0
        if row["variant"] != align_texts.FILES:
            assert 1e6 < row["extra_bytes"] < 1e9
    notes = {row["peer"]: row["note"] for row in found if row["n"] == 40}
    assert " of 1 1-1 beads differ" in notes[align_peers.BLEUALIGN]
    assert "no gap filling" in notes[align_peers.BLEUALIGN_CPP]

    claimed = {claim["claim"].split(";")[0]: claim for claim in document["claims"]}
    assert claimed["align: Bleualign / polyad"]["required_ratio"] == 100
    assert claimed["align: bleualign-cpp / polyad"]["required_ratio"] == 40
    assert not any("10 s" in text or "MB" in text for text in claimed)
    assert "sentences/s" in capsys.readouterr().out


def test_what_is_stated_of_large_documents_is_shown_of_them_alone():
    large = align.FULL.large
    row = replace(
        Case(large).row("align", "polyad", 1, align_texts.ALIGNING), spent_s=5.0, extra_bytes=75e6
    )
    stated = align.claims(align.FULL, [row])
    assert [claim.text for claim in stated] == [
        f"align: {what} / polyad; n=50,000 m=47,500, 1 thread" for what in ("10 s", "150 MB")
    ]
    assert [claim.holds for claim in stated] == [True, True]
    slow = align.claims(align.FULL, [replace(row, spent_s=11.0, extra_bytes=160e6)])
    assert [claim.holds for claim in slow] == [False, False]
    small = replace(Case(5_000).row("align", "polyad", 1, align_texts.ALIGNING), spent_s=0.5)
    assert align.claims(align.QUICK, [small]) == []


def test_many_documents_and_the_other_modes(tiny, rivals, tmp_path):
    code, found, document = run(tmp_path, threads=[1, 2], op="documents", **rivals)
    assert code == 0
    assert {(row["op"], row["documents"], row["n"], row["m"]) for row in found} == {
        ("documents", 3, 20, 20),
        ("accurate", 3, 20, 20),
    }
    found = [row for row in found if row["op"] == "documents"]
    assert {row["threads"] for row in found if row["peer"] != "polyad"} == {1}
    ours, _ = (row for row in found if row["variant"] == align_texts.ALIGNING)
    assert ours["documents_per_s"] == pytest.approx(3 / ours["median_s"])
    assert "1,000 a second" in document["claims"][-1]["claim"]
    for op in ("accurate", "ableu"):
        code, found, _ = run(tmp_path, threads=[1], op=op)
        assert code == 0
        assert {(row["op"], row["n"]) for row in found} == {(op, 30)}


@pytest.mark.parametrize("op", align_pieces.OPS)
def test_ops_beside_libraries_that_agree(tiny, tmp_path, op):
    code, found, _ = run(tmp_path, threads=[1, 2], op=op)
    assert code == 0
    assert {row["op"] for row in found} == {op}
    assert {1, 2} == {row["threads"] for row in found if row["peer"] == "polyad"}
    assert all(row["median_s"] for row in found)


def test_a_library_that_disagrees_fails_the_run(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(align_pieces, "dense_path", lambda *links, columns: np.zeros(1, int))
    code, found, _ = run(tmp_path, threads=[1], op="best_path")
    assert code == 1
    (failed,) = [row for row in found if row["status"] == rows.FAILED]
    assert "disagrees with polyad" in failed["note"]


def test_sparse_matrices_score_as_we_do():
    pytest.importorskip("scipy")
    sources, targets = align_pieces._encoded(Case(150))
    got, want = align_pieces.sparse_scores(sources, targets), ops.ngram_scores(sources, targets)
    assert np.array_equal(got[0], want[0])
    assert np.allclose(got[2], want[2], rtol=1e-12)


def test_a_dense_table_finds_a_path_of_the_same_sum():
    links = ops.ngram_scores(*align_pieces._encoded(Case(150)))
    dense = align_pieces.dense_path(*links, columns=150)
    assert all(np.diff(links[0][dense]) > 0)
    assert all(np.diff(links[1][dense]) > 0)
    assert links[2][dense].sum() == pytest.approx(links[2][ops.best_path(*links)].sum())


def test_what_rivals_print_is_read():
    assert align_peers._of_log("x\nalignment: 3,4 - 5\nalignment: 6 - 7,8\n") == [
        (3, 5, 5, 6),
        (6, 7, 7, 9),
    ]
    assert align_peers._of_table("header\na\tb\t3 4\t5\t0.1\n") == [(3, 5, 5, 6)]
    ladder = "0\t0\t1\n1\t1\t1\n3\t2\t1\n4\t2\t1\n"
    assert align_peers._of_ladder(ladder) == [(0, 1, 0, 1), (1, 3, 1, 2)]
    # one in the first only, one in the second only, one in both, and one that is not 1-1
    ours, theirs = [(0, 1, 0, 1), (1, 2, 1, 2), (2, 4, 2, 3)], [(0, 1, 0, 1), (1, 2, 2, 3)]
    assert align_peers.differing(ours, theirs) == 2


@pytest.mark.parametrize("whole_group", [True, False])
def test_an_interrupt_ends_the_command_too(tmp_path, interruptible, whole_group):
    """Ctrl-C reaches the starter as well; a signal to one process does not."""
    said = tmp_path / "out"
    command = "import os, time; print(os.getpid(), flush=True); time.sleep(97)"
    code = (
        "import pathlib, sys; from polyad.bench import process;"
        f"process.run([sys.executable, '-S', '-c', {command!r}], pathlib.Path({str(said)!r}),"
        "limit_s=50, limit_bytes=10**9)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], start_new_session=True, stderr=subprocess.DEVNULL
    ) as bench:
        while not (said.exists() and said.read_text().endswith("\n")):
            assert bench.poll() is None
            time.sleep(0.02)
        (os.killpg if whole_group else os.kill)(bench.pid, signal.SIGINT)
        bench.wait(timeout=30)
    rival = Path(f"/proc/{said.read_text().strip()}/stat")
    ends = time.monotonic() + 10
    while rival.exists() and rival.read_text().rsplit(")", 1)[1].split()[0] != "Z":
        assert time.monotonic() < ends, "the command lives on"
        time.sleep(0.02)


def test_a_process_has_limits_of_time_and_memory(tmp_path):
    def ended(code, **limits):
        limits = {"limit_s": 20.0, "limit_bytes": 10**9} | limits
        return process.run([sys.executable, "-S", "-c", code], tmp_path / "out", **limits)

    fine = ended("print('said'); a = b'1' * 60_000_000")
    assert (fine.status, fine.note) == (rows.MEASURED, "")
    assert 60e6 < fine.peak_bytes < 100e6
    assert fine.seconds.elapsed > 0
    assert (tmp_path / "out").read_text() == "said\n"
    slow = ended("while True: pass", limit_s=1.0)
    assert (slow.status, slow.note) == (rows.OUT_OF_TIME, "more than 1 s")
    large = ended("bytearray(500_000_000)", limit_bytes=200_000_000)
    assert large.status == rows.OUT_OF_MEMORY
    assert ended("1 / 0").note == "ZeroDivisionError: division by zero"
    assert ended("import sys; sys.exit(3)").note == "exit code 3"


def test_a_rival_out_of_time_is_not_run_again_and_bounds_its_ratio(rivals, monkeypatch, tmp_path):
    loop = rivals["bleualign"] / "bleualign.py"
    loop.write_text("import sys\nwhile True: pass\n")
    settings = replace(TINY, peer_s=1.0, budget_s=0.0, repetitions=1)
    monkeypatch.setattr(align, "QUICK", settings)
    monkeypatch.setattr(align_texts, "_ours", _nothing_of_ours)
    code, found, document = run(tmp_path, threads=[1], op="align", bleualign=rivals["bleualign"])
    assert code == 0
    (stopped,) = [row for row in found if row["peer"] == align_peers.BLEUALIGN]
    assert (stopped["n"], stopped["status"]) == (40, rows.OUT_OF_TIME)
    (claim,) = [claim for claim in document["claims"] if "Bleualign" in claim["claim"]]
    assert "at least: it was stopped after 1 s" in claim["claim"]
    assert claim["ratio_of_processor"] == pytest.approx(100)


def _nothing_of_ours(here, op, case, folder, options, threads):
    row = case.row(op, "polyad", threads, align_texts.ALIGNING)
    here.add(row, Timing(rows.MEASURED, 0.01, 0.01, 0.01, 1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"family": "ntm", "hunalign": "x"}, "hunalign: expected the family align, got ntm"),
        (
            {"family": "align", "bleualign": "x"},
            "bleualign: expected a checkout with bleualign.py, got",
        ),
        ({"family": "align", "bleualign_cpp": "x"}, "bleualign_cpp: expected a program, got"),
        ({"family": "align", "op": "votes"}, "op: expected one of align, documents"),
    ],
)
def test_a_wrong_rival_is_named_before_anything_runs(arguments, message, tmp_path, monkeypatch):
    for module in (align_texts, align_pieces):
        monkeypatch.setattr(module, "run", lambda *_: pytest.fail("ran"))
    paths = {n: tmp_path / v for n, v in arguments.items() if n not in ("family", "op")}
    with pytest.raises(ValueError, match=message):
        bench.main(**{**arguments, **paths})


def test_tables_show_what_was_prepared_only_where_something_was(capsys):
    from rich.console import Console

    row = Row("align", "polyad", {"n": 5}, 1, 5.0, unit="sentences", median_s=1.0, min_s=1.0)
    rows.print_table(Console(width=150), "align", [row])
    assert "prepare" not in capsys.readouterr().out
    rows.print_table(Console(width=150), "align", [replace(row, prepare_s=2.0)])
    assert "prepare" in capsys.readouterr().out
