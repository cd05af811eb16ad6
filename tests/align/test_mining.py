"""The mining loop: it finds more, it can be interrupted anywhere, and it says what is wrong."""

import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from mining_cases import corpus

from polyad.align.formats import read_named_beads
from polyad.align.mining import Miner, begin
from polyad.align.mining_settings import MiningSettings
from polyad.align.vectors import WordVectors
from polyad.run import Run, RunError

pytest.importorskip("gensim")

FAST = {
    "mode": "bleualign",
    "dimension": 24,
    "epochs": 25,
    "window": 8,
    "min_count": 1,
    "rounds": 2,
}
DOCUMENTS = corpus(documents=20)


def mine(folder, documents=DOCUMENTS, report=None, **settings):
    run = begin(folder, MiningSettings(**(FAST | settings)), {})
    return Miner(run, lambda: documents, report=report).mine()


def results(folder):
    """Everything that must be the same after an interrupt."""
    paths = [p for p in sorted(folder.rglob("*")) if p.is_file()]
    kept = {
        str(p.relative_to(folder)): p.read_bytes()
        for p in paths
        if p.suffix not in (".json", ".png", ".html")
    }
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics.pop("seconds_mining")
    kept["metrics"] = str(metrics)
    history = json.loads((folder / "history.json").read_text())["columns"]
    history.pop("seconds_round")
    return kept, history


