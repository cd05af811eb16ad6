"""The review page: what it holds, and, in a real browser, what it does."""

import json
import math
import re

import chromium
import numpy as np
import pytest

from polyad.align import LABELS, Aligner, Alignment, Bead, Document
from polyad.align.given import alignment_of
from polyad.align.review import VERDICTS, accuracy, draw_sample, read_judgements
from polyad.data.align_sample import korean_readme
from polyad.report import align as report
from polyad.report.align import write_review

NASTY = [
    '</script><script>document.title = "broken"</script>',
    "<!-- <script> -->",
    "\"quotes\" and 'quotes' and `ticks` ${1 + 1} \\ \\u0041 &amp; &lt;b&gt;",
    "NUL \0 and \x1b[31m and \x7f and \u2028 and \u2029 and \ufeff and \ud800 alone",
    "עברית ועוד \u202e gnorw \u202c (english) 123",
    "العربية",
    "<img src=x onerror=\"document.title='broken'\">",
    "",
    "word " * 3000,
    "𝄞 한국어 ☕",
]


def nasty():
    n = len(NASTY)
    at = np.arange(n, dtype=np.int32)
    spans = np.stack([at, at + 1, at, at + 1], axis=1)
    scores = np.array([math.nan, math.inf, *np.linspace(0, 1, n - 2)])
    document = Document(NASTY, NASTY[::-1], name=NASTY[0] + "\0")
    return Alignment(document, spans, scores, np.full(n, LABELS.index("BLEU"), np.int8))


def data_of(html):
    found = re.search(r"const REVIEW = (.*);\nconst DOCUMENTS = (.*);\n", html)
    return tuple(map(json.loads, found.groups()))


@pytest.fixture(scope="module")
def readme():
    return Aligner().align(korean_readme().document)


def test_page_holds_the_sample_and_nothing_from_elsewhere(tmp_path, readme):
    sample = draw_sample([readme], per_band=4)
    path = tmp_path / "review.html"
    write_review(path, sample, title="A < B")
    html = path.read_text(encoding="utf-8")
    assert "<h1>A &lt; B</h1>" in html
    assert not re.findall(r"""(?:src|href)=["'](?!data:)|https?:|url\(|@import""", html)
    told, documents = data_of(html)
    assert [band["beads"] for band in told["bands"]] == [band.beads for band in sample.bands]
    for item, drawn in zip(told["items"], sample.items, strict=True):
        bead, document = sample.bead(drawn), readme.document
        assert item["source"]["own"] == list(bead.source)
        first, last = bead.target[0], bead.target[-1]
        near = range(max(0, first - 2), min(len(document.target), last + 3))
        assert item["target"]["lines"] == [[j, document.target[j]] for j in near]
    (one,) = documents
    assert (one["n"], one["m"]) == (len(readme.document.source), len(readme.document.target))
    assert one["spans"] == readme.spans.reshape(-1).tolist()


def test_page_of_texts_that_may_contain_anything(tmp_path):
    path = tmp_path / "review.html"
    write_review(path, draw_sample([nasty()]), title=NASTY[0] + "\0\ud800")
    html = path.read_bytes().decode("utf-8")
    assert "\0" not in html
    assert html.count("</script>") == html.count("<script>") == 3
    told, documents = data_of(html)
    assert documents[0]["source"][:8] == NASTY[:8]
    assert len(documents[0]["source"][8]) < 5000
    assert sum(item["score"] is None for item in told["items"]) == 2


def test_many_documents_bring_paths_up_to_a_limit(monkeypatch):
    monkeypatch.setattr(report, "PATHS", 3)
    monkeypatch.setattr(report, "PATH_SENTENCES", 45)
    sample = draw_sample([nasty() for _ in range(5)], per_band=1)
    made = report._documents(sample)
    assert len(made) == 3
    asked = {item.document for item in sample.items}
    assert {one["index"] for one in made} <= asked or len(asked) < 3
    assert [one["source"] is not None for one in made] == [True, True, False]


