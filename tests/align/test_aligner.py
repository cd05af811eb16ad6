"""What can go into an aligner, and where an aligner can go."""

import pickle

import pytest

from polyad.align import Aligner, Document

TEXT = ["One house.", "Two trees."]


@pytest.mark.parametrize(
    "options",
    [{}, {"tokenize": "words"}, {"mode": "accurate"}, {"mode": "accurate", "tokenize": "13a"}],
)
def test_aligners_can_be_pickled(options):
    aligner = Aligner(**options)
    document = Document(TEXT, TEXT)
    same = pickle.loads(pickle.dumps(aligner))
    assert same.align(document).beads == aligner.align(document).beads
    assert len(aligner.align(document).beads) == 2


@pytest.mark.parametrize("mode", ["bleualign", "accurate"])
def test_unknown_options_are_a_type_error(mode):
    with pytest.raises(TypeError, match="'foo'"):
        Aligner(mode, foo=1)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (("Hi.", TEXT), r"source: expected a list of sentences, got 'Hi\.'"),
        ((TEXT, "Hi."), "target: expected a list of sentences"),
        ((TEXT, TEXT, "Hi."), "^translations: expected a tuple of texts"),
        ((TEXT, TEXT, TEXT), r"^translations\[0\]: expected a list of sentences, got 'One house"),
        ((["a"], TEXT, (), ["b", "c"]), r"^back_translations\[0\]: expected a list of sentences"),
        ((b"Hi.", TEXT), "source: expected a list of sentences"),
    ],
)
def test_strings_are_no_texts(texts, message):
    with pytest.raises(TypeError, match=message):
        Document(*texts)
