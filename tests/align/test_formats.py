"""What a writer writes, the reader reads: beads, scores, labels, texts."""

import base64
import io
import json
import re

import numpy as np
import pytest
from format_cases import TEXT, alignments, corpora, same
from hypothesis import given, settings
from hypothesis import strategies as st

from polyad.align import Aligner, Alignment, Bead, Document, formats
from polyad.align.formats import moses

NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
XML_NAME = TEXT.map(lambda text: NOT_XML.sub("", text))
CELL = TEXT.map(lambda text: re.sub("[\t\r\n]", " ", text))


def written(name, made, **options):
    stream = io.BytesIO()
    formats.write(name, stream, made, **options)
    stream.seek(0)
    return stream


def check_beads(name, made, nulls, *, labels=True, keep_empty=False):
    got = formats.read_beads(written(name, made, nulls=nulls), name)
    wanted = [one.beads_with_nulls() if nulls else one.beads for one in made]
    wanted = wanted or [[]] if keep_empty else [beads for beads in wanted if beads]
    assert len(got) == len(wanted)
    for found, expected in zip(got, wanted, strict=True):
        same(found, expected, labels=labels)


@settings(deadline=None)
@given(corpora(name=CELL), st.booleans())
def test_tsv(made, nulls):
    check_beads("tsv", made, nulls)


@settings(deadline=None)
@given(corpora(), st.booleans())
def test_jsonl(made, nulls):
    check_beads("jsonl", made, nulls)


@settings(deadline=None)
@given(corpora(name=XML_NAME), st.booleans())
def test_tmx(made, nulls):
    check_beads("tmx", made, nulls)


@settings(deadline=None)
@given(corpora(name=XML_NAME), st.booleans())
def test_xces(made, nulls):
    stream = written("xces", made, nulls=nulls)
    got = list(formats.read_named_beads(stream, "xces"))
    assert [name for name, _ in got] == [one.document.name for one in made]
    for (_, found), one in zip(got, made, strict=True):
        same(found, one.beads_with_nulls() if nulls else one.beads, labels=False)


@settings(deadline=None)
@given(corpora(), st.booleans())
def test_vecalign(made, nulls):
    check_beads("vecalign", made, nulls, labels=False, keep_empty=True)


@settings(deadline=None)
@given(corpora(name=CELL), st.booleans())
def test_bitextor(made, nulls):
    check_beads("bitextor", made, nulls, labels=False)


@settings(deadline=None)
@given(corpora(monotone=True))
def test_hunalign(made):
    got = formats.read_beads(written("hunalign", made), "hunalign")
    assert len(got) == max(len(made), 1)
    for found, one in zip(got, made, strict=False):
        same([b for b in found if b.source and b.target], one.beads, labels=False, score=0.0)
        for side, text in enumerate((one.document.source, one.document.target)):
            assert [i for bead in found for i in bead[side]] == list(range(len(text)))


@settings(deadline=None)
@given(corpora(), st.booleans())
def test_parquet(made, nulls):
    pytest.importorskip("pyarrow")
    check_beads("parquet", made, nulls)


@settings(deadline=None)
@given(alignments())
def test_ladders_say_which_beads_they_have_no_place_for(one):
    left_out = formats.write("hunalign", io.BytesIO(), [one])
    got = formats.read_beads(written("hunalign", [one]), "hunalign")[0]
    assert sum(bool(b.source and b.target) for b in got) == len(one.beads) - left_out


def flat(text):
    return re.sub("[\t\r\n]", " ", text)


def legal(text):
    return NOT_XML.sub("\ufffd", text)


@pytest.mark.parametrize(
    ("name", "change"),
    [("tsv", flat), ("bitextor", flat), ("jsonl", str), ("tmx", legal), ("parquet", str)],
)
@settings(deadline=None)
@given(data=st.data())
def test_texts(name, change, data):
    if name == "parquet":
        pytest.importorskip("pyarrow")
    one = data.draw(alignments(name=st.just("d")))
    rows = list(formats.FORMATS[name].rows(written(name, [one])))
    assert [(row.source, row.target) for row in rows] == [
        tuple(change(text) for text in one.text(bead)) for bead in one.beads
    ]


