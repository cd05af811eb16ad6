"""Training, stopping, going on and measuring of a CapsNet, on the smallest sizes."""

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

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("lightning")
pytest.importorskip("tensorboard")
pytest.importorskip("matplotlib")

import torch
from safetensors.torch import load_file

from polyad.data import DataError, load, load_test
from polyad.recipes import capsnet, capsnet_measure, training
from polyad.recipes.capsnet_measure import seed_errors
from polyad.recipes.capsnet_settings import PRESETS, Preset, preset_for, rate
from polyad.recipes.capsnet_tasks import Batch, task_of, wrong
from polyad.recipes.capsnet_training import Plan
from polyad.report.capsnet import routing
from polyad.run import Interrupted, Run, RunError

TINY = {
    "conv_channels": 4, "conv_kernel": 3, "conv_padding": 0, "types": 2, "primary_size": 4,
    "primary_kernel": 3, "primary_stride": 2, "primary_padding": 0, "output_size": 4,
    "decoder_sizes": (8,),
}  # fmt: skip
MATCHED = {"decoder_sizes": (64,)}
"""Enough parameters for a network of convolutions to have as many."""

PLAN = {"epochs": 3, "batch": 8, "lr": 1e-2, "validation": 10}
FIRST, LAST_LOSS = Path(__file__).parent / "capsnet-1", 0.52104224
UNTIMED = ("seconds", "seconds_train")
STEPS, EPOCH = 18, 6


def bars(count, seed):
    """Pictures of 8 x 8 with a bright bar: label 0 upright, 1 lying, 2 both."""
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 60, (count, 8, 8))
    y = np.arange(count) % 3
    for picture, label in zip(X, y, strict=True):
        if label != 1:
            picture[:, rng.integers(1, 7)] += 150
        if label != 0:
            picture[rng.integers(1, 7)] += 150
    return np.minimum(X, 255).astype(np.uint8), y


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "bars.npz"
    (X, y), (X_test, y_test) = bars(60, 0), bars(30, 1)
    np.savez(path, x_train=X, y_train=y, x_test=X_test, y_test=y_test)
    return str(path)


draw = capsnet_measure.draw


