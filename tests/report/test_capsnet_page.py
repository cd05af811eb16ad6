"""Figures of a CapsNet, and its page, from made pictures."""

import base64
import json
import re

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from test_figures import drawn, texts

from polyad.report import capsnet
from polyad.report.capsnet import PAPERS, UNIFORM, Routed, SeedError, Shown
from polyad.report.capsnet_page import AMOUNTS, MNIST, write_page
from polyad.report.hypernet_page import NOT_COMPARABLE
from polyad.run import Run


def shown(truth, answer, *, decoder=True, seed=0):
    rng = np.random.default_rng(seed)
    made = rng.random((len(truth), 6, 6)) if decoder else None
    sure = np.full(10, 0.1)
    sure[list(answer)] = 0.9
    parts = rng.random((2, 6, 6)) if len(truth) == 2 else None
    return Shown(seed, rng.random((6, 6)), truth, answer, sure, made, made, parts)


RIGHT = [shown((k,), (k,), seed=k) for k in range(3)]
WRONG = [shown((3,), (5,)), shown((4,), (9,))]


def images(figure):
    return sum(len(axes.get_images()) for axes in figure.axes)


def test_what_is_right():
    assert RIGHT[0].right
    assert not WRONG[0].right
    assert shown((3, 5), (5, 3)).right


def test_reconstructions():
    figure = capsnet.reconstructions(RIGHT, WRONG)
    drawn(figure)
    assert {"0", "1", "2", "3 → 5", "4 → 9", "picture", "redrawn"} <= texts(figure)
    assert images(figure) == 3 * 2 + 2 * 3
    figure = capsnet.reconstructions(RIGHT, [])
    drawn(figure)
    assert images(figure) == 6


def test_dimensions():
    figure = capsnet.dimensions(np.zeros((4, 11, 6, 6)), AMOUNTS, 7)
    drawn(figure)
    assert {"-0.25", "+0.00", "+0.25", "4", "the capsule of class 7"} <= texts(figure)


def test_couplings_share_one_scale():
    maps = np.linspace(0, 0.6, 2 * 3 * 2 * 2).reshape(2, 3, 2, 2)
    routed = [Routed(np.zeros((6, 6)), k, maps[k]) for k in range(2)]
    figure = capsnet.couplings(routed, [3.32, 3.3, 2.5], 10)
    drawn(figure)
    assert {"iteration 1\n3.320 bits", "iteration 3\n2.500 bits"} <= texts(figure)
    limits = {image.get_clim() for axes in figure.axes[10:40] for image in axes.get_images()}
    (limit,) = limits
    assert limit == pytest.approx((0, 0.6))


def test_segmentation_says_what_is_wrong():
    figure = capsnet.segmentation([shown((3, 5), (5, 3)), shown((1, 2), (2, 8))])
    drawn(figure)
    assert {"3 + 5", "1 + 2", "2 + 8"} <= texts(figure)
    assert images(figure) == 6


def test_reconstructions_stand_in_the_order_of_the_truth():
    one = shown((1, 2), (8, 2))
    order = capsnet._in_order(one)
    np.testing.assert_array_equal(order, one.made)
    one = shown((1, 2), (2, 1))
    np.testing.assert_array_equal(capsnet._in_order(one), one.made[::-1])


def test_mistakes():
    figure = capsnet.mistakes([*WRONG, shown((1, 2), (2, 8))])
    drawn(figure)
    assert {"3 → 5", "0.10 : 0.90", "1 + 2\n→ 2 + 8"} <= texts(figure)
    assert images(capsnet.mistakes(WRONG * 30)) == capsnet.MOST_MISTAKES


SEEDS = [SeedError("capsnet", 3, True, seed, 1.0 + 0.5 * seed) for seed in range(3)]


def test_routing_stands_beside_the_papers_table():
    figure = capsnet.routing([*SEEDS, SeedError(UNIFORM, 1, False, 0, 2.0)], "digits")
    drawn(figure)
    found = texts(figure)
    assert {"3 iterations, with decoder", "1 iteration, no decoder", "the paper's CNN"} <= found
    assert {"1.50 ± 0.50, 3 seeds", "no routing, no decoder", "2.00, 1 seed"} <= found
    assert "the paper, on MNIST" in found


