"""The experiments on the tasks run, repeat themselves, and report what they measured."""

import json
import math
from dataclasses import asdict, replace

import pytest

torch = pytest.importorskip("torch")

from polyad.data.ntm_tasks import TASKS, task  # noqa: E402
from polyad.optim import GravesRMSprop  # noqa: E402
from polyad.recipes import ntm_tasks  # noqa: E402
from polyad.recipes.ntm_settings import PRESETS, preset  # noqa: E402

TINY = replace(
    preset("copy", "small"),
    network={"controller": "feedforward", "hidden_size": 8, "memory_rows": 6, "memory_width": 4},
    batch=4,
    sequences=24,
)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(PRESETS["copy"], "small", TINY)
    monkeypatch.setattr(ntm_tasks, "ROWS", 3)
    monkeypatch.setattr(ntm_tasks, "CURVE_SEQUENCES", 3)
    monkeypatch.setattr(ntm_tasks, "LAST_SEQUENCES", 4)
    monkeypatch.setattr(ntm_tasks, "LONGER_SEQUENCES", 1)
    monkeypatch.setattr(ntm_tasks, "task_of", lambda name: task(name, shortest=1, longest=2))


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_presets_that_make_models(name):
    assert set(PRESETS) == set(TASKS)
    assert {"small", "paper-ff", "paper-lstm", "lstm"} <= set(PRESETS[name])
    for which in ("small", "paper-ff", "paper-lstm"):
        model = preset(name, which).model(task(name), seed=0)
        assert model.settings()["input_size"] == task(name).input_size


def test_first_weights_follow_from_the_seed_alone():
    one = TINY.model(task("copy"), seed=1)
    torch.rand(3)
    again, other = (TINY.model(task("copy"), seed=s) for s in (1, 2))
    assert torch.equal(one.layer.head_weight, again.layer.head_weight)
    assert not torch.equal(one.layer.head_weight, other.layer.head_weight)
    assert isinstance(TINY.optimizer(one), GravesRMSprop)
    assert isinstance(replace(TINY, optimiser="adam").optimizer(one), torch.optim.Adam)


def test_run_reports_what_it_measured(tiny):
    figures, curves = ntm_tasks.run("copy", seeds=2)
    assert [c.sequences for c in curves] == [[8, 16, 24]] * 2
    assert [c.bits for c in curves] == [c.bits for c in ntm_tasks.run("copy", seeds=2)[1]]
    mean = sum(c.last_bits for c in curves) / 2
    assert figures["small_bits_per_sequence_mean"] == pytest.approx(mean)
    assert figures["small_seeds_below_0.05_bits"] == 0
    assert figures["small_length_120_wrong_bits_per_sequence_best"] == min(
        c.longer["length 120"][1] for c in curves
    )
    assert 0 < mean < 100
    assert curves[0].reached(1e9) == 8
    assert curves[0].reached(0) == math.inf


def test_the_learning_rate_falls_in_the_last_share(tiny):
    _, (constant,) = ntm_tasks.run("copy", seeds=1)
    _, (falling,) = ntm_tasks.run("copy", seeds=1, cooldown=0.4)
    assert falling.bits[0] == constant.bits[0]
    assert falling.bits[2] != constant.bits[2]
    assert falling.settings["cooldown"] == 0.4


def test_it_stops_at_its_target(tiny):
    _, (curve,) = ntm_tasks.run("copy", seeds=1, target_bits=1e9)
    assert curve.sequences == [8, 16]


def test_the_command_line_writes_figures_and_curves(tiny, tmp_path, capsys):
    path = tmp_path / "copy.json"
    ntm_tasks.main(["--task", "copy", "--seeds", "1", "--sequences", "8", "--json", str(path)])
    whole = json.loads(path.read_text())
    assert whole["curves"][0]["sequences"] == [4, 8]
    assert whole["curves"][0]["settings"]["batch"] == 4
    assert whole["figures"]["small_seconds_seeds"] == 1
    assert "small_bits_per_sequence_mean" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"preset: expected one of small, .*got 'small-'; did you"):
        ntm_tasks.main(["--task", "copy", "--preset", "small-"])
    with pytest.raises(SystemExit, match="2"):
        ntm_tasks.main(["--task", "copy", "--cooldown", "1.5"])
    with pytest.raises(SystemExit, match="2"):
        ntm_tasks.main(["--task", "copy", "--seeds", "0"])


@pytest.mark.parametrize("what", ["bits per sequence", "norm of the gradient"])
def test_a_step_that_diverges_is_named_and_changes_nothing(what, monkeypatch):
    sizes = task("copy", longest=2)
    model = TINY.model(sizes, seed=0)
    if what == "bits per sequence":
        loss = model.loss
        monkeypatch.setattr(model, "loss", lambda batch: loss(batch) + math.nan)
    else:
        model.layer.output_bias.register_hook(lambda gradient: gradient * math.inf)
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(FloatingPointError, match=f"{what}: (nan|inf) at step 7"):
        ntm_tasks.training_step(
            model, TINY.optimizer(model), sizes.batch(0, 7, 2), clip=1.0, step=7
        )
    for a, b in zip(before, model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_n_grams_are_compared_with_the_optimum(monkeypatch):
    monkeypatch.setattr(ntm_tasks, "LAST_SEQUENCES", 5)
    monkeypatch.setattr(ntm_tasks, "LONGER_SEQUENCES", 1)
    sizes = task("n-grams", predicted=6, context=2)
    model, curve = ntm_tasks.learn(sizes, replace(TINY, sequences=4))
    ntm_tasks.measure(model, sizes, curve)
    assert curve.optimal_bits == sizes.optimal_bits(sizes.held_out(5)).mean()


def test_the_figure_has_a_panel_for_each_task(tiny, tmp_path):
    from polyad.recipes import ntm_tasks_figure

    _, curves = ntm_tasks.run("copy", seeds=2, sequences=8)
    path = tmp_path / "curves.json"
    path.write_text(json.dumps({"curves": [asdict(c) for c in curves]}))
    others = [
        asdict(c) | {"task": t, "optimal_bits": 131.0}
        for c, t in zip(curves, ("n-grams", "priority-sort"), strict=True)
    ]
    drawn = ntm_tasks_figure.figure([*map(asdict, curves), *others])
    shown = [axes.get_title(loc="left") for axes in drawn.axes if axes.get_visible()]
    assert shown == ["copy", "n-grams", "priority-sort"]
    assert [len(axes.lines) for axes in drawn.axes[:3]] == [3, 2, 2]
    ntm_tasks_figure.main([str(path), "--out", str(tmp_path / "curves.png")])
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(SystemExit, match="missing"):
        ntm_tasks_figure.main([str(tmp_path / "missing.json"), "--out", str(path)])
