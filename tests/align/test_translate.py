"""Translation by a command: line for line, and every way in which that goes wrong."""

import pytest

from polyad.align.translate import run_lines


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
