"""Training, stopping, going on and measuring of a Neural Turing Machine, on the smallest sizes."""

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("lightning")
pytest.importorskip("tensorboard")
pytest.importorskip("matplotlib")

import torch
from safetensors.torch import load_file

from polyad.data.ntm_tasks import task
from polyad.recipes import ntm, ntm_measure, training
from polyad.recipes.ntm_settings import PRESETS
from polyad.run import Interrupted, Run, RunError

SMALL = {
    "ranges": {"longest": 2},
    "network": {"hidden_size": 8, "memory_rows": 6, "memory_width": 4},
}
FIRST, LAST_BITS = Path(__file__).parent / "ntm-1", 3.2662298
PLAN = {"batch": 2, "sequences": 44, "validate_every": 10, "validation": 6, "lr": 1e-2}
UNTIMED = ("seconds", "seconds_train")


def train(out, *, plan=(), **options):
    made = {**SMALL, **options}
    return ntm.train(out, task="copy", plan={**PLAN, **dict(plan)}, **made)


def untimed(path):
    content = json.loads(path.read_text())
    columns = content.get("columns", content)
    return {name: values for name, values in columns.items() if name not in UNTIMED}


def weights(run, name="model.ckpt"):
    content = torch.load(run / name, weights_only=True)
    state = content["optimizer_states"][0]["state"]
    return content["state_dict"], state


def assert_same(run, whole):
    """All but the times and the logs is equal, bit for bit."""
    assert untimed(run / "history.json") == untimed(whole / "history.json")
    assert untimed(run / "metrics.json") == untimed(whole / "metrics.json")
    one, other = (load_file(folder / "model.safetensors") for folder in (run, whole))
    torch.testing.assert_close(one, other, rtol=0, atol=0)
    for one, other in zip(weights(run), weights(whole), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    names = {str(path.relative_to(run)).partition(".tfevents")[0] for path in run.rglob("*")}
    assert names == {
        str(path.relative_to(whole)).partition(".tfevents")[0] for path in whole.rglob("*")
    }
    log = [row.split(",")[0] for row in (run / "logs/metrics.csv").read_text().splitlines()]
    assert log == [
        row.split(",")[0] for row in (whole / "logs/metrics.csv").read_text().splitlines()
    ]


draw = ntm_measure.draw


@pytest.fixture(scope="module", autouse=True)
def _undrawn():
    """Pictures take longer than all the rest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ntm_measure, "draw", lambda *_: None)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nobody interrupted; tests must not change it."""
    return train(tmp_path_factory.mktemp("whole") / "run").path


def test_what_a_run_holds(whole):
    names = {path.name for path in whole.iterdir()}
    assert names >= {"settings.json", "history.json", "metrics.json", "longer.json", "logs",
                     "model.ckpt", "model.safetensors", "report.html"}  # fmt: skip
    columns = json.loads((whole / "history.json").read_text())["columns"]
    assert columns["step"] == [5, 10, 15, 20, 22]
    assert columns["sequences"] == [10, 20, 30, 40, 44]
    assert all(math.isfinite(value) for column in columns.values() for value in column)
    metrics = Run.open(whole).metrics()
    assert metrics["sequences_train"] == 44
    assert metrics["sequences_test"] == 1000
    assert metrics["target_bits_per_sequence_length_120"] == 960
    assert metrics["seconds_train"] > 0
    settings = json.loads((whole / "settings.json").read_text())
    assert settings["plan"]["lr"] == 1e-2
    assert settings["task"] == {"name": "copy", "ranges": {"bits": 8, "shortest": 1, "longest": 2}}


def test_the_logs_hold_the_curve(whole):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    columns = json.loads((whole / "history.json").read_text())["columns"]
    head, *rows = [
        line.split(",") for line in (whole / "logs/metrics.csv").read_text().splitlines()
    ]
    found = dict(zip(head, zip(*rows, strict=True), strict=True))
    assert [float(x) for x in found["bits_per_sequence"]] == columns["bits_per_sequence"]
    events = EventAccumulator(str(whole / "logs")).Reload()
    shown = [(event.step, event.value) for event in events.Scalars("bits_per_sequence")]
    assert [step for step, _ in shown] == columns["step"]
    assert [value for _, value in shown] == pytest.approx(columns["bits_per_sequence"], rel=1e-6)


@pytest.mark.parametrize("step", [1, 10, 13])
def test_stop_at_any_step_and_resume(whole, tmp_path, step):
    run = tmp_path / "run"

    def stop(info):
        if info["stage"] == "train" and info["sequences"] >= 2 * step:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "PROGRESS_SECONDS", -1.0)
        patch.setattr(training, "STRETCH_SECONDS", 0.0)  # looks after every step
        with pytest.raises(Interrupted, match="--resume"):
            train(run, on_progress=stop)
        assert training.read_checkpoint(Run.open(run))["polyad"]["step"] == step
        assert not (run / "metrics.json").exists()
    ntm.resume(run)
    assert_same(run, whole)
    with pytest.raises(RunError, match="has finished training"):
        ntm.resume(run)