# ------------------------------------------------------------------------------- in the browser

needs_browser = pytest.mark.skipif(chromium.PATH is None, reason="Chromium is not installed")


@pytest.fixture
def opened(tmp_path):
    """Open the review page of alignments."""
    pages = []

    def open_page(alignments, **options):
        path = tmp_path / "review.html"
        sample = draw_sample(alignments, **options)
        write_review(path, sample)
        page = chromium.Page(path.as_uri(), tmp_path / "profile").__enter__()
        pages.append(page)
        return page, sample

    yield open_page
    for page in pages:
        page.__exit__()


def verdicts(page):
    return [one["verdict"] for one in page.run("Judge.told()")["judgements"]]


@pytest.mark.slow
@needs_browser
def test_beads_are_judged_with_the_keyboard(opened, tmp_path):
    page, sample = opened([Aligner().align(korean_readme().document)])
    shown = page.run("document.querySelector('[data-is=source]').innerText")
    assert sample.alignments[0].document.source[sample.bead(sample.items[0]).source[0]] in shown
    assert "score" not in page.run("document.querySelector('[data-is=place]').innerText")
    page.press("1", "2", "3", "s")
    assert verdicts(page)[:5] == [*VERDICTS, None]
    page.press("u", "u")
    assert verdicts(page)[:4] == ["correct", "partly", None, None]
    page.press("n", "1", "u", "x", "Escape", "2")  # letters of a note are no verdicts
    page.press("ArrowLeft", "ArrowLeft", "3", "1")
    page.press("ArrowLeft", "ArrowLeft", "ArrowLeft", "j")
    assert page.run("document.querySelector('[data-is=place]').innerText").startswith("bead 5 of")
    assert verdicts(page)[:5] == ["correct", "wrong", "partly", "correct", None]
    assert page.run("Judge.told()")["judgements"][2]["note"] == "1ux"
    assert page.run("document.querySelector('progress').value") == 4

    page.go(page.url)  # the browser kept it
    assert verdicts(page)[:5] == ["correct", "wrong", "partly", "correct", None]
    kept = json.dumps(page.run("Judge.told()"))
    page.run("localStorage.clear()")
    page.go(page.url)
    assert set(verdicts(page)) == {None}
    page.run(f"Judge.load({json.dumps(kept)})")  # what was saved is loaded
    assert verdicts(page)[:5] == ["correct", "wrong", "partly", "correct", None]
    saved = tmp_path / "judgements.json"
    saved.write_text(kept)
    assert sum(sum(count.values()) for count in read_judgements(saved).counts) == 4
    assert page.complaints() == []
    assert {url.split("?")[0] for url in page.requests()} == {page.url}


