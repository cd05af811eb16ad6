"""The demo of the aligner on its sample."""

from polyad.align.aligner import MODES
from polyad.recipes import align_demo


def test_the_page_goes_to_a_folder_that_is_made(tmp_path):
    made = align_demo.run(tmp_path / "new" / "folder")
    assert made.page == tmp_path / "new" / "folder" / align_demo.PAGE
    assert made.page.stat().st_size > 10_000
    assert [row[0] for row in made.summary()] == list(MODES)
    assert made.metrics()["align_accurate_f1_lax_percent"] > 90
