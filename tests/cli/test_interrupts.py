"""Ctrl-C, SIGTERM and kill -9: a checkpoint stays, and going on gives the uninterrupted result."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from polyad.run import stopping

WORDS = ["--max-edges", "400", "--epochs", "12"]
UNTIMED = ("seconds_train", "predictions_per_second")


def untimed(path):
    content = json.loads(path.read_text())
    return {name: value for name, value in content.items() if name not in UNTIMED}


@pytest.fixture(scope="module")
def uninterrupted(pictures, tmp_path_factory):
    from polyad.recipes.hypernet import train

    out = tmp_path_factory.mktemp("whole") / "run"
    train(out, data=str(pictures), max_edges=400, epochs=12)
    return out


def assert_same(run, uninterrupted):
    assert (run / "model.npz").read_bytes() == (uninterrupted / "model.npz").read_bytes()
    assert untimed(run / "metrics.json") == untimed(uninterrupted / "metrics.json")
    epochs = json.loads((run / "history.json").read_text())["columns"]["epoch"]
    assert epochs == list(range(13))
    names = {path.relative_to(run) for path in run.rglob("*")}
    assert names == {path.relative_to(uninterrupted) for path in uninterrupted.rglob("*")}


@pytest.fixture
def signal_at(monkeypatch):
    """Make the process signal itself when a model reports that epoch."""

    def arrange(epoch, *numbers):
        def bar(bars, what):
            def report(info):
                if info.get("epoch") == epoch:
                    for number in numbers:
                        os.kill(os.getpid(), number)
                elif info["stage"] == "stopping":
                    bars.console.print(info["message"])

            return report

        monkeypatch.setattr("polyad.cli.train.training_bar", bar)

    return arrange


@pytest.mark.parametrize(("epoch", "number"), [(0, signal.SIGTERM), (5, signal.SIGINT)])
def test_stop_and_resume(polyad, pictures, uninterrupted, tmp_path, signal_at, epoch, number):
    run = tmp_path / "run"
    signal_at(epoch, number)
    result = polyad("train", "hypernet", "--data", pictures, "--out", run, *WORDS)
    assert result.code == 130
    lines = result.err.splitlines()
    assert lines == [
        "stopping after this epoch; once more to stop at the last checkpoint",
        f"polyad: stopped; to go on: polyad train hypernet --out {run} --resume",
    ]
    assert not (run / "metrics.json").exists()
    half = tmp_path / "half"
    shutil.copytree(run, half)
    assert polyad("evaluate", half).code == 0  # usable as it is
    assert "accuracy_test_percent" in untimed(half / "metrics.json")

    signal_at(None)
    result = polyad("train", "hypernet", "--out", run, "--resume")
    assert result.code == 0, result.err
    assert_same(run, uninterrupted)


def test_stop_at_once(polyad, pictures, uninterrupted, tmp_path, signal_at):
    run = tmp_path / "run"
    signal_at(5, signal.SIGINT, signal.SIGINT)
    result = polyad("train", "hypernet", "--data", pictures, "--out", run, *WORDS)
    assert result.code == 130
    assert result.err.endswith(f"--out {run} --resume\n")
    assert polyad("train", "hypernet", "--out", run, "--resume").code == 130  # again at epoch 5
    signal_at(None)
    assert polyad("train", "hypernet", "--out", run, "--resume").code == 0
    assert_same(run, uninterrupted)


def test_stop_while_the_pictures_are_drawn(polyad, pictures, uninterrupted, tmp_path, monkeypatch):
    run = tmp_path / "run"
    with monkeypatch.context() as patched:

        def interrupted(*_, **__):
            raise KeyboardInterrupt

        patched.setattr("polyad.recipes.hypernet_measure.draw_learning", interrupted)
        result = polyad("train", "hypernet", "--data", pictures, "--out", run, *WORDS)
        assert result.code == 130
        assert "--resume" in result.err
    assert polyad("train", "hypernet", "--out", run, "--resume").code == 0
    assert_same(run, uninterrupted)


def test_stop_before_the_first_checkpoint(polyad, pictures, trained, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("polyad.models.hypernet.Hypernet.fit", interrupted)
    words = ["train", "hypernet", "--data", pictures, *WORDS]
    result = polyad(*words, "--out", tmp_path / "new")
    assert result.code == 130
    assert result.err == "polyad: stopped before the first checkpoint; nothing was written\n"
    assert not (tmp_path / "new").exists()

    old = tmp_path / "old"
    shutil.copytree(trained, old)
    assert polyad(*words, "--out", old, "--force").code == 130
    assert (old / "model.npz").read_bytes() == (trained / "model.npz").read_bytes()


def test_a_setting_that_fails_leaves_the_run_that_was_there(polyad, pictures, trained, tmp_path):
    old = tmp_path / "old"
    shutil.copytree(trained, old)
    words = ["train", "hypernet", "--data", pictures, "--out", old, "--force"]
    result = polyad(*words, "--replace", "7")
    assert result.code == 1
    assert "replace: expected 0 .. 1" in result.err
    assert (old / "metrics.json").read_bytes() == (trained / "metrics.json").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_process_that_is_stopped(pictures, uninterrupted, tmp_path, polyad, number):
    run = tmp_path / "run"
    program = "from polyad.cli import main; import time, polyad.recipes.hypernet as recipe\n" + (
        "wait = recipe._Curve.after_epoch\n"
        "recipe._Curve.after_epoch = lambda *a: (wait(*a), time.sleep(0.2))[0]\n"
        "recipe.CHECKPOINT_SECONDS = 0.0\n"
        "main()"
    )
    words = ["train", "hypernet", "--data", str(pictures), "--out", str(run), *WORDS]
    process = subprocess.Popen(
        [sys.executable, "-c", program, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (run / "model.npz").exists():
        time.sleep(0.02)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert b"Traceback" not in err
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert err.endswith(b"--resume\n")
    (run / ".model.npz.1.part").write_bytes(b"as if killed while writing")
    result = polyad("train", "hypernet", "--out", run, "--resume")
    assert result.code == 0, result.err
    assert_same(run, uninterrupted)


def test_stopping_gives_the_handlers_back():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    heard = []
    with stopping(lambda: heard.append(1)) as asked:
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked.is_set()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    assert heard == [1]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
