"""The HTML page of a run of a CapsNet, or of a network beside it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyad.report.capsnet import PAPERS, SeedError, condition, in_numbers
from polyad.report.hypernet_page import NOT_COMPARABLE
from polyad.report.page import Page, Picture, flat
from polyad.run import Run

AMOUNTS = tuple(k / 20 for k in range(-5, 6))
"""What is added to one number of a capsule."""

MOST_BYTES = 4_000_000
"""Of pictures of changed capsules on the page; classes that do not fit are left out."""

MNIST = "a1d0d32e8527a0da96a87d0bc354b8e6"
"""The fingerprint of MNIST's 60,000 training examples: what the paper's figures are of."""

_LEADS = {
    "capsnet": "Small groups of neurons, capsules, say with the length of their output whether "
    "something is there, and with its direction what it is like. Every capsule of the lower layer "
    "predicts the outputs of all capsules above, and sends its own where predictions agree.",
    "cnn": "The convolutional network that the paper compares a CapsNet with: three layers of "
    "convolutions and two of ordinary neurons.",
    "matched-cnn": "A convolutional network with as many parameters as a CapsNet, trained on the "
    "same pictures in the same way: what a CapsNet should be compared with.",
}
_TASKS = {
    "classify": "It sees a picture and answers with its class.",
    "multimnist": "It sees two pictures of different classes, added on top of each other, and "
    "answers with both classes; an answer is right if both are.",
    "affine": "It sees a picture anywhere in a larger frame and answers with its class. Then it is "
    "tested on pictures that are turned by up to 20 degrees, sheared and scaled as well, of which "
    "it saw none. They are made in the manner of affNIST, and are other pictures.",
}
_RECONSTRUCTIONS = Picture(
    "reconstructions",
    "Redrawn from one capsule",
    "Test pictures, and what the decoder draws from one capsule of each",
    "A decoder sees nothing but the capsule of one class, a handful of numbers, and draws the "
    "picture again. Below, all of those that were answered wrongly, or the first of them: drawn "
    "from the capsule of the answer, and from that of the true class.",
)
_SEGMENTATION = Picture(
    "segmentation",
    "Taken apart",
    "Overlapping pictures, what they were made of, and what was redrawn of each, in two colours",
    "Two pictures on top of each other; in two colours, what was laid down, and what the decoder "
    "redraws from the two longest capsules, one at a time. While it learned it was shown the two "
    "apart; these it sees only together. Under each stands the answer, vermilion where it is "
    "wrong.",
)
_COUPLINGS = Picture(
    "couplings",
    "Where the votes come from",
    "Couplings to the true class over the picture, by iteration of routing",
    "Each capsule of the lower layer divides itself among the classes. Drawn is the share that "
    "goes to the true class, averaged over the capsules at each place by their lengths. At first "
    "it is the same everywhere; each iteration moves it where predictions agree. Beside the "
    "rows, the mean entropy of how a capsule divides itself: log2 of the number of classes where "
    "it makes no choice, 0 where it has chosen one.",
)
_LEARNING = Picture(
    "learning",
    "While it learned",
    "Error against epochs of training",
    "Training errors are counted while an epoch goes on, on pictures that are moved at random, and "
    "with the weights of the moment. The held-out pictures are looked at once, at the end.",
)
_CONFUSION = Picture(
    "confusion",
    "What was taken for what",
    "Confusion matrix",
    "Test pictures: a row per true class, a column per answer. The diagonal is right.",
)
_MISTAKES = Picture(
    "mistakes",
    "The mistakes",
    "Test pictures that were answered wrongly, with truth and answer",
    "Of the first 1,000 test pictures those that were answered wrongly, at most 40 of them: truth "
    "→ answer; below, how sure the network was of each.",
)


def write_page(run: Run, perturbed: NDArray[Any], seeds: Sequence[SeedError]) -> None:
    """Write report.html: figures, pictures, a capsule whose numbers can be changed, settings.

    Args:
        run: The run.
        perturbed: [J, D, n, H, W] in 0 .. 1, what the decoder draws when one number of a capsule
            changes by each of `AMOUNTS`; empty: there is no decoder.
        seeds: Trainings that stand beside the paper's table.
    """
    metrics = run.metrics()
    data, task = run.setting("data", dict), run.setting("task", str)
    network = run.setting("network", str)
    source = str(data.get("source"))
    name = PurePath(source).name
    name = name.removesuffix(PurePath(name).suffix)
    page = Page(_title(network, task, name), _LEADS.get(network, ""))
    page.text(_TASKS.get(task, ""))
    if source == "digits":
        page.note(NOT_COMPARABLE)
    page.tiles(_tiles(metrics))
    for picture in (_RECONSTRUCTIONS, _SEGMENTATION):
        page.section(run, picture)
    if perturbed.size:
        page.heading("What each number of a capsule means")
        page.text(
            "Of each class a test picture; each row changes one number of its capsule a little, "
            "from left to right, and draws it again. Some of them turn out to have a meaning: how "
            "thick the stroke is, how slanted or wide the picture, how long a part of it."
        )
        page.interactive(*_dimensions(perturbed))
    page.section(run, _COUPLINGS)
    _beside_the_paper(page, run, seeds, name, data.get("fingerprint") == MNIST, task)
    for picture in (_LEARNING, _CONFUSION, _MISTAKES):
        page.section(run, picture)
    table = run.table("tests")
    if table is not None:
        page.heading("Measured")
        page.table(*table)
    page.heading("Go on")
    page.text("The folder of this page is a run; these commands read it.")
    page.command(f"polyad evaluate {run.path}\ntensorboard --logdir {run.file('logs')}")
    page.folded(
        "Every figure (metrics.json)",
        [(name, f"{value:,.6g}") for name, value in metrics.items()],
    )
    page.folded("Settings (settings.json)", list(flat(run.settings)))
    page.save(run.file("report.html"))


def _title(network: str, task: str, name: str) -> str:
    what = {"capsnet": "A CapsNet"}.get(network, "A convolutional network")
    verb = "takes overlapping digits apart" if task == "multimnist" else "reads handwritten digits"
    known = name in ("digits", "mnist")
    return f"{what} {verb}" if known else f"{what} on {name}"


def _beside_the_paper(
    page: Page, run: Run, seeds: Sequence[SeedError], name: str, is_mnist: bool, task: str
) -> None:
    path = run.picture("routing")
    if task != "classify" or not path.is_file():
        return
    page.heading("Routing, with and without")
    if not is_mnist:
        page.note(
            f"The paper's figures are of MNIST; those of this run are of {name}, which is other "
            "data: the two cannot be compared. They show what routing and the decoder were said "
            "to bring."
        )
    page.picture(
        path,
        "Test error by iterations of routing, with and without a decoder, beside the paper's",
        "Grey, table 1 of Sabour, Frosst and Hinton (2017), with the deviation over three "
        "trainings. Blue, what was trained here: small points are single trainings, the large one "
        "their mean.",
    )
    page.table(["", "the paper, MNIST", f"here, {name}"], _conditions(seeds))


def _conditions(seeds: Sequence[SeedError]) -> list[tuple[str, str, str]]:
    ours: dict[tuple[str, int, bool], list[float]] = {}
    for row in seeds:
        ours.setdefault(row.condition, []).append(row.error_percent)
    rows = []
    for key in [*PAPERS, *(key for key in ours if key not in PAPERS)]:
        mean, deviation = PAPERS.get(key, (None, None))
        papers = "" if mean is None else f"{mean:.2f}"
        papers += "" if deviation is None else f" ± {deviation:.3f}"
        rows.append((condition(*key), papers, in_numbers(ours[key]) if key in ours else ""))
    return rows


def _tiles(metrics: Mapping[str, float]) -> list[tuple[str, str]]:
    tiles = []
    if "error_percent_test" in metrics:
        right = 100 - metrics["error_percent_test"]
        tiles.append((f"{right:.2f} %", "of held-out pictures answered rightly"))
    for name, form, text in (
        ("errors_test", "{:,.0f}", "answered wrongly"),
        ("samples_test", "{:,.0f}", "pictures held out"),
        ("error_percent_affine", "{:.2f} %", "error on turned and sheared pictures"),
        ("samples_train", "{:,.0f}", "pictures to learn from"),
        ("parameters", "{:,.0f}", "parameters"),
        ("seconds_train", "{:,.1f} s", "of training"),
    ):
        if name in metrics:
            tiles.append((form.format(metrics[name]), text))
    return tiles


def _dimensions(perturbed: NDArray[Any]) -> tuple[str, str, str]:
    """Return body, style and script of the part that changes capsules."""
    classes, size, count, height, width = perturbed.shape
    fitting = max(1, min(classes, MOST_BYTES // (size * count * height * width)))
    labels = [str(label) for label in range(fitting)]
    options = "".join(f"<option>{escape(label)}</option>" for label in labels)
    body = (
        '<div class="steps dimensions" id="dimensions"><div class="bar">'
        f'<label>class <select data-is="choice">{options}</select></label></div>'
        '<div class="both"><canvas data-is="grid" tabindex="0" role="img" '
        'aria-label="pictures by number of the capsule and by change"></canvas>'
        '<div class="large"><canvas data-is="large"></canvas><p class="say" data-is="say"></p>'
        "</div></div><noscript><p>This part needs JavaScript.</p></noscript></div>"
    )
    folder = files("polyad.report")
    style, more, code = (
        (folder / name).read_text(encoding="utf-8")
        for name in ("controls.css", "capsnet_dimensions.css", "capsnet_dimensions.js")
    )
    content = {
        "labels": labels,
        "size": size,
        "amounts": AMOUNTS,
        "height": height,
        "width": width,
        "images": [_bytes(perturbed[label]) for label in range(fitting)],
    }
    return body, style + more, f"const DIMENSIONS = {json.dumps(content)};\n{code}"


def _bytes(values: NDArray[Any]) -> str:
    rounded = np.clip(np.rint(255 * np.asarray(values, np.float64)), 0, 255).astype(np.uint8)
    return base64.b64encode(rounded.tobytes()).decode()
