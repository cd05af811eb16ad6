"""The HTML page of a hypernet's run, made from the other files of the run."""

from __future__ import annotations

import re
from collections.abc import Mapping

from polyad.report.page import Page, Picture
from polyad.run import Run

NOT_COMPARABLE = (
    "These figures use fixed thirds of scikit-learn's digits: two thirds to learn from, one third "
    "held out. Those pictures are, row for row, the test file of the optdigits data, so nothing "
    "here can be compared with optdigits results."
)

_SEEN = re.compile(r"accuracy_test_after_(\d+)_examples_percent")


_RECALLED = (
    "Each column is a held-out picture that the hypernet never saw. Sand-coloured pixels were "
    "hidden. The last row is the third with the recalled pixels in blue; a dot marks those that "
    "are wrong."
)

_MEMORY = (
    "Another hypernet recalls: it holds one long hyperedge for every example, drawn in a single "
    "pass, and sees each pixel in shades of grey. The hyperedges that fit best what is shown say "
    "what is hidden."
)

_PICTURES = (
    Picture(
        "stream",
        "One example at a time",
        "Accuracy on held-out pictures against the number of examples seen",
        "Every example is seen once, alone: hyperedges are drawn from it, and it is forgotten. The "
        "points are the share of held-out pictures classified rightly so far; the dashed line is "
        "where a hypernet ends that may look at the examples again and learn from its errors.",
    ),
    Picture(
        "recall",
        "Recalled from a part",
        "Test pictures, what was shown of them, and what the hypernet recalled",
        _RECALLED,
    ),
    Picture(
        "recall-lower",
        "Recalled from the upper half",
        "Test pictures, their upper halves, and what the hypernet recalled below",
        "The same with the lower half hidden, which is harder: hidden pixels have hardly a "
        "neighbour that is shown.",
    ),
    Picture(
        "edges",
        "The strongest hyperedges",
        "Hyperedges of each class drawn over the mean picture of the class",
        "A hyperedge matches a picture where the blue pixels are on and the vermilion ones off; a "
        "few may differ (its tolerance). Under each stands its weight; behind it, pale, the mean "
        "picture of its class.",
    ),
    Picture(
        "decision",
        "One decision, explained",
        "A picture, the hyperedges that matched it, and the votes of every class",
        "Left, the picture; in the middle, the matching hyperedges of the winning class with the "
        "largest weights; right, the votes: the weights of all that match, summed by class.",
    ),
    Picture(
        "learning",
        "While it learned",
        "Accuracy over the passes",
        "The share of training examples classified rightly after every pass; pass 0 is the one "
        "that draws the hyperedges.",
    ),
    Picture(
        "confusion",
        "What was taken for what",
        "Confusion matrix",
        "Test examples: a row per true class, a column per answer. The diagonal is right.",
    ),
)


def write_page(run: Run) -> None:
    """Write report.html: figures, pictures as far as there are any, settings."""
    metrics, settings = run.metrics(), run.setting("data", dict)
    source = str(settings.get("source"))
    title = f"A hypernet on {source.rstrip('/').rpartition('/')[2]}"
    if run.picture("stream").is_file():
        title = "A hypernet learns handwritten digits"
    page = Page(
        title,
        "A hypernet is a set of weighted hyperedges: each says which of a few pixels or features "
        "must be on and which off, and votes for a class where they are. Drawn from examples and "
        "reweighted by its errors, it classifies, explains its answers, recalls what is hidden.",
    )
    if source == "digits":
        page.note(NOT_COMPARABLE)
    page.tiles(_tiles(metrics))
    for picture in _PICTURES:
        path = run.picture(picture.name)
        if not path.is_file():
            continue
        page.heading(picture.title)
        if picture.name == "recall" and run.file("memory").is_dir():
            page.text(_MEMORY)
        key = picture.name.replace("-", "_")
        if f"{key}_right_percent" in metrics:
            page.text(_recall_sentence(metrics, key))
        page.picture(path, picture.alternative, picture.caption)
    table = run.table("edges")
    if table is not None:
        page.heading("The strongest hyperedges")
        page.table(*table)
    page.heading("Go on")
    page.text("The folder of this page is a run; these commands read it.")
    memory = run.path / "memory" if run.file("memory").is_dir() else run.path
    page.command(f"polyad evaluate {run.path}\npolyad recall {memory} --hide 0.7")
    page.folded(
        "Every figure (metrics.json)",
        [(name, f"{value:,.6g}") for name, value in metrics.items()],
    )
    settings = {
        **settings,
        "encoder": run.setting("encoder", str),
        **run.setting("parameters", dict),
    }
    page.folded(
        "Settings (settings.json)", [(name, str(value)) for name, value in settings.items()]
    )
    page.save(run.file("report.html"))


def accuracy_by_seen(metrics: Mapping[str, float]) -> list[tuple[int, float]]:
    """Return (examples seen, held-out right in %) of a run that streamed its examples."""
    found = ((_SEEN.fullmatch(name), value) for name, value in metrics.items())
    return sorted((int(match[1]), value) for match, value in found if match)


def _recall_sentence(metrics: Mapping[str, float], name: str) -> str:
    return (
        f"In {metrics[f'{name}_samples']:,.0f} held-out pictures "
        f"{metrics[f'{name}_hidden_percent']:.0f} % of the pixels were hidden, and "
        f"{metrics[f'{name}_right_percent']:.1f} % of these were recalled rightly (on or off). "
        "Always answering with the more frequent value of each pixel: "
        f"{metrics[f'{name}_majority_right_percent']:.1f} %."
    )


def _tiles(metrics: Mapping[str, float]) -> list[tuple[str, str]]:
    tiles = []
    for name, form, text in (
        ("accuracy_test_percent", "{:.1f} %", "of held-out examples classified rightly"),
        ("recall_right_percent", "{:.1f} %", "of the hidden features recalled rightly"),
        ("samples_train", "{:,.0f}", "examples to learn from"),
        ("samples_test", "{:,.0f}", "examples held out"),
        ("edges", "{:,.0f}", "hyperedges"),
        ("seconds_train", "{:,.1f} s", "of training"),
    ):
        if name in metrics:
            tiles.append((form.format(metrics[name]), text))
    return tiles