@pytest.mark.parametrize("name", ["tsv", "bitextor", "jsonl", "tmx", "parquet"])
def test_alignments_are_read_back(name):
    if name == "parquet":
        pytest.importorskip("pyarrow")
    meta = {"src_url": "u", "trg_url": "v"}
    document = Document(["a b", "c", "", "d"], ["x", "y", "z"], name="n", meta=meta)
    made = Alignment(
        document,
        np.array([[0, 1, 0, 1], [1, 4, 2, 3]], np.int32),
        np.array([0.5, np.nan]),
        np.array([0, 1], np.int8),
    )
    (got,) = formats.read_alignments(written(name, [made], nulls=True), name)
    assert list(got.document.source) == ["a b", "c  d", "", ""]
    assert list(got.document.target) == ["x", "y", "z"]
    assert [bead[:2] for bead in got.beads] == [((0,), (0,)), ((1, 2, 3), (2,))]
    if name in ("jsonl", "bitextor", "parquet"):
        assert got.document.meta == meta


def test_alignments_are_read_back_by_name(tmp_path):
    one = Alignment(
        Document(["a"], ["b"], name="n"),
        np.array([[0, 1, 0, 1]], np.int32),
        np.array([0.5]),
        np.array([0], np.int8),
    )
    for name, suffix in (("jsonl", ".jsonl.gz"), ("bitextor", ".tsv"), ("tmx", ".tmx.xz")):
        path = tmp_path / f"beads{suffix}"
        formats.write(name, path, [one])
        (got,) = formats.read_alignments(path)
        same(got.beads, one.beads, labels=name != "bitextor")
    with pytest.raises(FileNotFoundError):
        formats.read_alignments(tmp_path / "beads.txt")
    (tmp_path / "beads.txt").touch()
    with pytest.raises(ValueError, match="its name does not say"):
        formats.read_alignments(tmp_path / "beads.txt")
    with pytest.raises(ValueError, match="not from vecalign"):
        formats.read_alignments(tmp_path / "beads.txt", "vecalign")


LINE = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n\ufeff"), max_size=12
)


@settings(deadline=None)
@given(st.lists(st.tuples(LINE, LINE), min_size=1, max_size=6))
def test_moses_pairs(tmp_path_factory, pairs):
    folder = tmp_path_factory.mktemp("moses")
    rows = np.arange(len(pairs), dtype=np.int32)
    made = Alignment(
        Document([a for a, _ in pairs], [b for _, b in pairs]),
        np.stack([rows, rows + 1, rows, rows + 1], axis=1),
        np.ones(len(pairs)),
        np.zeros(len(pairs), np.int8),
    )
    formats.write("moses", folder / "out.gz", [made])
    got = list(moses.read_pairs(folder / "out-s.gz", folder / "out-t.gz"))
    assert got == pairs


def moses_files(folder, source, target, **others):
    paths = {"source": source, "target": target, **others}
    for name, text in paths.items():
        (folder / name).write_bytes(text.encode())
    return [folder / name for name in paths]


def test_moses_articles(tmp_path):
    source, target, there, back = moses_files(
        tmp_path,
        "a \r\nb\r\n.EOA\nc\rd",
        "x\n.EOA  \ny\n\n",
        there="A\nB\n???\nC\nD\n\n",
        back="X\n.EOA\nY\n\n",
    )
    got = list(
        formats.read("moses", source, target, translations=[there], back_translations=[back])
    )
    assert [(d.source, d.target, d.name) for d in got] == [
        (["a", "b"], ["x"], "1"),
        (["c", "d"], ["y", ""], "2"),
    ]
    assert [d.translations for d in got] == [(["A", "B"],), (["C", "D"],)]
    assert [d.back_translations for d in got] == [(["X"],), (["Y", ""],)]


def test_moses_marker_at_the_end_of_one_text_or_both(tmp_path):
    source, target = moses_files(tmp_path, "a\n.EOA\n", "x\n")
    assert len(list(formats.read("moses", source, target))) == 1
    source, target = moses_files(tmp_path, "a\n.EOA\n", "x\n.EOA\n")
    assert [len(d.source) for d in formats.read("moses", source, target)] == [1, 0]


def test_moses_factored(tmp_path):
    source, target = moses_files(tmp_path, "ein|DET  Wort|N|x\n", "a word\n")
    (document,) = formats.read("moses", source, target, factored=True)
    assert document.source == ["ein Wort"]
    assert document.shown.source == ["ein|DET  Wort|N|x"]


def beads_of(document, *spans):
    return Alignment(
        document,
        np.array(spans, np.int32).reshape(-1, 4),
        np.full(len(spans), 0.25),
        np.zeros(len(spans), np.int8),
    )