@pytest.mark.slow
@needs_browser
def test_judgements_are_saved_to_a_file_and_loaded_from_it(opened, tmp_path):
    page, sample = opened([Aligner().align(korean_readme().document)])
    page("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    page.press("1", "3", "n", "\u00e9", "Escape", "2")
    page.run("document.querySelector('[data-is=save]').click()")
    saved = tmp_path / "judgements.json"
    page.wait(lambda: saved.exists() and saved.stat().st_size > 0)
    told = json.loads(saved.read_text(encoding="utf-8"))
    assert [one["verdict"] for one in told["judgements"]][:4] == [
        "correct",
        "wrong",
        "partly",
        None,
    ]
    assert told["judgements"][2]["note"] == "\u00e9"
    counts = read_judgements(saved).counts
    assert sum(sum(count.values()) for count in counts) == 3
    first = told["judgements"][0]
    assert tuple(first["source"]) == sample.bead(sample.items[0]).source
    page.run("localStorage.clear()")
    page.go(page.url)
    root = page("DOM.getDocument")["root"]["nodeId"]
    field = page("DOM.querySelector", nodeId=root, selector="[data-is=file]")["nodeId"]
    page("DOM.setFileInputFiles", nodeId=field, files=[str(saved)])
    status = "document.querySelector('#judge [role=status]').innerText"
    page.wait(lambda: "Loaded; 3 of" in page.run(status))
    assert verdicts(page)[:4] == ["correct", "wrong", "partly", None]
    assert page.complaints() == []


@pytest.mark.slow
@needs_browser
def test_keys_work_on_a_keyboard_that_writes_hangul(opened):
    page, _ = opened([Aligner().align(korean_readme().document)])
    for kind in ("keyDown", "keyUp"):
        page("Input.dispatchKeyEvent", type=kind, key="\u3134", code="KeyS")
    assert verdicts(page)[:2] == ["skipped", None]


@pytest.mark.slow
@needs_browser
def test_the_browser_counts_as_the_package_does(opened, tmp_path, rng):
    at = np.arange(300, dtype=np.int32)
    scores = rng.random(300)
    scores[:20] = math.nan
    texts = [f"s {i}" for i in at]
    spans = np.stack([at, at + 1, at, at + 1], axis=1)
    page, _ = opened(
        [Alignment(Document(texts, texts), spans, scores, np.zeros(300, np.int8))], per_band=15
    )
    for _ in range(60):
        page.press("1123s"[rng.integers(5)])
    found = page.run("Judge.accuracy()")
    saved = tmp_path / "judgements.json"
    saved.write_text(json.dumps(page.run("Judge.told()")))
    told = read_judgements(saved)
    *rows, every = accuracy(told.bands, told.counts)
    for row, expected in zip([*found["rows"], found["all"]], [*rows, every], strict=True):
        for name in ("correct", "partly", "wrong", "judged"):
            assert row[name] == getattr(expected, name)
        for name in ("strict", "lax", "upwards"):
            if row.get(name) is not None:
                assert row[name] == pytest.approx(getattr(expected, name), abs=1e-12)
            else:
                assert math.isnan(getattr(expected, name).share) or expected is every
        if expected is not every and not math.isnan(expected.band.low):
            assert row["kept"] == expected.kept
    last = page.run("document.querySelector('#accuracy tr.all').innerText")
    assert f"{100 * every.strict.share:.1f}" in last
    assert f"{100 * every.strict.low:.1f}\u2013{100 * every.strict.high:.1f}" in last


@pytest.mark.slow
@needs_browser
def test_texts_that_may_contain_anything_are_only_shown(opened):
    page, sample = opened([nasty()])
    seen = ""
    for _ in sample.items:
        seen += page.run("document.querySelector('[data-is=sides]').innerText")
        page.press("1")
    assert page.run("document.title") != "broken"
    assert page.run("document.querySelectorAll('#judge script, #judge img').length") == 0
    for text in (
        "</script>",
        "<!-- <script> -->",
        "${1 + 1} \\ \\u0041 &amp; &lt;b&gt;",
        "NUL ␀",
        "␛[31m",
        "עברית",
    ):
        assert text in seen
    assert "… (15,000 characters)" in seen
    assert page.run(
        "[...document.querySelectorAll('.judge .text p')].every((p) => p.dir === 'auto')"
    )
    assert page.complaints() == []
    kept = page.run("JSON.stringify(Judge.told())")
    assert len(json.loads(kept)["judgements"]) == len(NASTY)


@pytest.mark.slow
@needs_browser
def test_files_of_something_else_change_nothing(opened):
    page, _ = opened([Aligner().align(korean_readme().document)])
    page.press("1")
    good = page.run("Judge.told()")
    damaged = {**good, "judgements": good["judgements"][1:]}
    maybe = {**good, "judgements": [{**one, "verdict": "maybe"} for one in good["judgements"]]}
    for text, message in [
        ("{", "not JSON"),
        ("null", "holds no judgements"),
        (json.dumps({**good, "digest": "0"}), "another sample"),
        (json.dumps({**good, "format_version": 9}), "Format 9"),
        (json.dumps(damaged), "damaged"),
        (json.dumps(maybe), "damaged"),
    ]:
        page.run(f"Judge.load({json.dumps(text)})")
        assert message in page.run("document.querySelector('#judge [role=status]').innerText")
        assert verdicts(page)[:2] == ["correct", None]
    assert page.complaints() == []


@pytest.mark.slow
@needs_browser
def test_the_path_is_walked_with_keys_and_mouse(opened):
    alignment = Aligner().align(korean_readme().document)
    page, sample = opened([alignment])
    say = "document.getElementById('path-say').innerText"
    page.run("document.querySelector('#path canvas').focus()")
    told = []
    for bead in alignment.beads_with_nulls():
        told.append(page.run(say))
        texts = [alignment.document.source[i] for i in bead.source]
        texts += [alignment.document.target[j] for j in bead.target]
        assert all(text in told[-1] for text in texts), (bead, told[-1])
        page.press("ArrowRight")
    assert page.run(say) == told[-1]
    page.press("Home", "+", "+")
    assert page.run(say) == told[0]
    page.press("0")
    box = page.run(
        "(() => { document.querySelector('#path canvas').scrollIntoView();"
        " const b = document.querySelector('#path canvas').getBoundingClientRect();"
        " return [b.x, b.y, b.width, b.height]; })()"
    )
    page.point(box[0] + box[2] - 12, box[1] + box[3] - 12)
    assert page.run(say) in told[-5:]
    page.run("document.activeElement.blur()")
    page.press("g")  # from a bead to its place on the path
    bead = sample.bead(sample.items[0])
    assert alignment.text(bead)[0].split(" ")[0] in page.run(say)
    assert page.complaints() == []


@pytest.mark.slow
@needs_browser
def test_beads_that_overlap_or_leave_out_a_sentence(opened):
    document = Document(["a0", "a1", "a2"], ["b0", "b1", "b2", "b3"])
    beads = [Bead((0,), (0, 2), 0.5), Bead((1,), (2,), 0.4)]
    page, sample = opened([alignment_of(document, beads)])
    assert "3" in page.run(
        "document.querySelector('.tiles li:nth-child(3)').innerText"
    )  # a2, b1, b3
    first = [sample.bead(item) for item in sample.items].index(beads[0])
    page.press(*["ArrowRight"] * first)
    own = page.run(
        "[...document.querySelectorAll('[data-is=target] .own')].map((p) => p.innerText)"
    )
    assert [text[-2:] for text in own] == ["b0", "b2"]
    page.run("document.querySelector('#path canvas').focus()")
    told = []
    for _ in range(5):
        told.append(page.run("document.getElementById('path-say').innerText").split("\n\n"))
        page.press("ArrowRight")
    assert "target 1, 3 " in told[0][0]
    assert told[0][1:] == ["a0", "b0", "b2"]
    shown = [[text for text in lines[1:] if text.strip() != "\u2013"] for lines in told]
    assert shown == [["a0", "b0", "b2"], ["b1"], ["a1", "b2"], ["a2"], ["b3"]]
    assert page.complaints() == []


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_a_phone_in_light_and_dark(opened, dark):
    page, _ = opened([nasty(), Aligner().align(korean_readme().document)])
    page.dark(dark)
    page.size(360, 740, mobile=True)
    assert page.run("document.documentElement.scrollWidth") <= 360
    ground = page.run("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground))) < 200) == dark
    unnamed = page.run(
        "[...document.querySelectorAll('button, select, textarea, canvas, input, progress')].filter("
        "(e) => !(e.innerText?.trim() || e.getAttribute('aria-label') || e.closest('label'))).length"
    )
    assert unnamed == 0
    assert page.complaints() == []