@pytest.fixture(scope="module", autouse=True)
def _undrawn():
    """Pictures take longer than all the rest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(capsnet_measure, "draw", lambda *_: None)
        yield


def train(out, data, *, plan=(), options=(), **more):
    return capsnet.train(
        out, data=data, plan={**PLAN, **dict(plan)}, options={**TINY, **dict(options)}, **more
    )


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """A run that nobody interrupted; tests must not change it."""
    return train(tmp_path_factory.mktemp("whole") / "run", data).path


def untimed(path):
    content = json.loads(path.read_text())
    columns = content.get("columns", content)
    return {name: values for name, values in columns.items() if name not in UNTIMED}


def weights(run):
    content = torch.load(run / "model.ckpt", weights_only=True)
    return content["state_dict"], content["optimizer_states"][0]["state"]


def assert_same(run, whole):
    """All but the times and the logs is equal, bit for bit."""
    assert untimed(run / "history.json") == untimed(whole / "history.json")
    assert untimed(run / "metrics.json") == untimed(whole / "metrics.json")
    one, other = (load_file(folder / "model.safetensors") for folder in (run, whole))
    torch.testing.assert_close(one, other, rtol=0, atol=0)
    for one, other in zip(weights(run), weights(whole), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    names = [
        {str(path.relative_to(folder)).partition(".tfevents")[0] for path in folder.rglob("*")}
        for folder in (run, whole)
    ]
    assert names[0] == names[1]


def test_what_a_run_holds(whole):
    names = {path.name for path in whole.iterdir()}
    assert names >= {"settings.json", "history.json", "metrics.json", "tests.json", "logs",
                     "model.ckpt", "model.safetensors", "report.html"}  # fmt: skip
    columns = json.loads((whole / "history.json").read_text())["columns"]
    assert columns["step"] == [6, 12, 18]
    assert columns["epoch"] == [1, 2, 3]
    assert set(columns) >= {"loss_train", "error_percent_train", "error_percent_validation"}
    assert all(math.isfinite(value) for column in columns.values() for value in column)
    metrics = Run.open(whole).metrics()
    assert metrics["samples_train"] == 50
    assert metrics["samples_validation"] == 10
    assert metrics["samples_test"] == 30
    assert metrics["error_percent_test"] == pytest.approx(100 * metrics["errors_test"] / 30)
    assert metrics["coupling_entropy_bits_iteration_1"] == pytest.approx(math.log2(3), abs=1e-5)
    assert metrics["squared_error_per_picture_test"] > 0
    assert metrics["parameters"] == sum(t.numel() for t in load_file(whole / "model.safetensors").values())  # fmt: skip
    settings = json.loads((whole / "settings.json").read_text())
    assert settings["model"] == "capsnet"
    assert settings["preset"] == "digits"
    assert settings["options"]["conv_channels"] == 4
    assert settings["plan"]["lr"] == 1e-2


def test_the_logs_hold_the_curve(whole):
    columns = json.loads((whole / "history.json").read_text())["columns"]
    head, *rows = [
        line.split(",") for line in (whole / "logs/metrics.csv").read_text().splitlines()
    ]
    found = dict(zip(head, zip(*rows, strict=True), strict=True))
    assert [float(x) for x in found["loss_train"]] == columns["loss_train"]
    assert len(list((whole / "logs").glob("events*"))) == 1


@pytest.mark.parametrize("step", [1, 6, 10])
def test_stop_at_any_step_and_resume(whole, data, tmp_path, step):
    run = tmp_path / "run"

    def stop(info):
        if info["stage"] == "train" and info["step"] >= step:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "PROGRESS_SECONDS", -1.0)
        patch.setattr(training, "STRETCH_SECONDS", 0.0)  # looks after every step
        with pytest.raises(Interrupted, match=r"polyad train capsnet --out .* --resume"):
            train(run, data, on_progress=stop)
        assert training.read_checkpoint(Run.open(run))["polyad"]["step"] == step
        assert not (run / "metrics.json").exists()
    capsnet.resume(run)
    assert_same(run, whole)
    with pytest.raises(RunError, match="has finished training"):
        capsnet.resume(run)


def test_kill_and_resume(whole, data, tmp_path):
    run = tmp_path / "run"
    program = (
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "import test_capsnet_recipe as test\n"
        "from polyad.recipes import training\n"
        "training.CHECKPOINT_SECONDS = 0.0\n"
        "training.PROGRESS_SECONDS = -1.0\n"
        "training.STRETCH_SECONDS = 0.0\n"
        "test.train(sys.argv[2], sys.argv[3], on_progress=lambda info: time.sleep(0.1))\n"
    )
    words = [sys.executable, "-c", program, os.path.dirname(__file__), str(run), data]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        if (run / "logs/metrics.csv").exists():  # the curve has begun
            break
        time.sleep(0.02)
    process.kill()
    _, err = process.communicate()
    assert process.returncode == -signal.SIGKILL, err
    assert 0 < training.read_checkpoint(Run.open(run))["polyad"]["step"] < STEPS
    (run / ".model.ckpt.1.part").write_bytes(b"as if killed while writing")
    capsnet.resume(run)
    assert_same(run, whole)


def test_dropout_goes_on_where_it_was(data, tmp_path):
    """A convolutional network draws random numbers; they follow from seed and step."""
    runs = [tmp_path / name for name in ("whole", "run")]
    train(runs[0], data, network="matched-cnn", options=MATCHED)

    def stop(info):
        if info["stage"] == "train" and info["step"] >= 8:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "PROGRESS_SECONDS", -1.0)
        patch.setattr(training, "STRETCH_SECONDS", 0.0)
        with pytest.raises(Interrupted):
            train(runs[1], data, network="matched-cnn", options=MATCHED, on_progress=stop)
    torch.rand(5)
    capsnet.resume(runs[1])
    assert_same(runs[1], runs[0])
    page = (runs[0] / "report.html").read_text()
    assert "A convolutional network on bars" in page
    assert "What each number of a capsule means" not in page


def test_interrupted_while_measuring(whole, data, tmp_path, monkeypatch):
    run = tmp_path / "run"
    with monkeypatch.context() as patch:

        def interrupted(*_, **__):
            raise KeyboardInterrupt

        patch.setattr(capsnet, "evaluate", interrupted)
        with pytest.raises(Interrupted, match="--resume"):
            train(run, data)
    capsnet.resume(run)
    assert_same(run, whole)


def test_an_interrupt_before_the_first_checkpoint_leaves_nothing(data, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("polyad.models.CapsNet.loss", interrupted)
    with pytest.raises(Interrupted, match="nothing was written"):
        train(tmp_path / "run", data)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("lr", [1e30, 3e38])
def test_a_learning_rate_out_of_reason_names_quantity_and_step(data, tmp_path, lr):
    with pytest.raises(training.TrainingError) as caught:
        train(tmp_path / "run", data, plan={"lr": lr})
    assert re.match(
        "step [1-9]: .*(not finite| is -?inf| is nan|NaN|inf|overflow)", str(caught.value)
    )
    assert f"try a learning rate below {lr:g}" in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_loss_and_gradient_are_looked_at(data, tmp_path, monkeypatch, value):
    from polyad.models import CapsNet

    loss = CapsNet.loss
    calls = []

    def broken(self, *given, **named):
        calls.append(1)
        found = loss(self, *given, **named)
        return found._replace(total=found.total * (value if len(calls) == 3 else 1.0))

    monkeypatch.setattr(CapsNet, "loss", broken)
    with pytest.raises(training.TrainingError, match=f"step 3: the loss is {value}"):
        train(tmp_path / "run", data)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"plan": {"lr": 0.0}}, "lr: expected a number above 0, got 0.0"),
        ({"plan": {"lr": math.nan}}, "lr: expected a number above 0, got nan"),
        ({"plan": {"decay": 1.5}}, "decay: expected above 0 and up to 1, got 1.5"),
        ({"plan": {"cooldown": 2.0}}, "cooldown: expected 0 .. 1, got 2.0"),
        ({"plan": {"batch": 0}}, "batch: expected an integer of at least 1, got 0"),
        ({"plan": {"batch": 51}}, "batch: expected at most the 50 training examples, got 51"),
        ({"plan": {"epochs": 0}}, "epochs: expected an integer of at least 1, got 0"),
        ({"plan": {"shift": -1}}, "shift: expected an integer of at least 0, got -1"),
        ({"plan": {"validation": 60}}, "validation: expected less than the 60 training examples"),
        ({"plan": {"seed": -1}}, "seed: expected 0 .. 2"),
        ({"preset": "large"}, "preset: expected one of digits"),
        ({"options": {"primary_kernel": 9}}, "image_size: expected at least"),
        ({"task": "read"}, "task: expected one of classify, multimnist, affine, got 'read'"),
        ({"network": "mlp"}, "network: expected one of capsnet, cnn, matched-cnn, got 'mlp'"),
        ({"options": {"iterations": 0}}, "iterations: expected"),
        ({"options": {"method": "em"}}, "method: expected 'dynamic' or 'uniform', got 'em'"),
        ({"options": {"reconstruction": -1.0}}, "reconstruction: expected a number at least 0"),
        ({"devices": 3}, "batch: expected a multiple of devices = 3"),
        ({"devices": 0}, "devices: expected at least 1, got 0"),
        ({"image_shape": (4, 4)}, "pictures of 4 x 4 have 16 pixels"),
    ],
)
def test_settings_that_cannot_be_used_leave_nothing(data, tmp_path, options, message):
    if "image_shape" in options:
        flat = tmp_path / "flat.npz"
        np.savez(flat, X=np.ones((9, 64), np.uint8), y=np.arange(9) % 3)
        data = str(flat)
    with pytest.raises(ValueError, match=re.escape(message)):
        train(tmp_path / "run", data, **options)
    assert not (tmp_path / "run").exists()


def test_data_that_are_no_pictures(tmp_path):
    path = tmp_path / "flat.npz"
    for X, message in (
        (np.ones((9, 6), np.uint8), "expected pictures, the examples are 6 features"),
        (-np.ones((9, 8, 8)), "expected pixels of at least 0, got -1"),
    ):
        np.savez(path, X=X, y=np.arange(9) % 3)
        with pytest.raises(DataError, match=message):
            train(tmp_path / "run", str(path))
    np.savez(path, X=np.ones((9, 8, 8), np.uint8), y=np.zeros(9, int))
    with pytest.raises(DataError, match="expected at least two classes"):
        train(tmp_path / "run", str(path))


def test_a_run_is_replaced_with_the_first_checkpoint_only(whole, data, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    with pytest.raises(RunError, match="holds a run already"):
        train(run, data)
    with pytest.raises(training.TrainingError):
        train(run, data, replace_run=True, plan={"lr": 1e30})
    assert_same(run, whole)
    (run / "routing.json").write_text("[]")
    train(run, data, replace_run=True, plan={"epochs": 1, "validation": 0})
    assert untimed(run / "history.json")["step"] == [7]
    assert "error_percent_validation" not in untimed(run / "history.json")
    assert (run / "routing.json").read_text() == "[]"  # what is not a run's stays


def changed(run, change):
    path = run / "settings.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda run: (run / "model.ckpt").unlink(), "before its first checkpoint"),
        (lambda run: (run / "model.ckpt").write_bytes(b"PK no"), "model.ckpt: damaged"),
        (lambda run: changed(run, lambda s: s.pop("task")), "damaged (task)"),
        (lambda run: changed(run, lambda s: s.update(task="read")), "task: expected one of"),
        (lambda run: changed(run, lambda s: s["options"].update(types=3)), "do not fit"),
        (lambda run: changed(run, lambda s: s["plan"].update(pace=9)), "do not fit"),
        (lambda run: changed(run, lambda s: s["data"].update(fingerprint="0")), "has changed"),
    ],
)
def test_a_damaged_run_is_named(whole, tmp_path, damage, message):
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    (run / "metrics.json").unlink()
    damage(run)
    with pytest.raises(RunError) as caught:
        capsnet.resume(run)
    assert message in str(caught.value)


def test_the_first_format_goes_on(tmp_path, monkeypatch):
    """A run of format_version 1, stopped after 6 of 10 steps; later versions must go on with it."""
    run = tmp_path / "run"
    shutil.copytree(FIRST, run)
    monkeypatch.chdir(run)  # its data lie beside it
    before = Run.open(run).history()
    assert training.read_checkpoint(Run.open(run))["polyad"]["step"] == 6
    made = capsnet.resume(run)
    assert made.history()[:1] == before
    assert [row["step"] for row in made.history()] == [5, 10]
    assert made.history()[-1]["loss_train"] == pytest.approx(LAST_LOSS, rel=1e-4)


def test_evaluate_measures_the_same_again(whole, tmp_path, data):
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    before = untimed(run / "metrics.json")
    found = capsnet.evaluate(Run.open(run))
    assert untimed(run / "metrics.json") == before
    assert found.rows[0][:2] == ["held out", "30"]
    assert found.perturbed.shape == (3, 4, 11, 8, 8)
    model = capsnet.load_model(Run.open(run)).eval()
    test = load_test(data)
    images = torch.from_numpy(test.X.reshape(-1, 1, 8, 8) / np.float32(255)).float()
    answers = model.predict(images)
    assert found.metrics["errors_test"] == int((answers != torch.from_numpy(test.y)).sum())


def test_evaluate_on_other_data(whole, tmp_path, data):
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    found = capsnet.evaluate(Run.open(run), data=load_test(data))
    assert found.where == run / "metrics-bars.json"
    assert found.metrics["error_percent_test"] == Run.open(run).metrics()["error_percent_test"]
    with pytest.raises(ValueError, match="expected labels below 3"):
        capsnet.evaluate(Run.open(run), data=load_test("digits"))
    np.savez(tmp_path / "wide.npz", X=np.ones((9, 8, 9), np.uint8), y=np.arange(9) % 3)
    with pytest.raises(ValueError, match=r"expected pictures of 8 x 8, got 8 x 9"):
        capsnet.evaluate(Run.open(run), data=load_test(str(tmp_path / "wide.npz")))


@pytest.mark.parametrize("name", ["multimnist", "affine"])
def test_other_tasks_train_and_are_shown(tmp_path, data, name, monkeypatch):
    monkeypatch.setattr(capsnet_measure, "draw", draw)
    monkeypatch.setattr("polyad.report.capsnet.MOST_MISTAKES", 3)
    monkeypatch.setattr("polyad.report.capsnet.COLUMNS", 3)
    run = train(tmp_path / "run", data, task=name, plan={"epochs": 2})
    assert run.finished
    pictures = {path.stem for path in (run.path / "pictures").iterdir()}
    assert ("segmentation" in pictures) == (name == "multimnist")
    assert ("couplings" in pictures) == (name == "affine")
    assert ("error_percent_affine" in run.metrics()) == (name == "affine")
    page = run.file("report.html").read_text()
    assert "What each number of a capsule means" in page
    assert "the paper, MNIST" not in page


def test_without_decoder_and_routing(tmp_path, data, monkeypatch):
    monkeypatch.setattr(capsnet_measure, "draw", draw)
    monkeypatch.setattr("polyad.report.capsnet.MOST_MISTAKES", 3)
    monkeypatch.setattr("polyad.report.capsnet.COLUMNS", 3)
    options = {"reconstruction": 0.0, "method": "uniform"}
    run = train(tmp_path / "run", data, options=options, plan={"epochs": 1})
    assert "squared_error_per_picture_test" not in run.metrics()
    assert "coupling_entropy_bits_iteration_1" not in run.metrics()
    page = run.file("report.html").read_text()
    assert "no routing, no decoder" in page
    assert "Redrawn from one capsule" not in page


def test_a_batch_is_a_function_of_seed_and_step(data):
    task = task_of("classify", load(data))
    seen = []
    for step in range(EPOCH + 1):
        one, again = (task.batch(7, step, 8, 1) for _ in range(2))
        assert all(torch.equal(a, b) for a, b in zip(one[:2], again[:2], strict=True))
        seen.append(task.chosen(7, step, 8)[1])
    epoch = np.concatenate(seen)
    assert len(np.unique(epoch)) == len(epoch)  # seven whole batches of sixty pictures
    assert not np.array_equal(task.chosen(7, 0, 8)[1], task.chosen(7, EPOCH + 1, 8)[1])
    assert not np.array_equal(task.chosen(7, 0, 8)[1], task.chosen(8, 0, 8)[1])
    images = task.batch(7, 0, 8, 0).images
    assert float(images.min()) >= 0
    assert float(images.max()) <= 1


def test_pairs_of_an_epoch_are_new_in_the_next(data):
    task = task_of("multimnist", load(data))
    one, later = task.batch(0, 0, 8, 0), task.batch(0, EPOCH + 1, 8, 0)
    assert one.targets.sum(1).tolist() == [2] * 8
    assert one.images.shape == (8, 1, 10, 10)
    assert one.parts.shape == (8, 2, 1, 10, 10)
    assert not torch.equal(one.images, later.images)
    torch.testing.assert_close(one.parts.sum(1).clamp(max=1), one.images)


def test_validation_is_held_out_of_training(data):
    split = load(data)
    task = task_of("classify", split, validation=20)
    rows = {row.tobytes() for row in task.train.X} | {row.tobytes() for row in task.held_out.X}
    assert len(task.train) == 40
    assert len(task.held_out) == 20
    assert rows == {row.tobytes() for row in split.train.X}


def test_what_is_wrong():
    sure = torch.tensor([[0.9, 0.1, 0.8], [0.2, 0.5, 0.4]])
    assert wrong(sure, torch.tensor([0, 2])).tolist() == [False, True]
    assert wrong(sure, torch.tensor([[1, 0, 1], [1, 1, 0]])).tolist() == [False, True]
    batch = Batch(sure, torch.tensor([0, 2])).map(lambda tensor: tensor[1:])
    assert batch.parts is None
    assert batch.targets.tolist() == [2]


def test_the_learning_rate_falls():
    plan = Plan(lr=1.0, decay=0.5, decay_steps=100, cooldown=0.5)
    assert rate(plan, 0, 1000) == 1.0
    assert rate(plan, 100, 1000) == pytest.approx(0.5)
    assert rate(plan, 750, 1000) == pytest.approx(0.5 * 0.5**7.5)


def test_presets():
    assert preset_for((8, 8)) == "digits"
    assert preset_for((28, 28)) == "small"
    assert Preset(lr=1.0, cnn={"lr": 2.0}).settings("cnn")["lr"] == 2.0
    for preset in PRESETS.values():
        Plan(**preset.settings())
        Plan(**preset.settings("matched-cnn"))


def test_first_weights_follow_from_the_seed():
    one, same, other = (
        PRESETS["digits"].model("matched-cnn", (8, 8), 3, seed, **TINY | MATCHED).state_dict()
        for seed in (1, 1, 2)
    )
    torch.testing.assert_close(one, same, rtol=0, atol=0)
    assert not torch.equal(one["layers.0.weight"], other["layers.0.weight"])


def test_threads_are_as_they_were(data, tmp_path):
    import polyad

    before, seen = (torch.get_num_threads(), polyad.get_num_threads()), []

    def see(info):
        seen.append((torch.get_num_threads(), polyad.get_num_threads()))

    train(tmp_path / "one", data, plan={"epochs": 1}, on_progress=see)
    train(tmp_path / "two", data, plan={"epochs": 1}, on_progress=see, threads=2)
    assert set(seen) == {(1, 1), (2, 2)}
    assert (torch.get_num_threads(), polyad.get_num_threads()) == before


def test_trainings_of_other_seeds_stand_on_the_page(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(
        capsnet_measure,
        "draw",
        lambda run, *_: run.save_picture("routing", routing(seed_errors(run), "bars")),
    )
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    rows = [
        {"network": "capsnet", "iterations": 3, "reconstruction": 0.0005, "seed": seed,
         "error_percent": 1.0 + seed}
        for seed in range(3)
    ]  # fmt: skip
    rows.append({**rows[0], "cell": {"options": {"method": "uniform"}}})
    (run / "routing.json").write_text(json.dumps(rows))
    capsnet.evaluate(Run.open(run))
    page = (run / "report.html").read_text()
    assert "2.00 ± 1.00, 3 seeds" in page
    assert "no routing, with decoder" in page
    assert "those of this run are of bars" in page
    (run / "routing.json").write_text('{"rows": []}')
    with pytest.raises(RunError, match=r"routing\.json: damaged"):
        capsnet.evaluate(Run.open(run))


@pytest.mark.slow
def test_the_digits_are_read(tmp_path):
    """What the README promises: minutes on a processor, 98.5 % of the held-out third."""
    run = capsnet.train(tmp_path / "run", data="digits")
    assert run.metrics()["error_percent_test"] <= 1.5


@pytest.mark.slow
def test_two_processes_share_a_batch(whole, data, tmp_path):
    """Both take half of every batch; the sums are in another order."""
    run = tmp_path / "run"
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import test_capsnet_recipe as test\n"
        "test.train(sys.argv[2], sys.argv[3], devices=2)\n"
    )
    script = tmp_path / "two.py"
    script.write_text(program)
    done = subprocess.run(
        [sys.executable, str(script), os.path.dirname(__file__), str(run), data],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    ours, theirs = (json.loads((r / "history.json").read_text())["columns"] for r in (run, whole))
    assert ours["step"] == theirs["step"]
    assert ours["loss_train"] == pytest.approx(theirs["loss_train"], rel=1e-3)
    assert ours["error_percent_validation"] == theirs["error_percent_validation"]