def test_moses_writes_what_bleualign_writes(tmp_path):
    empty = beads_of(Document(["a"], ["x"]))
    full = beads_of(Document(["a", "", "c"], ["x", "y"]), (0, 2, 0, 1), (2, 3, 1, 2))
    formats.write("moses", tmp_path / "out", [empty, full])
    assert (tmp_path / "out-s").read_bytes() == b"\na \nc\n"
    assert (tmp_path / "out-t").read_bytes() == b"\nx\ny\n"
    formats.write("moses", tmp_path / "out", [empty, full], blank_documents=False)
    assert (tmp_path / "out-s").read_bytes() == b"a \nc\n"


def test_moses_null_beads_lose_nothing(tmp_path):
    one = beads_of(Document(["a", "b", "c"], ["x", "y", "z"]), (1, 2, 1, 2))
    formats.write("moses", tmp_path / "out", [one], nulls=True)
    assert (tmp_path / "out-s").read_bytes() == b"a\n\nb\nc\n\n"
    assert (tmp_path / "out-t").read_bytes() == b"\nx\ny\n\nz\n"


def test_bitextor_documents():
    def cell(text):
        return base64.b64encode(text.encode()).decode()

    rows = [
        "src_url\ttrg_url\tsrc_text\ttrg_text\tsrc_translated",
        f"u\tv\t{cell('a' + chr(10) + 'b')}\t{cell('x' + chr(10))}\t{cell('A' + chr(10) + 'B')}",
        f"u2\tv2\t\t{cell('x')}\t",
    ]
    stream = io.BytesIO("\n".join(rows).encode())
    first, second = formats.read("bitextor", stream)
    assert (first.source, first.target, first.translations) == (["a", "b"], ["x"], (["A", "B"],))
    assert first.meta == {"src_url": "u", "trg_url": "v"}
    assert (second.source, second.target, second.translations) == ([], ["x"], ())
    stream = io.BytesIO("\n".join(rows[:2]).replace("src_tr", "a\tsrc_tr", 1).encode())
    with pytest.raises(ValueError, match="stream:2: expected 6 columns as in the header, got 5"):
        list(formats.read("bitextor", stream))
    both = f"{rows[0]}\ttrg_translated\n{rows[1]}\t{cell('X')}"
    (third,) = formats.read("bitextor", io.BytesIO(both.encode()))
    assert (third.target, third.shown.target) == (["X"], ["x"])
    beads = written("bitextor", [beads_of(first, (0, 2, 0, 1))]).getvalue().decode().splitlines()
    assert beads == [
        "src_url\ttrg_url\tsrc_text\ttrg_text\taligner_score\tsrc_ids\ttrg_ids",
        "u\tv\ta b\tx\t0.25\t0,1\t0",
    ]


def test_tsv_documents():
    text = (
        "document\tside\ttext\ttranslation\tsite\n"
        "d1\tsource\ta\tA\there\nd1\ttarget\tx\t\there\nd1\tsource\tb\tB\there\n"
        "d2\tsource\tc\t\tthere\nd2\ttarget\ty\tY\tthere\n"
    )
    first, second = formats.read("tsv", io.BytesIO(text.encode()))
    assert (first.source, first.target, first.translations) == (["a", "b"], ["x"], (["A", "B"],))
    assert (first.name, first.meta, first.back_translations) == ("d1", {"site": "here"}, ())
    assert (second.translations, second.back_translations) == ((), (["Y"],))


def test_jsonl_documents():
    row = {"source": ["a\tb"], "target": ["x"], "translations": [["A"]], "meta": {"k": 1}}
    text = json.dumps(row) + "\n\n" + json.dumps({"source": [], "target": [], "doc": "n"})
    first, second = formats.read("jsonl", io.BytesIO(text.encode()))
    assert (first.source, first.translations, first.meta) == (["a\tb"], (["A"],), {"k": "1"})
    assert (first.name, second.name) == ("1", "n")


