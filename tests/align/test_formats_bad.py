"""What inputs get wrong: each error names the file and the place."""

import base64
import gzip
import io
import json
import re
import sys

import pytest

from polyad.align import formats
from polyad.align.split import sentence_splitter


def b64(text):
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


HEAD = "src_url\ttrg_url\tsrc_text\ttrg_text\tsrc_translated\n"
ROW = f"u\tv\t{b64('a')}\t{b64('x')}\t{b64('A')}\n"
BEADS = "document\tsource_ids\ttarget_ids\n"

DOCUMENTS = {
    "bitextor empty": ("bitextor", "", "is empty; expected a header with src_text, trg_text"),
    "bitextor no header": (
        "bitextor",
        ROW,
        ":1: no column src_text, trg_text; the header has u, v",
    ),
    "bitextor columns": ("bitextor", HEAD + ROW + "u\tv\n", ":3: expected 5 columns as in the hea"),
    "bitextor more columns": (
        "bitextor",
        HEAD + ROW[:-1] + "\tx\n",
        ":2: expected 5 columns as in",
    ),
    "bitextor base64": ("bitextor", HEAD + ROW.replace(b64("x"), "eA"), ":2: trg_text: not base64"),
    "bitextor alphabet": (
        "bitextor",
        HEAD + ROW.replace(b64("x"), "e*=="),
        ":2: trg_text: not bas",
    ),
    "bitextor utf-8": (
        "bitextor",
        HEAD + ROW.replace(b64("x"), b64(b"x\ny\xff")),
        ":2: trg_text: not UTF-8 in line 2 of the document (byte 0xff)",
    ),
    "bitextor nul": (
        "bitextor",
        HEAD + ROW.replace(b64("x"), b64(b"x\n\0")),
        ":2: trg_text: a NUL byte in line 2 of the document",
    ),
    "bitextor translation": (
        "bitextor",
        HEAD + ROW.replace(b64("A"), b64("A\nB")),
        ":2: src_translated: expected 1 lines as in src_text, got 2",
    ),
    "bitextor twice": ("bitextor", HEAD.replace("trg_url", "src_url"), ":1: a column stands twice"),
    "tsv side": ("tsv", "side\ttext\nleft\ta\n", ":2: side: expected source or target, got 'left'"),
    "tsv columns": ("tsv", "text\nx\n", ":1: no column side; the header has text"),
    "tsv translation": (
        "tsv",
        "document\tside\ttext\ttranslation\nd\tsource\ta\tA\n".replace("side", "side", 1)
        + "d\tsource\tb\n",
        ":3: expected 4 columns as in the header, got 3",
    ),
    "jsonl": ("jsonl", '{"source": ["a"], }\n', ":1:19: not JSON"),
    "jsonl empty": ("jsonl", "\n", "x: is empty; expected a document a line"),
    "jsonl list": ("jsonl", "\n[]\n", ":2: expected an object, got list"),
    "jsonl key": ("jsonl", '{"source": []}', ":1: target: missing; expected a list of sentences"),
    "jsonl text": (
        "jsonl",
        '{"source": "a", "target": []}',
        "source: expected a list of sentences",
    ),
    "jsonl number": (
        "jsonl",
        '{"source": [1], "target": []}',
        ":1: source[0]: expected text, got int",
    ),
    "jsonl nul": (
        "jsonl",
        '{"source": ["\\u0000"], "target": []}',
        ":1: source[0]: a NUL character",
    ),
    "jsonl surrogate": ("jsonl", '{"source": ["\\ud800"], "target": []}', "half a surrogate pair"),
    "jsonl meta": ("jsonl", '{"source": [], "target": [], "meta": 1}', ":1: meta: expected an obj"),
    "jsonl translation": (
        "jsonl",
        json.dumps({"source": ["a"], "target": ["x"], "translations": [["A", "B"]]}),
        ":1: translations[0] of document 1: expected 1 sentences",
    ),
    "jsonl translations": (
        "jsonl",
        json.dumps({"source": ["a"], "target": ["x"], "translations": "A"}),
        ":1: translations: expected a list of lists of sentences",
    ),
    "jsonl deep": ("jsonl", "[" * 100_000, ":1: not JSON that can be read"),
    "jsonl digits": ("jsonl", '{"source": ' + "9" * 5000 + "}", ":1: not JSON that can be read"),
    "parquet": ("parquet", "PAR1 and no more of it PAR1", ": not a Parquet file"),
}

