"""What the fuzzers call, and the inputs that they start from."""

import base64
import io
import json

import numpy as np

from polyad.align import Alignment, Document, formats
from polyad.align.formats import moses

DOCUMENTS = ("bitextor", "tsv", "jsonl")
BEADS = ("vecalign", "hunalign", "tsv", "bitextor", "jsonl", "tmx", "xces")
TARGETS = ("moses", *(f"{n} documents" for n in DOCUMENTS), *(f"{n} beads" for n in BEADS))
MAX_LINE = 2000


def _beads(name):
    document = Document(["a b", "c", "d é"], ["x", "y & z"], name="n", meta={"src_url": "u"})
    made = Alignment(
        document,
        np.array([[0, 1, 0, 1], [1, 3, 1, 2]], np.int32),
        np.array([0.5, np.nan]),
        np.array([0, 1], np.int8),
    )
    stream = io.BytesIO()
    formats.write(name, stream, [made, made], nulls=True)
    return stream.getvalue()


_CELL = base64.b64encode("a\nbé\n".encode()).decode()
SEEDS = {
    "moses": [b"a\nb\n.EOA\nc\xff\n\0x\ny\n.EOA\nz", b"\xef\xbb\xbfa\r\nb\r.EOA\r\n"],
    "bitextor documents": [
        f"src_url\ttrg_url\tsrc_text\ttrg_text\tsrc_translated\nu\tv\t{_CELL}\t{_CELL}\t{_CELL}\n".encode()
    ],
    "tsv documents": [b"document\tside\ttext\ttranslation\nd\tsource\ta\tb\nd\ttarget\tx\t\n"],
    "jsonl documents": [
        json.dumps({"source": ["a"], "target": ["x"], "translations": [["y"]], "doc": 1}).encode()
    ],
    **{f"{name} beads": [_beads(name)] for name in BEADS},
}


def read_all(target, data):
    """Read bytes; an error must be a ValueError with a message of one line."""
    message = None
    try:
        _read(target, data)
    except ValueError as error:
        message = str(error).strip()
    assert message is None or (message and "\n" not in message)


def _read(target, data):
    if target == "moses":
        left, _, right = data.partition(b"\0")
        streams = [io.BytesIO(part) for part in (left, right, left)]
        for document in moses.read_documents(
            *streams[:2], translations=streams[2:], max_line=MAX_LINE
        ):
            assert len(document.translations[0]) == len(document.source)
        return
    name, _, what = target.partition(" ")
    stream = io.BytesIO(data)
    if what == "documents":
        for document in formats.read(name, stream, max_line=MAX_LINE):
            assert all(isinstance(text, str) for text in document.source)
    else:
        for beads in formats.read_beads(stream, name, max_line=MAX_LINE):
            assert all(min((0, *bead.source, *bead.target)) == 0 for bead in beads)
