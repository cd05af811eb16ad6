"""The experiments with capsule networks run, repeat themselves, and report what they measured."""

import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from polyad.data import Dataset, Split  # noqa: E402
from polyad.recipes import (  # noqa: E402
    capsnet_adversarial,
    capsnet_digits,
    capsnet_experiment,
    capsnet_mnist,
)
from polyad.recipes.capsnet_experiment import Cell, learn, table  # noqa: E402
from polyad.recipes.capsnet_measure import read_seed_errors  # noqa: E402
from polyad.recipes.capsnet_settings import preset  # noqa: E402
from polyad.recipes.capsnet_tasks import Task, task_of  # noqa: E402

OPTIONS = {"conv_channels": 8, "types": 2, "primary_size": 4, "output_size": 4}
OPTIONS |= {"decoder_sizes": (16, 64)}  # enough numbers for a CNN to match
PLAN = {"epochs": 2, "batch": 10, "lr": 5e-3, "shift": 0}
TINY = Cell(options=OPTIONS, plan=PLAN)


def stripes(count=60, side=8):
    """Three classes: a bright stripe at the left, in the middle, at the right."""
    y = np.arange(count) % 3
    X = np.random.Generator(np.random.PCG64(0)).integers(0, 40, (count, side, side))
    for k in range(count):
        X[k, :, y[k] * side // 3 : y[k] * side // 3 + 2] += 200
    return Dataset("stripes", X.astype(np.uint8).reshape(count, -1), y, (side, side))


@pytest.fixture
def task():
    return Task(Split(stripes(), stripes(30), "made up"))


@pytest.fixture
def made_up(monkeypatch):
    split = Split(stripes(), stripes(30), "made up")
    for module in (capsnet_adversarial, capsnet_digits, capsnet_mnist):
        monkeypatch.setattr(module, "load", lambda source: split)
    small = replace(preset("digits"), network={"preset": "digits", **OPTIONS}, **PLAN)
    monkeypatch.setattr(capsnet_experiment, "preset", lambda name: small)


def test_a_training_repeats_itself_and_gives_what_the_command_gives(task, tmp_path):
    from threading import Event

    from polyad.recipes.capsnet_training import Training
    from polyad.recipes.training import fit
    from polyad.run import Run

    model, again = (learn(task, TINY, seed=3, quiet=True) for _ in range(2))
    given = preset("digits").model("capsnet", task.image_size, task.classes, 3, **OPTIONS)
    training = Training(given, task, TINY.planned(3))
    fit(Run(tmp_path / "run", "capsnet", {}), training, Event(), rows=[])
    assert training.done == 12
    for name, weights in model.state_dict().items():
        assert torch.equal(weights, again.state_dict()[name])
        assert torch.equal(weights, given.state_dict()[name])
    assert not model.training


def test_the_dropout_of_a_cnn_follows_from_the_seed(task):
    cell = Cell("matched-cnn", options=OPTIONS, plan=PLAN)
    one, two = (learn(task, cell, seed=1, quiet=True) for _ in range(2))
    other = learn(task, cell, seed=2, quiet=True)
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(next(one.parameters()), next(other.parameters()))


def test_a_table_resumes_and_becomes_the_table_of_a_page(task, tmp_path, monkeypatch):
    path = tmp_path / "rows.json"
    cells = [TINY, Cell(options={**OPTIONS, "reconstruction": 0.0, "iterations": 1}, plan=PLAN)]
    first = table(path, task, cells, seeds=1)
    calls = []
    whole = capsnet_experiment.learn
    monkeypatch.setattr(
        capsnet_experiment, "learn", lambda *a, **k: calls.append(a[2]) or whole(*a, **k)
    )
    rows = table(path, task, cells, seeds=2)
    assert calls == [1, 1]
    assert [row.seed for row in rows] == [0, 0, 1, 1]
    assert rows[:2] == first
    assert [row.wrong / 0.3 for row in rows] == [pytest.approx(row.error_percent) for row in rows]
    read = read_seed_errors(path)
    assert [row.condition for row in read] == [("capsnet", 3, True), ("capsnet", 1, False)] * 2
    assert [row.error_percent for row in read] == [row.error_percent for row in rows]
    longer = table(path, task, [Cell(options=OPTIONS, plan={**PLAN, "epochs": 1})], seeds=1)
    assert calls == [1, 1, 0]
    assert longer[0].plan["epochs"] == 1
    figures = capsnet_experiment.summary(rows)
    label = TINY.label
    assert figures[f"{label}_error_percent_mean"] == pytest.approx(
        (rows[0].error_percent + rows[2].error_percent) / 2
    )
    assert figures[f"{label}_error_percent_seeds"] == 2


def test_a_file_that_is_no_table_is_named(task, tmp_path):
    path = tmp_path / "rows.json"
    path.write_text('{"a": 1}')
    with pytest.raises(ValueError, match=r"rows\.json: no table of an experiment"):
        table(path, task, [TINY], seeds=1)
    assert path.read_text() == '{"a": 1}'


def test_bad_settings_are_named(task):
    with pytest.raises(ValueError, match=r"network: expected one of capsnet, .*got 'capsnets'"):
        learn(task, Cell("capsnets"))
    with pytest.raises(ValueError, match=r"batch: expected at most 60, .*got 61"):
        learn(task, Cell(options=OPTIONS, plan={**PLAN, "batch": 61}))


def test_turned_pictures_have_a_row_of_their_own():
    framed = task_of("affine", Split(stripes(), stripes(30), "made up"))
    (row,) = table(None, framed, [TINY], seeds=1)
    assert 0 <= row.affine_error_percent <= 100
    assert "affine_error_percent_mean" in "".join(capsnet_experiment.summary([row]))


def test_inner_folds_are_parts_of_the_training_examples_alone():
    data = stripes(70)
    folds = capsnet_digits.inner_folds(data)
    assert sum(len(fold.test) for fold in folds) == len(data)
    seen = np.concatenate([fold.test.X for fold in folds])
    assert {row.tobytes() for row in seen} == {row.tobytes() for row in data.X}
    for fold in folds:
        assert len(fold.train) + len(fold.test) == len(data)
        assert np.ptp(np.bincount(fold.test.y)) <= 1


def test_the_commands_print_and_write_their_tables(made_up, tmp_path, capsys):
    path = tmp_path / "digits.json"
    capsnet_digits.main(["--seeds", "1", "--epochs", "1", "--json", str(path)])
    rows = json.loads(path.read_text())
    assert len(rows) == 6
    assert rows[-1]["network"] == "matched-cnn"
    assert "matched_cnn_error_percent_mean" in capsys.readouterr().out
    capsnet_digits.main(["--seeds", "1", "--epochs", "1", "--inner", "--network", "matched-cnn"])
    assert "matched_cnn_inner_error_percent_mean" in capsys.readouterr().out

    path = tmp_path / "mnist.json"
    command = ["--data", "x", "--preset", "digits", "--seeds", "1", "--json", str(path)]
    capsnet_mnist.main([*command, "--iterations", "3", "--reconstruction", "yes"])
    assert "the paper: 0.25 +- 0.005" in capsys.readouterr().out
    assert [row["iterations"] for row in json.loads(path.read_text())] == [3]
    with pytest.raises(SystemExit, match="2"):
        capsnet_mnist.main([*command, "--seeds", "0"])


def test_attacks_stay_within_epsilon_and_do_harm(task):
    model = learn(task, Cell(options=OPTIONS, plan={**PLAN, "epochs": 8}), seed=0, quiet=True)
    batch = next(task.batches(task.test, 30))
    right = capsnet_adversarial.right(model, batch.images, batch.targets)
    assert right.all()
    noise = capsnet_adversarial.noisy(batch.images, 0.1, seed=0)
    assert (noise - batch.images).abs().max() <= 0.1 + 1e-6
    for cost in (capsnet_adversarial.trained_cost, capsnet_adversarial.lead):
        before = cost(model, batch.images, batch.targets)
        changed = capsnet_adversarial.pgd(
            model, batch.images, batch.targets, 0.1, cost=cost, steps=5
        )
        once = capsnet_adversarial.fgsm(model, batch.images, batch.targets, 0.1, cost)
        for images in (changed, once):
            assert images.min() >= 0
            assert images.max() <= 1
            assert (images - batch.images).abs().max() <= 0.1 + 1e-6
            assert cost(model, images, batch.targets) > before
    held = [
        capsnet_adversarial.attack(model, batch.images, batch.targets, epsilon, steps=5, restarts=1)
        for epsilon in (0.0, 1.0)
    ]
    assert held[0].all()
    assert not held[1].any()


def test_the_attacks_report_over_seeds(made_up, tmp_path, capsys):
    path = tmp_path / "adversarial.json"
    capsnet_adversarial.main(
        f"--seeds 1 --epochs 6 --tests 9 --steps 2 --epsilon 0.05 --json {path}".split()
    )
    whole = json.loads(path.read_text())
    names = ["capsnet_iterations_3", "capsnet_iterations_1", "matched_cnn"]
    assert len(whole["seeds"]) == 1
    for row in whole["seeds"]:
        assert set(names) <= set(row)
        assert 0 < row["pictures"] <= 9
        for name in names:
            assert row[name]["pgd"]["0.05"] <= row[name]["noise"]["0.05"]
    assert whole["figures"]["matched_cnn_pgd_0.05_held_percent_seeds"] == 1
    assert "capsnet_iterations_3_check_pgd_on_matched_cnn" in capsys.readouterr().out
    for wrong in ("--steps 0", "--tests 0", "--epsilon -0.1"):
        with pytest.raises(SystemExit, match="2"):
            capsnet_adversarial.main(wrong.split())


def test_figures_are_drawn_of_tables_and_attacks(task, tmp_path):
    from polyad.recipes import capsnet_figure

    rows, attacks = tmp_path / "rows.json", tmp_path / "attacks.json"
    table(rows, task, [TINY], seeds=1)
    figures = {
        f"{name}_{how}_{size}_held_percent_{what}": 100 - 100 * float(size)
        for name in ("capsnet_iterations_3", "matched_cnn")
        for how in ("fgsm", "fgsm_lead", "pgd")
        for size in ("0.05", "0.1")
        for what in ("mean", "deviation", "seeds")
    } | {"matched_cnn_check_pgd_on_capsnet_held_percent_mean": 1.0}
    attacks.write_text(json.dumps({"figures": figures, "seeds": []}))
    drawn = capsnet_figure.attacks(figures)
    assert [list(line.get_ydata()) for line in drawn.axes[0].lines] == [[95, 90]] * 2
    for source in (rows, attacks):
        out = tmp_path / f"{source.stem}.png"
        capsnet_figure.main([str(source), "--out", str(out)])
        assert out.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(SystemExit, match="missing"):
        capsnet_figure.main([str(tmp_path / "missing.json"), "--out", str(out)])
    attacks.write_text("[1]")
    with pytest.raises(SystemExit, match="no table of an experiment"):
        capsnet_figure.main([str(attacks), "--out", str(out)])
