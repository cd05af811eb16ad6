"""The ops inside torch: when they register, and that both import orders work."""

import subprocess
import sys

import pytest

FIRST_CALL_IN_A_COMPILED_FUNCTION = """
import numpy, polyad
import torch
x = torch.ones(3, 2, dtype=torch.uint8)
edges = polyad.Hyperedges.from_lists([[0, 1]]).to("cpu")
f = torch.compile(lambda x: polyad.ops.hypernet.match(x, edges), fullgraph=True, backend="aot_eager")
assert f(x).tolist() == [[True]] * 3
"""

TORCH_FIRST = """
import torch
import polyad
assert torch.ops.polyad.hypernet_match.default is not None
"""

NUMPY_ONLY = """
import sys, numpy, polyad
polyad.ops.hypernet.match(numpy.ones((1, 1), bool), polyad.Hyperedges.from_lists([[0]]))
assert "torch" not in sys.modules
"""


@pytest.mark.parametrize("code", [FIRST_CALL_IN_A_COMPILED_FUNCTION, TORCH_FIRST, NUMPY_ONLY])
def test_import_order(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