def test_parquet_documents(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = arrow.table(
        {
            "document": ["n", None],
            "source": [["a", "b"], []],
            "target": [["x"], ["y"]],
            "translations": [[["A", "B"]], None],
            "site": ["here", None],
        }
    )
    parquet.write_table(table, tmp_path / "d.parquet")
    first, second = formats.read("parquet", tmp_path / "d.parquet")
    assert (first.source, first.translations, first.meta) == (
        ["a", "b"],
        (["A", "B"],),
        {"site": "here"},
    )
    assert (second.name, second.target, second.translations) == ("2", ["y"], ())


def test_parquet_says_its_version(tmp_path):
    pytest.importorskip("pyarrow")
    from pyarrow import parquet

    formats.write("parquet", tmp_path / "b.parquet", [])
    assert parquet.read_schema(tmp_path / "b.parquet").metadata[b"format_version"] == b"1"


def test_files_of_others():
    gold = b"[0]:[0, 1]\n[1,2]:[2]:0.5:more\n[]:[3]:0\n"
    with pytest.raises(ValueError, match=":2: expected"):
        formats.read_beads(io.BytesIO(gold), "vecalign")
    gold = gold.replace(b":more", b"")
    (beads,) = formats.read_beads(io.BytesIO(gold), "vecalign")
    assert [b[:2] for b in beads] == [((0,), (0, 1)), ((1, 2), (2,)), ((), (3,))]
    assert [b.score for b in beads[1:]] == [0.5, 0.0]
    tmx = (
        '<!DOCTYPE tmx SYSTEM "tmx14.dtd"><tmx version="1.4"><header/><body><tu>'
        '<tuv xml:lang="de"><seg>ein <bpt i="1">Wort</bpt></seg></tuv>'
        '<tuv xml:lang="en"><seg>one word</seg></tuv></tu></body></tmx>'
    )
    (row,) = formats.FORMATS["tmx"].rows(io.BytesIO(tmx.encode("utf-16")))
    assert (row.source, row.target, row.bead[:2]) == ("ein Wort", "one word", ((0,), (0,)))
    opus = (
        b'<?xml version="1.0" encoding="utf-8"?><!DOCTYPE cesAlign PUBLIC "-//CES//DTD XML '
        b'cesAlign//EN" ""><cesAlign version="1.0"><linkGrp targType="s" toDoc="en/1.xml.gz" '
        b'fromDoc="de/1.xml.gz"><link certainty="0.25" xtargets="1 2;1" id="SL0" />'
        b'<link xtargets=";s2" id="SL1" /></linkGrp></cesAlign>'
    )
    ((name, beads),) = formats.read_named_beads(io.BytesIO(opus), "xces")
    assert name == "de/1.xml.gz"
    assert [b[:2] for b in beads] == [((0, 1), (0,)), ((), (1,))]


def test_tsv_of_the_first_version():
    text = (
        b"document\tsource_ids\ttarget_ids\tscore\tlabel\tsource\ttarget\n"
        b"1\t0,1\t0\t0.75\tBLEU\ta b\tx\n1\t2\t\t\tNULL\tc\t\n"
    )
    ((first, null),) = formats.read_beads(io.BytesIO(text), "tsv")
    assert first == Bead((0, 1), (0,), 0.75, "BLEU")
    assert null[:2] == ((2,), ())


def test_jsonl_of_the_first_version():
    text = (
        b'{"doc": "1", "src": [0, 1], "tgt": [0], "score": 0.75, "label": "BLEU", '
        b'"src_text": "a b", "tgt_text": "x"}\n'
    )
    assert formats.read_beads(io.BytesIO(text), "jsonl") == [[Bead((0, 1), (0,), 0.75, "BLEU")]]


def test_unknown_formats():
    with pytest.raises(ValueError, match="expected one of moses, tsv"):
        formats.read("csv", "x")
    with pytest.raises(ValueError, match="documents are read from moses"):
        formats.read("tmx", "x")
    with pytest.raises(ValueError, match="beads are read from"):
        formats.read_beads("x", "moses")
    with pytest.raises(ValueError, match="two files"):
        formats.write("moses", io.BytesIO(), [])
    with pytest.raises(ValueError, match="only moses takes files"):
        formats.read("tsv", "x", translations=["y"])


@pytest.mark.parametrize("format", ["jsonl", "tsv", "bitextor", "parquet"])
@pytest.mark.parametrize("nulls", [False, True])
def test_documents_of_one_name_stay_apart(format, nulls, tmp_path):
    texts = (["a b c", "d e"], ["a b c", "d e"]), (["f g h"], ["f g h"]), (["i j"], ["x", "i j"])
    documents = [Document(s, t, translations=(s,), name="x") for s, t in texts]
    found = [Aligner().align(document) for document in documents]
    formats.write(format, tmp_path / "beads", found, nulls=nulls)
    again = list(formats.read_alignments(tmp_path / "beads", format))
    assert [[a.text(bead) for bead in a.beads] for a in again] == [
        [a.text(bead) for bead in a.beads] for a in found
    ]