def test_the_papers_figures():
    assert PAPERS["capsnet", 3, True] == (0.25, 0.005)
    assert PAPERS["capsnet", 1, False] == (0.34, 0.032)


@pytest.fixture
def run(tmp_path):
    settings = {
        "data": {"source": "/data/<bars>.npz", "fingerprint": "0"},
        "task": "classify",
        "network": "capsnet",
        "preset": "digits",
        "options": {"iterations": 3, "reconstruction": 0.0005},
        "plan": {"seed": 0},
    }
    run = Run(tmp_path / "<run>", "capsnet", settings)
    run.begin()
    run.add_metrics(error_percent_test=1.25, errors_test=2, samples_test=160, seconds_train=12.5)
    run.write_table("tests", ["pictures", "error"], [["held out", "1.25 %"]])
    run.save_picture("routing", capsnet.routing(SEEDS, "bars"))
    run.save_picture("mistakes", capsnet.mistakes(WRONG))
    return run


PERTURBED = np.random.default_rng(0).random((3, 4, 11, 6, 6))


def page_of(run, perturbed=PERTURBED):
    write_page(run, perturbed, SEEDS)
    return run.file("report.html").read_text(encoding="utf-8")


def test_the_page_needs_no_other_file(run):
    page = page_of(run)
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    for text in ("http", "@import", "fetch(", "import(", "XMLHttpRequest", "eval("):
        assert text not in page, text
    assert page.count("<script>") == page.count("</script>") == 1
    assert "&lt;bars&gt;" in page
    assert "&lt;run&gt;" in page
    assert "<run>" not in page
    assert "<bars>" not in page


def test_the_page_says_what_was_found(run):
    page = page_of(run)
    for text in (
        "A CapsNet on &lt;bars&gt;", "98.75 %", "answered wrongly", "12.5 s", "0.25 ± 0.005",
        "1.50 ± 0.50, 3 seeds", "Sabour, Frosst and Hinton (2017)", "The mistakes",
        "cannot be compared", "plan.seed", "held out",
    ):  # fmt: skip
        assert text in page, text
    assert page.count("data:image/png;base64,") == 2


def test_mnist_is_compared_and_digits_are_not(run):
    run.settings["data"] = {"source": "/data/mnist", "fingerprint": MNIST}
    page = page_of(run)
    assert "A CapsNet reads handwritten digits" in page
    assert "cannot be compared" not in page
    run.settings["data"] = {"source": "digits", "fingerprint": "0"}
    page = page_of(run)
    assert NOT_COMPARABLE.split(":")[0].replace("'", "&#x27;") in page
    run.settings["task"] = "multimnist"
    page = page_of(run)
    assert "takes overlapping digits apart" in page
    assert "the paper, MNIST" not in page


def test_changed_capsules_are_what_the_decoder_drew(run):
    page = page_of(run)
    found = json.loads(re.search(r"const DIMENSIONS = (.*);\n", page)[1])
    assert found["labels"] == ["0", "1", "2"]
    assert (found["size"], found["height"], found["width"]) == (4, 6, 6)
    assert found["amounts"] == pytest.approx(AMOUNTS)
    assert 0 in found["amounts"]
    for packed, wanted in zip(found["images"], PERTURBED, strict=True):
        shown = np.frombuffer(base64.b64decode(packed), np.uint8).reshape(wanted.shape)
        np.testing.assert_allclose(shown / 255, wanted, atol=0.002)


def test_the_page_has_room_for_some_classes(run):
    page = page_of(run, np.zeros((10, 16, 11, 64, 64)))
    found = json.loads(re.search(r"const DIMENSIONS = (.*);\n", page)[1])
    assert found["labels"] == ["0", "1", "2", "3", "4"]


def test_a_network_without_decoder_has_a_page(run):
    run.settings["network"] = "matched-cnn"
    page = page_of(run, np.zeros((0, 0, 0, 0, 0)))
    assert "A convolutional network on" in page
    assert "What each number of a capsule means" not in page
    assert "<script>" not in page
