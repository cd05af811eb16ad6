"""Feed the readers of the aligner with bytes that atheris (libFuzzer) makes up.

    pip install atheris            (Python 3.11 to 3.13)
    python tests/fuzz/fuzz_align_readers.py -runs=1000000 -max_len=600

A reader may raise ValueError, whose message is one line for a person; anything else is a finding,
and libFuzzer saves its input. Further arguments are libFuzzer's. tests/align/test_formats_fuzz.py
does the same in a small way without atheris.
"""

import sys
import tempfile
from pathlib import Path
from types import FunctionType

import atheris
from fuzz_targets import SEEDS, TARGETS, read_all


def instrument():
    """Let libFuzzer see the branches of the readers, however the package was installed."""
    for name, module in sorted(sys.modules.items()):
        if name == "polyad.align.streams" or name.startswith("polyad.align.formats"):
            for value in vars(module).values():
                if isinstance(value, FunctionType) and value.__module__ == name:
                    atheris.instrument_func(value)
                elif isinstance(value, type) and value.__module__ == name:
                    for method in vars(value).values():
                        if isinstance(method, FunctionType):
                            atheris.instrument_func(method)


def one_input(data):
    """Read bytes in the format that the first of them chooses."""
    if data:
        read_all(TARGETS[data[0] % len(TARGETS)], data[1:])


def main():
    instrument()
    with tempfile.TemporaryDirectory() as folder:
        for place, name in enumerate(TARGETS):
            for number, seed in enumerate(SEEDS[name]):
                (Path(folder) / f"{place}-{number}").write_bytes(bytes([place]) + seed)
        atheris.Setup([*sys.argv, folder], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