def test_kill_and_resume(whole, tmp_path):
    run = tmp_path / "run"
    program = (
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "import test_ntm_recipe as test\n"
        "from polyad.recipes import training\n"
        "training.CHECKPOINT_SECONDS = 0.0\n"
        "training.PROGRESS_SECONDS = -1.0\n"
        "training.STRETCH_SECONDS = 0.0\n"
        "test.train(sys.argv[2], on_progress=lambda info: time.sleep(0.1))\n"
    )
    words = [sys.executable, "-c", program, os.path.dirname(__file__), str(run)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        if (run / "logs/metrics.csv").exists():  # the curve has begun
            break
        time.sleep(0.02)
    process.kill()
    _, err = process.communicate()
    assert process.returncode == -signal.SIGKILL, err
    assert 0 < training.read_checkpoint(Run.open(run))["polyad"]["step"] < 22
    (run / ".model.ckpt.1.part").write_bytes(b"as if killed while writing")
    ntm.resume(run)
    assert_same(run, whole)


def test_interrupted_while_measuring(whole, tmp_path, monkeypatch):
    run = tmp_path / "run"
    with monkeypatch.context() as patch:

        def interrupted(*_, **__):
            raise KeyboardInterrupt

        patch.setattr(ntm, "evaluate", interrupted)
        with pytest.raises(Interrupted, match="--resume"):
            train(run)
    ntm.resume(run)
    assert_same(run, whole)


def test_an_interrupt_before_the_first_checkpoint_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)  # a shell's background jobs ignore it
    monkeypatch.setattr("polyad.models.ntm.NTM.loss", interrupted)
    with pytest.raises(Interrupted, match="nothing was written"):
        train(tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert signal.getsignal(signal.SIGINT) is before


def test_stops_when_the_target_is_met_twice(tmp_path):
    run = train(tmp_path / "run", plan={"target_bits": 1e6})
    assert run.history("step") == [{"step": 5}, {"step": 10}]
    assert run.metrics()["steps_train"] == 10


@pytest.mark.parametrize(
    ("network", "plan", "ranges"),
    [
        ({"controller": "lstm", "num_layers": 2}, {}, {"longest": 1}),
        ({"read_heads": 2, "write_heads": 3}, {"optimiser": "adam"}, {}),
        ({"memory_rows": 50, "memory_width": 512}, {"lr": 1.0}, {}),
        ({}, {"lr": 1e4, "batch": 1}, {"longest": 1}),
    ],
)
def test_abuse_ends_in_finite_numbers_or_in_an_error(tmp_path, network, plan, ranges):
    settings = {"network": {**SMALL["network"], **network}, "ranges": {**SMALL["ranges"], **ranges}}
    try:
        run = train(tmp_path / "run", plan=plan, **settings)
    except training.TrainingError as error:
        if not re.match("step [0-9,]+: .*try a learning rate below", str(error)):
            raise
        return
    for row in run.history():
        assert all(math.isfinite(value) for value in row.values())


def test_a_large_batch(tmp_path):
    plan = {"batch": 1500, "sequences": 3000, "validate_every": 1500}
    run = train(tmp_path / "run", plan=plan)
    assert [row["sequences"] for row in run.history()] == [1500, 3000]


@pytest.mark.parametrize("lr", [1e30, 3e38])
def test_a_learning_rate_out_of_reason_names_quantity_and_step(tmp_path, lr):
    with pytest.raises(training.TrainingError) as caught:
        train(tmp_path / "run", plan={"lr": lr, "optimiser": "adam"})
    assert re.match("step [1-9]: .*(not finite| is -?inf| is nan|overflow)", str(caught.value))
    assert f"try a learning rate below {lr:g}" in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_loss_and_gradient_are_looked_at(tmp_path, monkeypatch, value):
    from polyad.models import NTM

    loss = NTM.loss
    calls = []

    def broken(self, batch):
        calls.append(1)
        return loss(self, batch) * (value if len(calls) == 3 else 1.0)

    monkeypatch.setattr(NTM, "loss", broken)
    with pytest.raises(training.TrainingError, match=f"step 3: the loss is {value}"):
        train(tmp_path / "run")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"plan": {"lr": 0.0}}, "lr: expected a number above 0, got 0.0"),
        ({"plan": {"lr": math.nan}}, "lr: expected a number above 0, got nan"),
        ({"plan": {"clip": -1.0}}, "clip: expected a number above 0, got -1.0"),
        ({"plan": {"batch": 0}}, "batch: expected an integer of at least 1, got 0"),
        ({"plan": {"optimiser": "sgd"}}, "optimiser: expected graves-rmsprop or adam, got 'sgd'"),
        ({"plan": {"target_bits": -1.0}}, "target_bits: expected at least 0"),
        ({"plan": {"seed": -1}}, "seed: expected 0 .. 2"),
        ({"preset": "large"}, "preset: expected one of small"),
        ({"ranges": {"longest": 0}}, "longest: expected an integer of at least 1, got 0"),
        ({"devices": 3}, "batch: expected a multiple of devices = 3"),
        ({"devices": 0}, "devices: expected at least 1, got 0"),
    ],
)
def test_settings_that_cannot_be_used_leave_nothing(tmp_path, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        train(tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_an_accelerator_that_is_not_there(tmp_path):
    with pytest.raises(RunError, match="accelerator 'abacus'"):
        train(tmp_path / "run", accelerator="abacus")
    assert not (tmp_path / "run").exists()


def test_a_run_is_replaced_with_the_first_checkpoint_only(whole, tmp_path, monkeypatch):
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    with pytest.raises(RunError, match="holds a run already"):
        train(run)
    with pytest.raises(training.TrainingError):
        train(run, replace_run=True, plan={"lr": 1e30, "optimiser": "adam"})
    assert_same(run, whole)
    (run / "logs/notes.txt").write_text("mine")
    train(run, replace_run=True, plan={"sequences": 4})
    assert (run / "logs/notes.txt").read_text() == "mine"
    assert untimed(run / "history.json")["step"] == [2]
    assert len(list((run / "logs").glob("events*"))) == 1


def damaged(run, name, change):
    path = run / name
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda run: (run / "model.ckpt").unlink(), "before its first checkpoint"),
        (lambda run: (run / "model.ckpt").write_bytes(b"PK no"), "model.ckpt: damaged"),
        (lambda run: damaged(run, "settings.json", lambda s: s.pop("task")), "damaged (task)"),
        (
            lambda run: damaged(run, "settings.json", lambda s: s["task"].update(name="kopy")),
            "damaged (task: task: expected one of copy",
        ),
        (
            lambda run: damaged(run, "settings.json", lambda s: s["network"].update(hidden_size=9)),
            "settings and checkpoint do not fit",
        ),
        (
            lambda run: damaged(run, "settings.json", lambda s: s["plan"].update(pace=9)),
            "settings and checkpoint do not fit",
        ),
    ],
)
def test_a_damaged_run_is_named(whole, tmp_path, damage, message):
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    (run / "metrics.json").unlink()
    damage(run)
    with pytest.raises(RunError) as caught:
        ntm.resume(run)
    assert message in str(caught.value)


