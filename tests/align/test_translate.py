"""Translation by a command, line for line, and by the nearest vectors, word for word."""

import numpy as np
import pytest

from polyad.align.translate import gloss, gloss_table, run_lines


def test_lines_come_back_in_order():
    lines = ["one", "", "zwei Wörter", "세 단어"]
    assert run_lines("cat", lines) == lines
    assert run_lines(["sed", "s/$/!/"], lines) == [f"{line}!" for line in lines]
    assert run_lines("tr a-z A-Z | cat", ["one"]) == ["ONE"]
    assert run_lines("cat", []) == []
    assert run_lines("cat", [""]) == [""]
    assert run_lines("printf 'no line end'", ["x"]) == ["no line end"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("head -n 1", "expected 2 lines, one for each it was given, got 1"),
        ("cat; echo more", "expected 2 lines, .* got 3"),
        ("cat >/dev/null; echo bad pair >&2; exit 4", r"exit code 4 \(bad pair\)"),
        ("cat >/dev/null; exit 5", "exit code 5$"),
        ("cat >/dev/null; printf '\\377\\n\\n'", "not UTF-8"),
        ("no-such-program", "exit code 127"),
    ],
)
def test_a_command_that_fails_is_named(command, message):
    with pytest.raises(ValueError, match=message) as caught:
        run_lines(command, ["one", "two"])
    assert command in str(caught.value) or repr(command) in str(caught.value)


def test_a_missing_program_and_a_line_of_two():
    with pytest.raises(FileNotFoundError):
        run_lines(["no-such-program"], ["one"])
    with pytest.raises(ValueError, match=r"lines\[1\]: expected one line"):
        run_lines("cat", ["one", "two\nthree"])


WORDS = ["haus", "house", "die", "maus", "mouse", "3.5", "fern"]
VECTORS = np.array([[2, 0], [9, 1], [1, 1.5], [0, 3], [0.1, 1], [-1, 0], [-1, -0.3]], np.float32)
GERMAN = {"haus": 5, "die": 90, "maus": 2, "3.5": 2, "fern": 1}
ENGLISH = {"house": 5, "mouse": 4, "die": 1, "3.5": 1}


def test_gloss_is_the_nearest_target_word():
    table = gloss_table(WORDS, VECTORS, GERMAN, ENGLISH, least_cosine=0.7)
    # "die" occurs in English, yet too seldom to be the same word; "3.5" stays; "fern" is near no
    # English word but the number.
    assert table == {
        "haus": "house",
        "die": "mouse",
        "maus": "mouse",
        "3.5": "3.5",
        "fern": "3.5",
    }
    far = gloss_table(WORDS, VECTORS, GERMAN, ENGLISH, least_cosine=0.99)
    assert far == {"haus": "house", "maus": "mouse", "3.5": "3.5"}
    assert gloss([["die", "maus", "rennt"], []], far) == ["die mouse rennt", ""]


def test_gloss_equals_a_plain_search():
    random = np.random.default_rng(0)
    words = [f"w{i}" for i in range(3000)]
    vectors = random.standard_normal((3000, 8)).astype(np.float32)
    vectors[17] = 0
    source = {word: 3 for word in words[:1500]}
    target = {word: 3 for word in words[1500:]}
    table = gloss_table(words, vectors, source, target, least_cosine=-1)
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    for i in random.choice(1500, 40, replace=False):
        assert table[words[i]] == words[1500 + int((unit[1500:] @ unit[i]).argmax())]
    assert gloss_table(words, vectors, source, {}) == {}
    with pytest.raises(ValueError, match=r"vectors: expected \[3000, D\], got \[8, 3000\]"):
        gloss_table(words, vectors.T, source, target)