FOUND = {
    "vecalign": ("vecalign", "[0]:[1]\n[0]-[1]\n", ":2: expected [0, 1]:[2]:0.5, got '[0]-[1]'"),
    "vecalign index": ("vecalign", "[0, b]:[1]\n", ":1: source: expected indices such as 3,4"),
    "vecalign negative": ("vecalign", "[0]:[-1]\n", ":1: target: expected indices"),
    "vecalign score": ("vecalign", "[0]:[1]:a\n", ":1: score: expected a number, got 'a'"),
    "hunalign": ("hunalign", "0\t0\t1\nx\n", ":2: expected i<tab>j<tab>score, got 'x'"),
    "hunalign back": ("hunalign", "0\t3\n1\t2\n", ":2: expected a rung from 0, 3 on, got 1, 2"),
    "hunalign far": ("hunalign", "0\t0\n999999999\t2\n", ":2: a bead of more than 1,000,000"),
    "tsv": ("tsv", "document\n", ":1: no column source_ids, target_ids"),
    "tsv index": ("tsv", BEADS + "d\t1;2\t1\n", ":2: source_ids: expected indices such as 3,4"),
    "tsv label": ("tsv", BEADS[:-1] + "\tlabel\nd\t1\t1\tx\n", ":2: label: expected one of BLEU"),
    "bitextor": ("bitextor", HEAD, ":1: no column src_ids, trg_ids"),
    "jsonl": ("jsonl", '{"doc": "d", "src": [0]}', ":1: tgt: missing; expected a list of indices"),
    "jsonl index": ("jsonl", '{"src": [0.5], "tgt": []}', ":1: src: expected a list of indices"),
    "jsonl bool": ("jsonl", '{"src": [true], "tgt": []}', ":1: src: expected a list of indices"),
    "jsonl score": (
        "jsonl",
        '{"src": [], "tgt": [], "score": "a"}',
        ":1: score: expected a number",
    ),
    "jsonl big": (
        "jsonl",
        '{"src": [], "tgt": [], "score": 1' + "0" * 999 + "}",
        "a number too la",
    ),
    "tmx": ("tmx", "<tmx><body><tu></body></tmx>", ":1:18: not XML: mismatched tag"),
    "tmx empty": ("tmx", "", ": is empty; expected <tmx>"),
    "tmx root": ("tmx", "<html></html>", ":1: expected <tmx>, got <html>"),
    "tmx cut": ("tmx", "<tmx>", ": not XML"),
    "tmx unit": (
        "tmx",
        "<tmx><tu><tuv><seg>a</seg></tuv></tu></tmx>",
        "unit 1: expected two texts",
    ),
    "tmx index": (
        "tmx",
        '<tmx><tu><prop type="x-source-ids">a</prop><tuv><seg/></tuv><tuv><seg/></tuv></tu></tmx>',
        "unit:1: x-source-ids: expected indices",
    ),
    "tmx entity": (
        "tmx",
        '<!DOCTYPE tmx [<!ENTITY e SYSTEM "file:///etc/passwd">]><tmx><tu><tuv><seg>&e;</seg></tuv>'
        "</tu></tmx>",
        "expected two texts|not XML",
    ),
    "tmx encoding": ("tmx", '<?xml version="1.0" encoding="x-no"?><tmx/>', ": not XML"),
    "xces": (
        "xces",
        '<cesAlign><link xtargets="s1"/></cesAlign>',
        "link 1: expected xtargets such",
    ),
    "xces id": (
        "xces",
        '<cesAlign><link xtargets="a.b;1"/></cesAlign>',
        "expected numbered sentences",
    ),
    "xces zero": ("xces", '<cesAlign><link xtargets="s0;1"/></cesAlign>', "expected numbered sent"),
    "parquet": ("parquet", "", ": not a Parquet file"),
}


def stream(text):
    made = io.BytesIO(text.encode())
    made.name = "x"
    return made


@pytest.mark.parametrize("case", DOCUMENTS)
def test_documents(case):
    name, text, message = DOCUMENTS[case]
    if name == "parquet":
        pytest.importorskip("pyarrow")
    with pytest.raises(ValueError, match="^x?.*" + re.escape(message)):
        list(formats.read(name, stream(text)))


@pytest.mark.parametrize("case", FOUND)
def test_beads(case):
    name, text, message = FOUND[case]
    if name == "parquet":
        pytest.importorskip("pyarrow")
    expected = message if "|" in message else re.escape(message)
    with pytest.raises(ValueError, match=f"^x.*({expected})"):
        formats.read_beads(stream(text), name)


