import re

import pytest

from polyad.report.page import Page

PNG = bytes.fromhex("89504e470d0a1a0a")


@pytest.fixture
def page(tmp_path):
    picture = tmp_path / "p.png"
    picture.write_bytes(PNG)
    page = Page("Title <1>", "lead & more")
    page.heading("h < i")
    page.text("<script>alert(1)</script>")
    page.note("note")
    page.command("polyad demo && true")
    page.tiles([("97 %", "right <b>")])
    page.picture(picture, 'an "alternative"', "caption <i>")
    page.table(["a", "<b>"], [("x", "<1>")])
    page.folded("more", [("name", "<value>")])
    return page


def test_needs_no_other_file(page):
    html = page.html()
    assert "data:image/png;base64,iVBORw0KGgo=" in html
    assert not re.findall(r'(?:src|href)="(?!data:)', html)
    assert "http" not in html
    assert "@import" not in html


def test_escapes_all_text(page):
    html = page.html()
    assert "<script" not in html
    for text in ("Title &lt;1&gt;", "lead &amp; more", "h &lt; i", "right &lt;b&gt;", "&lt;i&gt;"):
        assert text in html
    assert 'alt="an &quot;alternative&quot;"' in html


def test_serves_light_dark_and_phones(page):
    html = page.html()
    assert "prefers-color-scheme: dark" in html
    assert 'name="viewport"' in html


def test_saved_whole(page, tmp_path):
    path = tmp_path / "report.html"
    page.save(path)
    assert path.read_text(encoding="utf-8") == page.html()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["p.png", "report.html"]
