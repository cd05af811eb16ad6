"""A million sentences through a pipe: the memory does not grow with them."""

import base64
import random
import subprocess
import sys

import pytest

RUN = """
import resource, sys
from polyad.cli import app
try:
    app(sys.argv[1:])
except SystemExit as end:
    print(end.code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, file=sys.stderr)
"""


def peak(documents, *words):
    """Peak resident memory in MB while so many documents of 100 sentences are aligned."""
    rng = random.Random(0)
    rows = []
    for i in range(20):
        text = "\n".join(" ".join(f"w{rng.randrange(3000)}" for _ in range(12)) for _ in range(100))
        cell = base64.b64encode(text.encode()).decode()
        rows.append(f"u{i}\tv{i}\t{cell}\t{cell}\t{cell}\n".encode())
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, "align", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    process.stdin.write(b"src_url\ttrg_url\tsrc_text\ttrg_text\tsrc_translated\n")
    for i in range(documents):
        process.stdin.write(rows[i % len(rows)])
    process.stdin.close()
    summary, end = process.stderr.read().decode().splitlines()
    process.stderr.close()
    process.wait()
    assert summary.startswith(f"{documents:,} documents, {100 * documents:,} beads; left out 0 of")
    code, megabytes = end.split()
    assert code == "0"
    return int(megabytes)


@pytest.mark.slow
def test_a_million_sentences():
    assert peak(10_000) < peak(600) + 40


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tmx", "jsonl", "vecalign", "hunalign", "xces"])
def test_other_formats(name):
    assert peak(2000, "--format", name) < peak(600, "--format", name) + 40
