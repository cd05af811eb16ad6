"""`polyad train capsnet` and `polyad evaluate` of its runs, as a user types them."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from cli_cases import bars, idx

pytest.importorskip("torch")
pytest.importorskip("lightning")
pytest.importorskip("tensorboard")

from safetensors.numpy import load_file

SMALL = ["--epochs", "2", "--batch", "10", "--validation", "20"]


@pytest.fixture(scope="module", autouse=True)
def _small():
    """A network of a few numbers, and no pictures: they take longer than all the rest."""
    import torch

    from polyad.models._capsnet_options import PRESETS

    threads = torch.get_num_threads()
    tiny = {
        "conv_channels": 4, "conv_kernel": 3, "conv_padding": 0, "types": 2, "primary_size": 4,
        "primary_kernel": 3, "primary_stride": 2, "primary_padding": 0, "output_size": 4,
        "decoder_sizes": (64,),
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("polyad.recipes.capsnet_measure.draw", lambda *_: None)
        patch.setitem(PRESETS, "digits", {**PRESETS["digits"], **tiny})
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def finished(polyad, pictures, tmp_path_factory):
    """A finished run, and what the command printed; tests must not change it."""
    folder = tmp_path_factory.mktemp("capsnet") / "run"
    result = polyad("train", "capsnet", "--data", pictures, "--out", folder, *SMALL)
    assert result.code == 0, result.err
    return folder, result


def test_train_says_what_it_found_and_where(finished):
    folder, result = finished
    assert result.err == ""
    lines = result.out.splitlines()
    assert lines[1].split()[:3] == ["held", "out", "60"]
    assert lines[-3].endswith(" s")
    assert " % of held-out pictures right, after 2 epochs in " in lines[-3]
    assert lines[-2] == f"page: {folder / 'report.html'}"
    assert lines[-1] == f"next: polyad evaluate {folder}"


def test_options_reach_the_settings(polyad, pictures, tmp_path):
    words = ["--lr", "1e-2", "--decay", "0.9", "--cooldown", "0.3", "--shift", "0", "--seed", "7",
             "--iterations", "2", "--reconstruction", "0.25", "--method", "dynamic",
             "--preset", "digits", "--threads", "1"]  # fmt: skip
    run = tmp_path / "run"
    result = polyad("train", "capsnet", "--data", pictures, "--out", run, *SMALL, *words)
    assert result.code == 0, result.err
    settings = json.loads((run / "settings.json").read_text())
    options, plan = settings["options"], settings["plan"]
    assert [options[name] for name in ("iterations", "reconstruction", "method")] == [
        2, 0.25, "dynamic",
    ]  # fmt: skip
    chosen = ("lr", "decay", "cooldown", "shift", "seed", "epochs", "batch", "validation")
    assert [plan[name] for name in chosen] == [1e-2, 0.9, 0.3, 0, 7, 2, 10, 20]
    assert settings["data"]["source"] == str(pictures)


def test_idx_files_plain_and_gzipped(polyad, tmp_path):
    folder = tmp_path / "idx"
    folder.mkdir()
    for part, count in (("train", 60), ("t10k", 30)):
        X, y = bars(count, 0)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(X))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(y)))
    words = ["--network", "matched-cnn", "--epochs", "1", "--batch", "20"]
    result = polyad("train", "capsnet", "--data", folder, "--out", tmp_path / "run", *words)
    assert result.code == 0, result.err
    assert json.loads((tmp_path / "run/metrics.json").read_text())["samples_test"] == 30


def test_evaluate(polyad, pictures, finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished[0], run)
    before = (run / "metrics.json").read_bytes()
    result = polyad("evaluate", run)
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert lines[0].startswith("60 test pictures: ")
    assert lines[-1] == f"figures: {run / 'metrics.json'}"
    assert (run / "metrics.json").read_bytes() == before
    result = polyad("evaluate", run, "--data", pictures)
    assert result.code == 0, result.err
    assert result.out.splitlines()[-1] == f"figures: {run / 'metrics-bars.json'}"


def test_evaluate_under_attack(polyad, finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished[0], run)
    before = (run / "metrics.json").read_bytes()
    result = polyad("evaluate", run, "--epsilon", "0.2")
    assert result.code == 0, result.err
    assert "60 test pictures, changed by at most 0.2 in every pixel: " in result.out
    found = json.loads((run / "metrics-epsilon-0.2.json").read_text())
    assert found["error_percent_clean"] <= found["error_percent_pgd"] <= 100
    assert found["error_percent_clean"] == json.loads(before)["error_percent_test"]
    assert (run / "metrics.json").read_bytes() == before
    result = polyad("evaluate", run, "--epsilon", "2")
    assert result.code == 1
    assert "epsilon: expected above 0 and up to 1, got 2" in result.err


USAGE = {
    "unknown task": (["--task", "read"], "expected classify or multimnist or affine, got 'read'"),
    "unknown network": (["--network", "mlp"], "expected capsnet or cnn or matched-cnn, got 'mlp'"),
    "unknown method": (["--method", "em"], "expected dynamic or uniform, got 'em'"),
    "unknown preset": (["--preset", "big"], "preset: expected one of digits"),
    "almost a preset": (["--preset", "author"], "did you mean authors?"),
    "routing of a cnn": (["--network", "cnn", "--iterations", "2"], "a cnn takes no --iterations"),
    "no iterations": (["--iterations", "0"], "for '--iterations'"),
    "epochs of none": (["--epochs", "0"], "for '--epochs'"),
    "batch of none": (["--batch", "0"], "for '--batch'"),
    "shift backwards": (["--shift", "-1"], "for '--shift'"),
    "rate that is a word": (["--lr", "fast"], "for '--lr'"),
    "negative seed": (["--seed", "-1"], "for '--seed'"),
    "a shape that is none": (["--image-shape", "6"], "expected HEIGHTxWIDTH such as 28x28"),
    "no folder": (["--out"], "--out"),
}


@pytest.mark.parametrize("case", USAGE)
def test_wrong_arguments(polyad, pictures, tmp_path, case):
    words, message = USAGE[case]
    out = [] if words == ["--out"] else ["--out", tmp_path / "run"]
    given = [] if words == ["--out"] else words
    result = polyad("train", "capsnet", "--data", pictures, *out, *SMALL, *given)
    assert result.code == 2
    assert message in result.err
    assert result.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


FAILS = {
    "learning rate of zero": (["--lr", "0"], "lr: expected a number above 0, got 0"),
    "decay above one": (["--decay", "2"], "decay: expected above 0 and up to 1, got 2"),
    "cooldown above one": (["--cooldown", "2"], "cooldown: expected 0 .. 1, got 2"),
    "negative weight": (["--reconstruction", "-1"], "reconstruction: expected a number at least 0"),
    "weight that is none": (["--reconstruction", "nan"], "reconstruction: expected"),
    "a batch of all and more": (["--batch", "200"], "batch: expected at most the 130 training"),
    "all held out": (["--validation", "150"], "validation: expected less than the 150 training"),
    "unequal shares": (["--devices", "3"], "batch: expected a multiple of devices = 3"),
    "unknown accelerator": (["--accelerator", "abacus"], "accelerator 'abacus'"),
    "pictures that are too small": (["--preset", "paper"], "image_size: expected at least 17 x 17"),
    "no such data": (["--data", "digit"], "did you mean digits?"),
    "a rate out of reason": (["--lr", "1e30"], "step 2: "),
}


@pytest.mark.parametrize("case", FAILS)
def test_settings_that_fail(polyad, pictures, tmp_path, case):
    words, message = FAILS[case]
    result = polyad(
        "train", "capsnet", "--data", pictures, "--out", tmp_path / "run", *SMALL, *words
    )
    assert result.code == 1
    assert message in result.err
    assert result.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_folders_that_fail(polyad, finished, pictures, tmp_path):
    folder = finished[0]
    words = ["train", "capsnet", "--data", pictures, *SMALL]
    assert "holds a run already" in polyad(*words, "--out", folder).err
    (tmp_path / "file").write_text("mine")
    assert "is a file" in polyad(*words, "--out", tmp_path / "file").err
    assert "not a run's" in polyad(*words, "--out", tmp_path).err
    assert "nothing to resume" in polyad("train", "capsnet", "--out", folder, "--resume").err
    assert "no such folder" in polyad("train", "capsnet", "--out", tmp_path / "x", "--resume").err
    result = polyad("train", "capsnet", "--out", folder, "--resume", "--lr", "1")
    assert result.code == 2
    assert "leave out --lr" in result.err
    result = polyad("train", "ntm", "--out", folder, "--resume")
    assert "is a run of capsnet, not of ntm" in result.err
    result = polyad("recall", folder)
    assert result.code == 1
    assert "a run of capsnet has nothing to recall" in result.err


def test_evaluate_refuses_what_the_run_does_not_take(polyad, finished, tmp_path):
    for words in (["--sequences", "5"], ["--range", "longest=5"]):
        result = polyad("evaluate", finished[0], *words)
        assert result.code == 2
        assert f"a run of capsnet takes no {words[0]}" in result.err
    (tmp_path / "settings.json").write_text('{"format_version": 1, "model": "hypernet"}')
    result = polyad("evaluate", tmp_path, "--epsilon", "0.1")
    assert result.code == 2
    assert "a run of hypernet takes no --epsilon" in result.err
    X, y = np.ones((9, 5, 6), np.uint8), np.arange(9) % 3
    np.savez(tmp_path / "low.npz", X=X, y=y)
    result = polyad("evaluate", finished[0], "--data", tmp_path / "low.npz")
    assert result.code == 1
    assert "low: expected pictures of 6 x 6, got 5 x 6" in result.err


def test_ctrl_c_leaves_a_checkpoint_and_says_how_to_go_on(
    polyad, pictures, finished, tmp_path, monkeypatch
):
    monkeypatch.setattr("polyad.recipes.training.PROGRESS_SECONDS", -1.0)
    monkeypatch.setattr("polyad.recipes.training.STRETCH_SECONDS", 0.0)
    run = tmp_path / "run"

    def bar(bars, what):
        def report(info):
            if info.get("step") == 5:
                os.kill(os.getpid(), signal.SIGINT)
            elif info["stage"] == "stopping":
                bars.console.print(info["message"])

        return report

    with monkeypatch.context() as patch:
        patch.setattr("polyad.cli.train_capsnet.pictures_bar", bar)
        result = polyad("train", "capsnet", "--data", pictures, "--out", run, *SMALL)
    assert result.code == 130
    assert result.err.splitlines() == [
        "stopping after this step; once more to stop at the last checkpoint",
        f"polyad: stopped; to go on: polyad train capsnet --out {run} --resume",
    ]
    assert polyad("evaluate", run).code == 0  # usable as it is
    (run / "metrics.json").unlink()
    result = polyad("train", "capsnet", "--out", run, "--resume")
    assert result.code == 0, result.err
    curves = [json.loads((f / "history.json").read_text())["columns"] for f in (run, finished[0])]
    for columns in curves:
        columns.pop("seconds")
    assert curves[0] == curves[1]
    one, other = (load_file(folder / "model.safetensors") for folder in (run, finished[0]))
    for name, tensor in one.items():
        np.testing.assert_array_equal(tensor, other[name])


def test_the_bar_says_where_training_is():
    from polyad.cli.console import pictures_bar, progress

    with progress() as bars:
        report = pictures_bar(bars, "capsnet")
        given = {"stage": "train", "pictures": 30, "total": 100, "epoch": 1.5, "epochs": 5,
                 "seconds": 1.0, "loss": 0.25, "error_percent": 12.5,
                 "row": {"error_percent_validation": 10.0}}  # fmt: skip
        report(given)
        report({**given, "pictures": 60, "seconds": 2.0})
        (task,) = bars.tasks
        assert (task.completed, task.total, task.fields["rate"]) == (60, 100, 30)
        assert task.fields["note"] == (
            "epoch 2 of 5, loss 0.2500, 12.50 % wrong, 10.00 % of validation"
        )
        report({"stage": "measure", "message": ""})
        assert bars.tasks[0].fields["note"] == "measuring and drawing"


def test_help_needs_neither_torch_nor_lightning():
    program = (
        "import sys; sys.argv = ['polyad', 'train', 'capsnet', '--help']\n"
        "from polyad.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print({'torch', 'lightning', 'matplotlib'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "set()"
