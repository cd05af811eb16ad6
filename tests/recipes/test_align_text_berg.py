"""The recipes of Text+Berg, on a tiny text of ours."""

import re

import numpy as np
import pytest

from polyad.align import Bead
from polyad.recipes import align_accurate_training as training
from polyad.recipes import align_text_berg as recipe

DE = ["Wir gingen früh los.", "Der Weg war", "steil und lang.", "Am Mittag kam Regen."] * 4
FR = ["Nous sommes partis tôt.", "Le chemin fut raide et long.", "À midi il a plu."] * 4
MT = [
    "Nous sommes partis tôt.",
    "Le chemin était",
    "raide et long.",
    "À midi est venu la pluie.",
] * 4
BACK = ["Wir sind früh gegangen.", "Der Weg war steil und lang.", "Am Mittag Regen."] * 4


def gold_line(k):
    i, j = 4 * k, 3 * k
    return f"[{i}]:[{j}]\n[{i + 1}, {i + 2}]:[{j + 1}]\n[{i + 3}]:[{j + 2}]\n"


@pytest.fixture
def folder(tmp_path):
    """Four documents as one text, and as a text of two articles."""
    texts = {"de": DE, "fr": FR, "google.fr": MT, "google.de": BACK}
    texts |= {"europarlfull.fr": MT, "europarlfull.de": BACK}
    for name, lines in texts.items():
        (tmp_path / f"eval1957.{name}").write_text("\n".join(lines) + "\n")
        cut = len(lines) // 2
        both = [*lines[:cut], ".EOA", *lines[cut:]]
        (tmp_path / f"eval1989.{name}").write_text("\n".join(both) + "\n")
    (tmp_path / "gold.eval1957.txt").write_text("".join(gold_line(k) for k in range(4)))
    for article in range(2):
        half = "".join(gold_line(k) for k in range(2))
        (tmp_path / f"gold.eval1989.article{article}.txt").write_text(half + "[]:[]\n")
    return tmp_path


def test_articles_are_cut_and_translations_with_them(folder):
    first, second = recipe.read_articles(folder, "eval1989", recipe.SYSTEMS["all"])
    assert first.source == second.source == DE[:8]
    assert len(first.translations) == len(first.back_translations) == 2
    assert second.back_translations[0] == BACK[:6]


def test_a_table_of_both_modes_and_every_set_of_translations(folder, capsys):
    recipe.main(["--data", str(folder)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("eval1957")
    assert len(lines) == 1 + 2 * len(recipe.SYSTEMS) - 1
    assert not any("eval1989" in line for line in lines)
    assert re.fullmatch(r"accurate +all +strict .* lax 1\.0000 1\.0000 1\.0000", lines[-1])


def test_every_look_at_the_test_set_is_logged(folder, capsys):
    log = folder / "looks.md"
    for reason in ("first", "second"):
        recipe.main(["--data", str(folder), "--look", reason, "--log", str(log)])
    assert "eval1989" in capsys.readouterr().out
    text = log.read_text()
    assert text.count("# Looks at the gold of eval1989") == 1
    assert [line.split(": ")[1] for line in text.splitlines() if line.startswith("## ")] == [
        "first",
        "second",
    ]
    assert text.count("accurate   all") == 2


def test_beads_are_compared_with_those_that_a_program_prints(folder, tmp_path):
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    printed = "alignment: 0 - 0\\nalignment: 1,2 - 1\\nfinished with article\\n"
    (checkout / "bleualign.py").write_text(f"print('{printed}' * 2)")
    found = recipe.run_bleualign(checkout, folder, "eval1989", ("google.fr",))
    pairs = [[(bead.source, bead.target) for bead in article] for article in found]
    assert pairs == 2 * [[((0,), (0,)), ((1, 2), (1,))]]
    (checkout / "bleualign.py").write_text("raise SystemExit('no')")
    with pytest.raises(ValueError, match="Bleualign failed: no"):
        recipe.run_bleualign(checkout, folder, "eval1989", ("google.fr",))


def test_wrong_data_is_told(folder):
    (folder / "eval1957.google.fr").write_text("one line\n")
    with pytest.raises(SystemExit, match=re.escape("eval1957.google.fr: expected 16 lines")):
        recipe.main(["--data", str(folder)])
    (folder / "gold.eval1957.txt").write_text("[0]:[0]\nnonsense\n")
    with pytest.raises(ValueError, match=re.escape("gold.eval1957.txt:2: expected [0, 1]:[2]")):
        recipe.read_gold(folder / "gold.eval1957.txt")


def test_gold_that_a_path_can_hold():
    gold = [
        Bead((0,), (0, 2)),
        Bead((1,), (3,)),
        Bead((2,), (1,)),
        Bead((3, 4, 5), (4, 5, 6, 7)),
        Bead((6,), ()),
        Bead((7, 8), (8,)),
    ]
    assert training.usable_gold(gold) == [(1, 2, 3, 4), (7, 9, 8, 9)]


def test_joined_sentences_make_one_to_one_beads(folder):
    document, gold = recipe.read_document(folder, "eval1957", recipe.SYSTEMS["all"])
    joined, beads = training.joined(document, gold, 1.0, seed=0)
    assert [(b.source, b.target) for b in beads] == [((k,), (k,)) for k in range(12)]
    assert joined.source[1] == "Der Weg war steil und lang."
    assert joined.translations[0][1] == "Le chemin était raide et long."
    assert joined.target == document.target


def test_the_gradient_of_the_loss(folder):
    one = training.lattice(*training.development(folder, "both")[0])
    assert one.gold[:, 2:].sum() == 12
    parts = [training.part(one, (0, 0), (8, 6)), training.part(one, (8, 6), (16, 12))]
    weights = np.random.default_rng(0).normal(0, 0.3, one.features.shape[2])
    value, gradient = training.loss(weights, parts, 0.5)
    for place in (0, 7, 13, 19):
        step = np.zeros_like(weights)
        step[place] = 1e-5
        change = training.loss(weights + step, parts, 0.5)[0] - value
        assert change / 1e-5 == pytest.approx(gradient[place], rel=1e-3, abs=1e-3)


def test_training_makes_the_gold_beads_likely(folder):
    pytest.importorskip("scipy")
    lattices = [training.lattice(*item) for item in training.development(folder, "both")[:2]]
    weights = training.train(lattices)
    at_start = training.loss(np.zeros_like(weights), lattices, 0.0)[0]
    assert training.loss(weights, lattices, 0.0)[0] < 0.5 * at_start


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "nowhere"], r"No such file.*nowhere.eval1957\.de"),
        (["--data", "nowhere", "--out", "no/weights.py"], r"no such folder: 'no'"),
    ],
)
def test_training_says_in_one_line_what_is_missing(monkeypatch, tmp_path, words, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=message) as ended:
        training.main(words)
    assert "\n" not in str(ended.value)