def test_the_first_format_goes_on(tmp_path):
    """A run of format_version 1, stopped after 6 of 8 steps; later versions must go on with it."""
    run = tmp_path / "run"
    shutil.copytree(FIRST, run)
    before = Run.open(run).history()
    assert training.read_checkpoint(Run.open(run))["polyad"]["step"] == 6
    made = ntm.resume(run)
    assert made.history()[:3] == before
    assert [row["step"] for row in made.history()] == [2, 4, 6, 8]
    assert made.history()[-1]["bits_per_sequence"] == pytest.approx(LAST_BITS, rel=1e-4)


def test_a_checkpoint_of_a_later_format_is_refused(whole, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    (run / "metrics.json").unlink()
    content = torch.load(run / "model.ckpt", weights_only=True)
    content["polyad"]["format_version"] = 2
    torch.save(content, run / "model.ckpt")
    with pytest.raises(RunError, match="has format_version 2, this polyad reads 1"):
        ntm.resume(run)


def test_evaluate_measures_the_same_again(whole, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    before = untimed(run / "metrics.json")
    found = ntm.evaluate(Run.open(run))
    assert untimed(run / "metrics.json") == before
    assert [row[0] for row in found.rows] == [
        "as trained", "length 10", "length 20", "length 30", "length 50", "length 120",
    ]  # fmt: skip
    model = ntm.load_model(Run.open(run))
    batch = task("copy", longest=2).held_out(1000, seed=0)
    assert found.metrics["bits_per_sequence"] == pytest.approx(
        float(model.measure(batch)[0].mean())
    )


def test_evaluate_on_other_sizes(whole, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    found = ntm.evaluate(Run.open(run), sequences=7, ranges={"shortest": 5, "longest": 5})
    assert found.where == run / "metrics-shortest-5-longest-5.json"
    assert found.metrics["target_bits_per_sequence"] == 40
    with pytest.raises(ValueError, match="bits=3: the model was made for 9 inputs and 8 outputs"):
        ntm.evaluate(Run.open(run), ranges={"bits": 3})
    with pytest.raises(ValueError, match="the task copy has bits, shortest, longest"):
        ntm.evaluate(Run.open(run), ranges={"width": 3})


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_task_trains_and_is_shown(tmp_path, name, monkeypatch):
    if name in ("associative-recall", "n-grams"):
        monkeypatch.setattr(ntm_measure, "draw", draw)
    network = {"hidden_size": 6, "memory_rows": 5, "memory_width": 3}
    ranges = {
        "copy": {"longest": 2},
        "repeat-copy": {"longest": 2, "most": 2},
        "associative-recall": {"most": 2},
        "n-grams": {"predicted": 12},
        "priority-sort": {"vectors": 4, "wanted": 3},
    }[name]
    plan = {"sequences": 8, "batch": 4, "validate_every": 4, "validation": 3}
    run = ntm.train(tmp_path / "run", task=name, ranges=ranges, network=network, plan=plan)
    assert run.finished
    page = run.file("report.html").read_text()
    assert "Step through it" in page
    assert ("bits_per_sequence_optimal" in run.metrics()) == (name == "n-grams")


def test_the_lstm_beside_it_has_no_heads_to_show(tmp_path):
    network = {"hidden_size": 6, "num_layers": 2}
    run = train(tmp_path / "run", preset="lstm", network=network, plan={"sequences": 8})
    assert not run.picture("heads").exists()
    assert "An LSTM learns to copy" in run.file("report.html").read_text()
    with pytest.raises(TypeError, match="memory_rows: not an option of the network 'lstm'"):
        train(tmp_path / "other", preset="lstm")


@pytest.mark.slow
def test_two_processes_share_a_batch(whole, tmp_path):
    """Both take half of every batch; the sums are in another order."""
    run = tmp_path / "run"
    words = [
        "train", "ntm", "--task", "copy", "--range", "longest=2", "--hidden-size", "8",
        "--memory-rows", "6", "--memory-width", "4", "--batch", "2", "--sequences", "44",
        "--validate-every", "10", "--validation", "6", "--lr", "1e-2", "--devices", "2",
        "--out", str(run),
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "polyad", *words], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    ours, theirs = (json.loads((r / "history.json").read_text())["columns"] for r in (run, whole))
    assert ours["step"] == theirs["step"]
    assert ours["bits_per_sequence"] == pytest.approx(theirs["bits_per_sequence"], rel=1e-3)
    assert done.stdout.count("page:") == 1
