"""The analyser of Korean: one for all, and another one in a forked child."""

import os
import signal
import subprocess
import sys

import pytest

pytest.importorskip("kiwipiepy")

CHILD = """
import os, sys
from polyad.align import korean
from polyad.align.split import sentence_splitter
from polyad.align.tokenizers import tokenizer

text = "저는 학생입니다 반가워요!"
split, sentences = tokenizer("korean"), sentence_splitter("ko")
expected = split([text] * 3), sentences(text)
assert korean.analyser("") is korean.analyser("")
child = os.fork()
found = split([text] * 3), sentences(text)
if child == 0:
    sys.exit(0 if found == expected else 3)  # takes the interpreter down, too
assert found == expected
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_forked_child_analyses_too():
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", CHILD],
        stderr=subprocess.PIPE,
        start_new_session=True,  # so that a child that hangs can be ended, too
    )
    try:
        _, said = process.communicate(timeout=90)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert (process.returncode, said) == (0, b"")
