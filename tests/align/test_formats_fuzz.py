"""Bytes that are nearly right: no reader does anything but read them or say what is wrong."""

import importlib.util
import random
import sys
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location(
    "fuzz_targets", Path(__file__).parents[1] / "fuzz" / "fuzz_targets.py"
)
fuzz_targets = importlib.util.module_from_spec(_SPEC)
sys.modules["fuzz_targets"] = fuzz_targets
_SPEC.loader.exec_module(fuzz_targets)

ALPHABET = b"\t\n\r\0 []{}<>&;:,\"'=-0159aestx\xc3\xa9\xff\xef\xbb\xbf"


def mutated(rng, data):
    """A copy with some bytes changed, cut out, repeated or put in."""
    made = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(made) + 1)
        to = min(len(made), at + rng.randint(0, 12))
        kind = rng.randrange(5)
        if kind == 0 and at < len(made):
            made[at] = rng.randrange(256)
        elif kind == 1:
            del made[at:to]
        elif kind == 2:
            made[at:at] = made[at:to]
        elif kind == 3:
            made[at:to] = bytes(rng.choice(ALPHABET) for _ in range(rng.randint(0, 4)))
        else:
            other = rng.randrange(len(made) + 1)
            made[other:other] = made[at:to]
    return bytes(made)


def fuzz(target, count, seed):
    rng = random.Random(f"{target} {seed}")
    seeds = fuzz_targets.SEEDS[target]
    for _ in range(count):
        fuzz_targets.read_all(target, mutated(rng, rng.choice(seeds)))


@pytest.mark.parametrize("target", fuzz_targets.TARGETS)
def test_readers(target):
    fuzz(target, 300, 0)


@pytest.mark.slow
@pytest.mark.parametrize("target", fuzz_targets.TARGETS)
def test_readers_for_longer(target):
    fuzz(target, 20_000, 1)


@pytest.mark.parametrize("name", ["documents", "beads"])
def test_parquet(name, tmp_path):
    pytest.importorskip("pyarrow")
    from polyad.align import formats

    rng = random.Random(0)
    data = fuzz_targets._beads("parquet")
    read = formats.read if name == "documents" else (lambda f, p: formats.read_beads(p, f))
    for _ in range(60):
        (tmp_path / "x").write_bytes(mutated(rng, data))
        message = ""
        try:
            list(read("parquet", tmp_path / "x"))
        except ValueError as error:
            message = str(error)
        assert not message or message.startswith(str(tmp_path))