def test_entities_do_not_fill_the_memory():
    levels = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 10))
    text = f'<!DOCTYPE tmx [<!ENTITY e0 "{"a" * 99}">{levels}]><tmx><tu><tuv><seg>&e9;</seg></tuv></tu></tmx>'
    with pytest.raises(ValueError, match="not XML: limit on input amplification"):
        formats.read_beads(stream(text), "tmx")


def test_elements_without_end_are_refused():
    text = "<tmx><body>" + "<note>aaaaaaaaa</note>" * 1_000_000
    with pytest.raises(ValueError, match="an element of more than 1,000,000 bytes"):
        formats.read_beads(stream(text), "tmx", max_line=1_000_000)


def test_long_lines_are_refused_or_read():
    line = "[0]:[0" + " " * 1_000_000 + "]\n"
    assert [b[:2] for b in formats.read_beads(stream(line), "vecalign")[0]] == [((0,), (0,))]
    with pytest.raises(ValueError, match="x:1: a line of more than 1,000 bytes, the longest that"):
        formats.read_beads(stream(line), "vecalign", max_line=1000)


MOSES = {
    "no lines": ({"s": "", "t": "x"}, "s: is empty; expected a sentence a line"),
    "no target lines": ({"s": "a", "t": ""}, "t: is empty; expected a sentence a line"),
    "short translation": (
        {"s": "a\nb\nc", "t": "x", "m": "A\nB"},
        "m: expected 3 lines, one for every line of .*s, got 2",
    ),
    "long translation": (
        {"s": "a\nb", "t": "x", "m": "A\nB\n\nC"},
        "m: expected 2 lines, one for every line of .*s, got 4",
    ),
    "short translation of two articles": (
        {"s": "a\n.EOA\nb\nc\n", "t": "x\n.EOA\ny", "m": "A\n.EOA\nB"},
        "m: expected 4 lines, one for every line of .*s, got 3",
    ),
    "articles": (
        {"s": "a\n.EOA\nb\n.EOA\nc", "t": "x\n.EOA\ny"},
        r"s: expected as many articles \(.EOA lines between them\) as .*t, 2, got at least 3",
    ),
}


@pytest.mark.parametrize("case", MOSES)
def test_moses(tmp_path, case):
    texts, message = MOSES[case]
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    translations = [tmp_path / "m"] if "m" in texts else []
    with pytest.raises(ValueError, match=message):
        list(formats.read("moses", tmp_path / "s", tmp_path / "t", translations=translations))


def test_moses_pairs_of_unequal_length(tmp_path):
    (tmp_path / "s").write_text("a\nb\n")
    (tmp_path / "t").write_text("x\n")
    with pytest.raises(ValueError, match=r"t: 1 lines, but .*s goes on"):
        list(formats.moses.read_pairs(tmp_path / "s", tmp_path / "t"))


def test_compressed_files_cut_short(tmp_path):
    data = gzip.compress(b"[0]:[0]\n" * 10_000)
    (tmp_path / "b.gz").write_bytes(data[:-9])
    with pytest.raises(ValueError, match=r"b.gz: broken or cut short"):
        formats.read_beads(tmp_path / "b.gz", "vecalign")


@pytest.fixture
def bare(monkeypatch):
    """An installation without the extra [align]."""
    for name in ("pyarrow", "backports", "backports.zstd", "compression.zstd", "sentencex"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "kiwipiepy", None)


def test_missing_packages_are_named(bare, tmp_path):
    (tmp_path / "b.zst").write_bytes(b"")
    for call, message in (
        (lambda: formats.write("parquet", io.BytesIO(), []), "parquet needs pyarrow: pip install"),
        (lambda: formats.read_beads("x.parquet", "parquet"), "parquet needs pyarrow: pip install"),
        (lambda: formats.read_beads(tmp_path / "b.zst", "vecalign"), ".zst needs backports.zstd"),
        (lambda: formats.write("tsv", tmp_path / "c.zst", []), ".zst needs backports.zstd"),
        (lambda: sentence_splitter.__wrapped__("ko"), "splitting Korean needs kiwipiepy"),
        (lambda: sentence_splitter.__wrapped__("en"), "splitting needs sentencex"),
    ):
        with pytest.raises(ImportError, match=re.escape(message)):
            call()
    assert [path.name for path in tmp_path.iterdir()] == ["b.zst"]
