"""`polyad train ntm` and `polyad evaluate` of its runs, as a user types them."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

pytest.importorskip("torch")
pytest.importorskip("lightning")
pytest.importorskip("tensorboard")

SMALL = [
    "--task", "copy", "--range", "longest=2", "--hidden-size", "8", "--memory-rows", "6",
    "--memory-width", "4", "--batch", "2", "--sequences", "24", "--validate-every", "8",
    "--validation", "6",
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _undrawn():
    import torch

    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("polyad.recipes.ntm_measure.draw", lambda *_: None)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def trained(polyad, tmp_path_factory):
    """A finished run, and what the command printed; tests must not change it."""
    folder = tmp_path_factory.mktemp("ntm") / "run"
    result = polyad("train", "ntm", "--out", folder, *SMALL)
    assert result.code == 0, result.err
    return folder, result


def test_train_says_what_it_found_and_where(trained):
    folder, result = trained
    assert result.err == ""
    lines = result.out.splitlines()
    assert lines[-3].startswith("24 sequences of training in ")
    assert lines[-2] == f"page: {folder / 'report.html'}"
    assert lines[-1] == f"next: polyad evaluate {folder} --range NAME=N"
    assert [line.split()[0] for line in lines if line.startswith(("as trained", "length 120"))] == [
        "as", "length",
    ]  # fmt: skip


def test_options_reach_the_settings(polyad, tmp_path):
    words = ["--lr", "1e-3", "--optimiser", "adam", "--clip", "2", "--controller", "lstm",
             "--layers", "2", "--read-heads", "2", "--write-heads", "3", "--seed", "7",
             "--target-bits", "0", "--preset", "paper-ff"]  # fmt: skip
    result = polyad("train", "ntm", "--out", tmp_path / "run", *SMALL, *words)
    assert result.code == 0, result.err
    settings = json.loads((tmp_path / "run/settings.json").read_text())
    network, plan = settings["network"], settings["plan"]
    assert settings["model"] == "ntm"
    assert settings["preset"] == "paper-ff"
    chosen = ("controller", "num_layers", "read_heads", "write_heads", "hidden_size", "memory_rows")
    assert [network[name] for name in chosen] == ["lstm", 2, 2, 3, 8, 6]
    chosen = ("lr", "optimiser", "clip", "seed", "batch", "sequences", "target_bits")
    assert [plan[name] for name in chosen] == [1e-3, "adam", 2.0, 7, 2, 24, 0.0]


def test_evaluate(polyad, trained, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained[0], run)
    result = polyad("evaluate", run, "--sequences", "30", "--seed", "5")
    assert result.code == 0, result.err
    first, *_, last = result.out.splitlines()
    assert first.startswith("30 fresh sequences of copy: ")
    assert last == f"figures: {run / 'metrics.json'}"
    assert json.loads((run / "metrics.json").read_text())["sequences_test_length_50"] == 3
    words = ["--range", "shortest=3", "--range", "longest=3", "--sequences", "4"]
    result = polyad("evaluate", run, *words)
    assert result.code == 0, result.err
    found = json.loads((run / "metrics-shortest-3-longest-3.json").read_text())
    assert found["target_bits_per_sequence"] == 24


USAGE = {
    "no task": (["--task"], [], "--task"),
    "unknown task": (["--task", "kopy"], [], "expected copy or repeat-copy or"),
    "unknown preset": (["--preset", "big"], [], "preset: expected one of small"),
    "unknown controller": (["--controller", "gru"], [], "expected feedforward or lstm, got 'gru'"),
    "range without number": (["--range", "longest"], [], "expected NAME=NUMBER such as longest=20"),
    "range of another task": (["--range", "items=3"], [], "items: the task copy has bits"),
    "empty range": (["--range", "shortest=9"], [], "shortest: expected at most longest = 2, got 9"),
    "batch of none": (["--batch", "0"], [], "for '--batch'"),
    "layers of none": (["--layers", "0"], [], "for '--layers'"),
    "rate that is a word": (["--lr", "fast"], [], "for '--lr'"),
    "negative seed": (["--seed", "-1"], [], "for '--seed'"),
    "no folder": ([], ["--out"], "--out"),
}


@pytest.mark.parametrize("case", USAGE)
def test_wrong_arguments(polyad, tmp_path, case):
    words, missing, message = USAGE[case]
    given = SMALL if words != ["--task"] else SMALL[2:]
    out = [] if missing else ["--out", tmp_path / "run"]
    result = polyad("train", "ntm", *out, *given, *(words if words != ["--task"] else []))
    assert result.code == 2
    assert message in result.err
    assert result.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


FAILS = {
    "learning rate of zero": (["--lr", "0"], "lr: expected a number above 0, got 0"),
    "infinite clip": (["--clip", "inf"], "clip: expected a number above 0, got inf"),
    "negative target": (["--target-bits", "-1"], "target_bits: expected at least 0, got -1"),
    "unknown optimiser": (["--optimiser", "sgd"], "optimiser: expected graves-rmsprop or adam"),
    "unequal shares": (["--devices", "3"], "batch: expected a multiple of devices = 3"),
    "unknown accelerator": (["--accelerator", "abacus"], "accelerator 'abacus'"),
    "heads on a baseline": (["--preset", "lstm"], "not an option of the network 'lstm'"),
    "a rate out of reason": (["--lr", "1e30", "--optimiser", "adam"], "step 2: "),
}


@pytest.mark.parametrize("case", FAILS)
def test_settings_that_fail(polyad, tmp_path, case):
    words, message = FAILS[case]
    result = polyad("train", "ntm", "--out", tmp_path / "run", *SMALL, *words)
    assert result.code == 1
    assert message in result.err
    assert result.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_folders_that_fail(polyad, trained, tmp_path):
    folder = trained[0]
    assert "holds a run already" in polyad("train", "ntm", "--out", folder, *SMALL).err
    (tmp_path / "file").write_text("mine")
    assert "is a file" in polyad("train", "ntm", "--out", tmp_path / "file", *SMALL).err
    assert "not a run's" in polyad("train", "ntm", "--out", tmp_path, *SMALL).err
    assert "nothing to resume" in polyad("train", "ntm", "--out", folder, "--resume").err
    assert "no such folder" in polyad("train", "ntm", "--out", tmp_path / "x", "--resume").err
    result = polyad("train", "ntm", "--out", folder, "--resume", "--lr", "1")
    assert result.code == 2
    assert "leave out --lr" in result.err
    result = polyad("train", "hypernet", "--out", folder, "--resume")
    assert "is a run of ntm, not of hypernet" in result.err
    result = polyad("recall", folder)
    assert result.code == 1
    assert "a run of ntm has nothing to recall" in result.err


def test_evaluate_refuses_what_the_run_does_not_take(polyad, trained, tmp_path):
    result = polyad("evaluate", trained[0], "--data", "digits")
    assert result.code == 2
    assert "a run of ntm takes no --data" in result.err
    result = polyad("evaluate", trained[0], "--range", "bits=5")
    assert result.code == 1
    assert "the model was made for 9 inputs and 8 outputs" in result.err
    result = polyad("evaluate", trained[0], "--range", "items=5")
    assert "the task copy has bits, shortest, longest" in result.err
    (tmp_path / "settings.json").write_text('{"format_version": 1, "model": "hypernet"}')
    result = polyad("evaluate", tmp_path, "--sequences", "5")
    assert result.code == 2
    assert "a run of hypernet takes no --sequences" in result.err


def test_ctrl_c_leaves_a_checkpoint_and_says_how_to_go_on(polyad, trained, tmp_path, monkeypatch):
    monkeypatch.setattr("polyad.recipes.training.PROGRESS_SECONDS", -1.0)
    monkeypatch.setattr("polyad.recipes.training.STRETCH_SECONDS", 0.0)
    run = tmp_path / "run"

    def bar(bars, what):
        def report(info):
            if info.get("sequences") == 10:
                os.kill(os.getpid(), signal.SIGINT)
            elif info["stage"] == "stopping":
                bars.console.print(info["message"])

        return report

    with monkeypatch.context() as patch:
        patch.setattr("polyad.cli.train.sequences_bar", bar)
        result = polyad("train", "ntm", "--out", run, *SMALL)
    assert result.code == 130
    assert result.err.splitlines() == [
        "stopping after this step; once more to stop at the last checkpoint",
        f"polyad: stopped; to go on: polyad train ntm --out {run} --resume",
    ]
    assert polyad("evaluate", run, "--sequences", "5").code == 0  # usable as it is
    (run / "metrics.json").unlink()
    result = polyad("train", "ntm", "--out", run, "--resume")
    assert result.code == 0, result.err
    curves = [json.loads((f / "history.json").read_text())["columns"] for f in (run, trained[0])]
    for columns in curves:
        columns.pop("seconds")
    assert curves[0] == curves[1]


def test_ctrl_c_twice_stops_at_once(polyad, tmp_path, monkeypatch):
    before = signal.getsignal(signal.SIGINT)  # a shell's background jobs ignore it
    monkeypatch.setattr("polyad.recipes.training.PROGRESS_SECONDS", -1.0)
    monkeypatch.setattr("polyad.recipes.training.STRETCH_SECONDS", 0.0)

    def bar(bars, what):
        def report(info):
            if info.get("sequences") == 10:
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGINT)

        return report

    monkeypatch.setattr("polyad.cli.train.sequences_bar", bar)
    result = polyad("train", "ntm", "--out", tmp_path / "run", *SMALL)
    assert result.code == 130
    assert (
        result.err == f"polyad: stopped; to go on: polyad train ntm --out {tmp_path}/run --resume\n"
    )
    assert signal.getsignal(signal.SIGINT) is before


def test_help_needs_neither_torch_nor_lightning():
    program = (
        "import sys; sys.argv = ['polyad', 'train', 'ntm', '--help']\n"
        "from polyad.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print({'torch', 'lightning', 'matplotlib'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "set()"
