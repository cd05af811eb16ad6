import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from polyad.report import figures, hypernet
from polyad.report.hypernet import EdgePicture


def drawn(figure):
    """The figure as RGBA [height, width, 4]."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def texts(figure):
    from matplotlib.text import Text

    return {text.get_text() for text in figure.findobj(Text) if text.get_text()}


def test_curves_name_each_series_apart():
    figure = figures.curves(
        [1, 10, 100],
        {"one": [10.0, 50.0, 90.0], "two": [11.0, 51.0, 90.0]},
        x_label="seen",
        y_label="%",
        log_x=True,
        levels={"goal": 90.0},
        mark_values=True,
    )
    drawn(figure)
    assert {"one", "two", "goal, 90", "seen", "%"} <= texts(figure)
    ends = {"one", "two", "goal, 90"}
    places = sorted(t.xy[1] for t in figure.axes[0].texts if t.get_text() in ends)
    low, high = figure.axes[0].get_ylim()
    assert np.diff(places).min() > 0.07 * (high - low)


def test_confusion_shows_every_count():
    figure = figures.confusion(np.array([[7, 2], [0, 9]]), ["a", "b"])
    drawn(figure)
    assert {"7", "2", "9", "a", "b"} <= texts(figure)
    assert "0" not in texts(figure)


def test_confusion_of_one_class():
    drawn(figures.confusion(np.array([[3]]), ["only"]))


@pytest.mark.parametrize("shape", [(8, 8), (28, 28), (1, 13)])
def test_recalled_pictures(shape):
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, (3, *shape))
    mask = rng.random((3, *shape)) < 0.5
    wrong = rng.random(truth.shape) < 0.3
    figure = hypernet.recalled_pictures(truth, mask, 1 - truth, wrong, ["0", "1", "2"])
    drawn(figure)
    assert {"truth", "shown", "recalled", "new in it", "0", "1", "2"} <= texts(figure)
    dots = sum(len(c.get_offsets()) for axes in figure.axes for c in axes.collections)
    assert dots == (wrong & ~mask).sum()  # what was shown is never marked


def test_edges_and_decision():
    on, off = np.zeros((4, 4)), np.zeros((4, 4))
    on[1, 2], off[3, 3] = 1, 0.5
    edge = EdgePicture("7", 2.5, on, off)
    one_sided = EdgePicture("7", 1.0, on, np.zeros((4, 4)))
    figure = hypernet.strongest_edges([[edge, one_sided], [edge], []], [np.zeros((4, 4))] * 3)
    drawn(figure)
    assert {"7", "2.5", "must be on", "must be off"} <= texts(figure)
    figure = hypernet.explained(
        np.eye(4), [edge] * 3, np.array([0.5, 250.0, 3.0]), ["a", "b", "c"], "b"
    )
    drawn(figure)
    assert {"7: +2.5", "250", "a b, as the model sees it"} <= texts(figure)


def test_pyplot_stays_unused():
    program = (
        "import sys; from polyad.report import figures;"
        "figures.curves([1, 2], {'a': [1.0, 2.0]}, x_label='', y_label='');"
        "sys.exit('matplotlib.pyplot' in sys.modules or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
