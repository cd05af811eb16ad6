"""``polyad mine``: from files to a run folder, and what it refuses."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("gensim")
sys.path.insert(0, str(Path(__file__).parents[1] / "align"))
from mining_cases import corpus

FAST = ("--dimension", 24, "--epochs", 25, "--window", 8, "--rounds", 2)


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """The files of a corpus in the format moses."""
    folder = tmp_path_factory.mktemp("texts")
    documents = corpus(documents=20)
    for name, sides in (
        ("source", [d.source for d in documents]),
        ("target", [d.target for d in documents]),
        ("translation", [d.translations[0] for d in documents]),
    ):
        text = "\n.EOA\n".join("\n".join(side) for side in sides)
        (folder / name).write_text(text + "\n", encoding="utf-8")
    return folder


def sides(texts):
    return ("-s", texts / "source", "-t", texts / "target")


@pytest.fixture(scope="module")
def mined(polyad, texts, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "run"
    result = polyad(
        "mine", *sides(texts), "--srctotarget", texts / "translation", "--out", run, *FAST
    )
    assert result.code == 0, result.err
    return run, result


def test_mine_prints_rounds_and_leaves_pairs(mined):
    run, result = mined
    metrics = json.loads((run / "metrics.json").read_text())
    head, *rows = result.out.splitlines()
    assert head.split() == ["round", "yield", "accuracy", "(est.)", "score", "from", "beads"]
    assert [row.split()[0] for row in rows[:2]] == ["0", "1"]
    assert f"mined-s and mined-t hold the {metrics['beads']:,} pairs of round" in result.out
    lines = [(run / name).read_text().count("\n") for name in ("mined-s", "mined-t")]
    assert lines == [metrics["beads"]] * 2


def test_mine_resumes_with_the_run_s_own_settings(polyad, mined):
    run, result = mined
    again = polyad("mine", "--out", run, "--resume")
    assert again.code == 0, again.err
    assert again.out == result.out
    refused = polyad("mine", "--out", run, "--resume", "--epochs", 3)
    assert refused.code == 2
    assert "leave out --epochs" in refused.err


def test_mine_runs_a_translator(polyad, texts, tmp_path):
    result = polyad(
        "mine", *sides(texts), "--translate", "sed s/s/t/g", "--out", tmp_path / "run", *FAST
    )
    assert result.code == 0, result.err
    failing = polyad(
        "mine", *sides(texts), "--translate", "head -n 2", "--out", tmp_path / "two", *FAST
    )
    assert failing.code == 1
    assert "lines, one for each it was given, got 2" in " ".join(failing.err.split())


def test_an_interrupt_says_how_to_go_on(polyad, texts, interruptible, tmp_path):
    run = tmp_path / "run"
    words = [*sides(texts), "--srctotarget", texts / "translation", "--out", run, *FAST[:2]]
    command = [sys.executable, "-m", "polyad", "mine", *map(str, words), "--epochs", "5000"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as job:
        while not (run / "round-0" / "round.json").exists():
            time.sleep(0.02)
            assert job.poll() is None, job.stderr.read()
        time.sleep(0.2)
        job.send_signal(signal.SIGINT)
        _, said = job.communicate(timeout=60)
    assert job.returncode == 130
    assert f"to go on: polyad mine --out {run} --resume" in " ".join(said.split())
    assert not list(run.rglob(".*.part"))


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ((), 2, "give -s and -t, or documents"),
        (("-s", "here", "-t", "there"), 2, "here: no such file"),
        (("-s", "-", "-t", "there"), 2, "give files, not stdin"),
        (("-s", "here"), 2, "-t, the target text, is missing"),
        (("a.jsonl", "--srctotarget", "b"), 2, "go with -s and -t"),
        (("what.is", "--rounds", "2"), 2, "what is 'what.is'"),
    ],
)
def test_mine_refuses_what_it_cannot_read(polyad, tmp_path, words, code, message):
    result = polyad("mine", *words, "--out", tmp_path / "run")
    assert (result.code, message in " ".join(result.err.split())) == (code, True), result.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--accuracy", "1.5", "accuracy: expected between 0 and 1, got 1.5"),
        ("--known-source", "a", "--known-source and --known-target go together"),
        ("--mode", "best", "expected bleualign or accurate, got 'best'"),
        ("--tokenize", "klingon", "klingon"),
    ],
)
def test_mine_refuses_settings_before_it_writes(polyad, texts, tmp_path, option, value, message):
    result = polyad("mine", *sides(texts), option, value, "--out", tmp_path / "run")
    assert (result.code, message in " ".join(result.err.split())) == (2, True), result.err
    assert not (tmp_path / "run").exists()


def test_mine_replaces_only_with_force(polyad, mined, texts):
    run, _ = mined
    result = polyad("mine", *sides(texts), "--out", run)
    assert result.code == 1
    assert "--resume continues it, --force replaces it" in " ".join(result.err.split())


def test_a_missing_translation_line_is_named(polyad, texts, tmp_path):
    short = tmp_path / "short"
    short.write_text("one line\n")
    result = polyad("mine", *sides(texts), "--srctotarget", short, "--out", tmp_path / "run", *FAST)
    assert result.code == 1
    assert "short" in result.err