@pytest.fixture(scope="module")
def mined(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mining") / "run"
    reports = []
    metrics = mine(folder, report=reports.append)
    return folder, metrics, reports


def test_the_loop_finds_more_than_bleu(mined):
    folder, metrics, _ = mined
    rounds = Run.open(folder, model="mining").history("round", "yield_percent")
    assert [row["round"] for row in rounds] == list(range(int(metrics["rounds"])))
    assert metrics["rounds"] == 2
    assert metrics["yield_percent"] == max(row["yield_percent"] for row in rounds)
    assert metrics["gain_percent"] > 30
    assert metrics["accuracy_estimated_percent"] >= 95
    assert metrics["sentences_source"] == sum(len(d.source) for d in DOCUMENTS)


def test_a_run_holds_what_it_says(mined):
    folder, metrics, _ = mined
    sources = (folder / "mined-s").read_text().splitlines()
    targets = (folder / "mined-t").read_text().splitlines()
    assert len(sources) == len(targets) == metrics["beads"]
    by_name = {d.name: d for d in DOCUMENTS}
    pairs = []
    for name, beads in read_named_beads(folder / "mined.tsv.gz", "tsv"):
        for bead in beads:
            assert bead.score >= metrics["threshold"]
            document = by_name[name]
            pairs.append(
                (
                    " ".join(document.source[i] for i in bead.source),
                    " ".join(document.target[j] for j in bead.target),
                )
            )
    assert pairs == list(zip(sources, targets, strict=True))
    assert not (folder / "round-0" / "vectors.bin").exists()
    assert (folder / "round-1" / "vectors.bin").is_file()
    if pytest.importorskip("matplotlib"):
        assert (folder / "pictures" / "yield.png").stat().st_size > 1000


def test_a_mining_leaves_a_page(mined):
    folder, metrics, _ = mined
    page = (folder / "report.html").read_text()
    assert f"<b>{metrics['beads']:,.0f}</b><span>pairs mined</span>" in page
    for made in Run.open(folder).history("yield_percent"):
        assert f"<td>{made['yield_percent']:.2f} %</td>" in page
    sides = [(folder / name).read_text().splitlines() for name in ("mined-s", "mined-t")]
    pairs = set(zip(*sides, strict=True))
    rows = re.findall(r'<tr><td>(.*?)</td><td class="words">(.*?)</td><td>(.*?)</td></tr>', page)
    assert len(rows) == 16
    assert {(source, target) for source, target, _ in rows} <= pairs
    lowest = [float(score) for _, _, score in rows[:8]]
    assert lowest == sorted(lowest)
    assert lowest[0] == pytest.approx(metrics["threshold"], abs=0.001)


def test_progress_is_reported(mined):
    _, metrics, reports = mined
    assert {report["stage"] for report in reports} == {"align", "vectors", "done"}
    done = [report for report in reports if report["stage"] == "done"]
    assert [report["round"] for report in done] == list(range(int(metrics["rounds"])))
    assert max(report["done"] for report in reports if report["stage"] == "align") == 20


class Stop(Exception):
    pass


@pytest.mark.parametrize(
    ("stage", "number"), [("align", 0), ("vectors", 1), ("align", 1), ("done", 0)]
)
def test_an_interrupted_mining_goes_on_to_the_same_end(mined, tmp_path, stage, number):
    folder = tmp_path / "run"

    def stop(report):
        if (report["stage"], report["round"]) == (stage, number) and report["done"] in (0, 5):
            raise Stop

    with pytest.raises(Stop):
        mine(folder, report=stop)
    assert not list(folder.rglob(".*.part"))
    Miner(Run.open(folder, model="mining"), lambda: DOCUMENTS).mine()
    assert results(folder) == results(mined[0])


KILLED = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_mining import mine
mine(Path({folder!r}), report=lambda info: print(info["stage"], info["round"], flush=True))
"""


def test_a_killed_mining_goes_on_to_the_same_end(mined, tmp_path):
    folder = tmp_path / "run"
    code = KILLED.format(tests=str(Path(__file__).parent), folder=str(folder))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as job:
        for line in job.stdout:
            if line == "vectors 1\n":
                time.sleep(0.02)
                job.send_signal(signal.SIGKILL)
                break
    Miner(Run.open(folder), lambda: DOCUMENTS).mine()
    assert results(folder) == results(mined[0])


def test_a_finished_mining_is_left_as_it_is(mined, tmp_path):
    before = results(mined[0])
    Miner(Run.open(mined[0]), lambda: DOCUMENTS).mine()
    assert results(mined[0]) == before


def test_other_documents_are_refused(mined):
    with pytest.raises(RunError, match=r"begun with other documents \(20 with 500"):
        Miner(Run.open(mined[0]), lambda: DOCUMENTS[1:]).mine()


def test_a_folder_is_replaced_whole(tmp_path):
    mine(tmp_path / "run", rounds=1)
    begin(tmp_path / "run", MiningSettings(rounds=1), {})
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["settings.json"]


def test_a_command_translates_each_round_from_the_pairs(tmp_path):
    bare = corpus(documents=20, translate=False)
    log = tmp_path / "log"
    command = f"wc -l < {{source}} >> {log}; cat {{target}} > /dev/null; sed 's/s/t/g'"
    metrics = mine(tmp_path / "run", bare, translate=command)
    lines = [int(line) for line in log.read_text().split()]
    first = (tmp_path / "run" / "round-0" / "pairs-s").read_text().count("\n")
    assert lines == [0, first]
    assert metrics["yield_first_percent"] > 20
    once = mine(tmp_path / "once", bare, translate="sed 's/s/t/g'")
    assert once["sentences"] == metrics["sentences"]
    assert not (tmp_path / "once" / "round-1" / "translation.txt").exists()


def test_gloss_translates_by_the_vectors_of_the_round(tmp_path):
    metrics = mine(tmp_path / "run", translate="gloss")
    assert not (tmp_path / "run" / "round-0" / "translation.txt").exists()
    text = (tmp_path / "run" / "round-1" / "translation.txt").read_text().splitlines()
    assert len(text) == metrics["sentences_source"]
    words = " ".join(text).split()
    assert sum(word[0] in "tu" for word in words) > 0.9 * len(words)


def test_known_pairs_are_learned_from(tmp_path):
    for name, text in (("known.s", "s1 k\ns2 k\n"), ("known.t", "t1 known\nt2 known\n")):
        (tmp_path / name).write_text(text)
    known = str(tmp_path / "known.s"), str(tmp_path / "known.t")
    mine(tmp_path / "run", known=known)
    words = WordVectors.load(tmp_path / "run" / "round-1" / "vectors.bin").words
    assert {"k", "known"} <= set(words)
    again = Miner(Run.open(tmp_path / "run"), lambda: DOCUMENTS)
    assert again.settings.known == known
    (tmp_path / "known.t").write_text("t1\n")
    with pytest.raises(ValueError, match="known: expected as many lines in both files, got 2 in"):
        mine(tmp_path / "two", known=known)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("head -n 3", "expected 500 lines, one for each it was given, got 3"),
        ("exit 7", "failed with exit code 7"),
        ("sed 's/.*/\\xff/'", "bytes that are not UTF-8"),
    ],
)
def test_a_command_that_fails_leaves_a_run_that_can_go_on(tmp_path, command, message):
    folder = tmp_path / "run"
    with pytest.raises(ValueError, match=message):
        mine(folder, translate=command)
    assert not (folder / "round-0" / "translation.txt").exists()
    assert not list(folder.rglob(".*.part"))


def test_the_mode_accurate_mines_beside_the_translations_given(tmp_path):
    metrics = mine(tmp_path / "run", mode="accurate", translate="gloss")
    plain = mine(tmp_path / "plain", mode="accurate", rounds=1)
    assert metrics["yield_first_percent"] == plain["yield_percent"] > 50
    assert metrics["rounds"] == 2


@pytest.mark.parametrize("mode", ["bleualign", "accurate"])
def test_the_source_has_its_own_words(tmp_path, mode):
    """Vectors that know other words than the aligner looks for would find nothing."""
    dashes = [
        replace(d, source=[text.replace(" ", "-") for text in d.source], translations=())
        for d in DOCUMENTS
    ]
    mine(tmp_path / "spaces")
    vectors = tmp_path / "spaces" / "round-1" / "vectors.bin"
    given = {"vectors": str(vectors), "tokenize": "none", "rounds": 1, "mode": mode}
    want = mine(tmp_path / "want", [replace(d, translations=()) for d in DOCUMENTS], **given)
    found = mine(tmp_path / "found", dashes, source_tokenize="mining_cases:dashes", **given)
    assert found["beads"] == want["beads"] > 0


def test_hopeless_and_empty_corpora_are_refused(tmp_path):
    with pytest.raises(RunError, match=r"no threshold gives an estimated accuracy of 0\.95"):
        mine(tmp_path / "one", corpus(translate=False))
    with pytest.raises(RunError, match="hold no sentences"):
        mine(tmp_path / "two", [])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "best"}, "mode: expected one of bleualign, accurate, got 'best'"),
        ({"matching": "all"}, "matching: expected one of"),
        ({"accuracy": 1.0}, r"accuracy: expected between 0 and 1, got 1\.0"),
        ({"training_accuracy": 0.0}, r"training_accuracy: expected between 0 and 1, got 0\.0"),
        ({"min_gain": -0.1}, r"min_gain: expected at least 0, got -0\.1"),
        ({"least_cosine": 2.0}, r"least_cosine: expected 0 to 1, got 2\.0"),
        ({"rounds": 0}, "rounds: expected at least 1, got 0"),
        ({"epochs": 0}, "epochs: expected at least 1"),
        ({"tokenize": "klingon"}, "klingon"),
        ({"translate": " "}, "translate: expected a command"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        MiningSettings(**settings)


def test_damaged_settings_are_named(tmp_path):
    begin(tmp_path / "run", MiningSettings(), {})
    path = tmp_path / "run" / "settings.json"
    content = json.loads(path.read_text())
    content["rounds"] = "many"
    path.write_text(json.dumps(content))
    with pytest.raises(RunError, match=r"settings\.json: damaged"):
        Miner(Run.open(tmp_path / "run"), lambda: DOCUMENTS)
