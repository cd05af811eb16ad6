"""What routing refuses: every check by the text of its message."""

import re

import numpy as np
import pytest
import torch
from capsule_cases import call, cast, draw, on, spoiled
from ntm_cases import get, one_thread  # noqa: F401

from polyad.ops import capsule as ops

pytestmark = pytest.mark.usefixtures("one_thread")

GOOD = draw(np.random.default_rng(1))  # B, I, J, D, K = 3, 7, 4, 5, 3
SHARED = draw(np.random.default_rng(1), types=3)
VOTES = draw(np.random.default_rng(1), votes=True)
TENSORS = on(GOOD, "torch", grad=False)
ROUTED = [ops.routing, ops.routing_with_couplings]


def types(*values, dtype=np.int32):
    return {"capsule_type": np.array(values, dtype)}


@pytest.mark.parametrize("op", ROUTED)
@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"u": GOOD["u"].tolist()}, TypeError, "u: expected a numpy array or a torch tensor, got list"),
        ({"u": None}, TypeError, "u: expected a numpy array or a torch tensor, got NoneType"),
        ({"weight": None}, TypeError, "weight: expected a numpy array or a torch tensor, got NoneType"),
        ({"u": GOOD["u"].astype(int)}, TypeError, "u: expected dtype float32 or float64 or float16 or bfloat16, got int64"),
        ({"u": TENSORS["u"]}, TypeError, "weight: expected a torch tensor as u is, got a numpy array"),
        ({"bias": TENSORS["bias"]}, TypeError, "bias: expected a numpy array as u is, got a torch tensor"),
        ({"logits": GOOD["logits"].tolist()}, TypeError, "logits: expected a numpy array or a torch tensor, got list"),
        ({"weight": GOOD["weight"].astype(np.float32)}, TypeError, "weight: expected dtype float64, got float32"),
        ({"bias": GOOD["bias"].astype(np.float32)}, TypeError, "bias: expected dtype float64, got float32"),
        ({"logits": GOOD["logits"].astype(np.float32)}, TypeError, "logits: expected dtype float64, got float32"),
        ({"u": GOOD["u"][0]}, ValueError, "u: expected [B, I, K] = [B, I, K], got [7, 3]"),
        ({"u": GOOD["u"][:, :0]}, ValueError, "u: expected I of at least 1, got [3, 0, 3]"),
        ({"u": GOOD["u"][..., :0]}, ValueError, "u: expected K of at least 1, got [3, 7, 0]"),
        ({"u": GOOD["u"][..., :2]}, ValueError, "weight: expected [I, J, D, K] = [7, J, D, 2], got [7, 4, 5, 3]"),
        ({"weight": GOOD["weight"][:6]}, ValueError, "weight: expected [I, J, D, K] = [7, J, D, 3], got [6, 4, 5, 3]"),
        ({"weight": GOOD["weight"][0]}, ValueError, "weight: expected [I, J, D, K] = [7, J, D, 3], got [4, 5, 3]"),
        ({"weight": GOOD["weight"].swapaxes(2, 3)}, ValueError, "weight: expected [I, J, D, K] = [7, J, D, 3], got [7, 4, 3, 5]"),
        ({"weight": GOOD["weight"][:, :0]}, ValueError, "weight: expected J of at least 1, got [7, 0, 5, 3]"),
        ({"weight": GOOD["weight"][:, :, :0]}, ValueError, "weight: expected D of at least 1, got [7, 4, 0, 3]"),
        ({"bias": GOOD["bias"][:3]}, ValueError, "bias: expected [J, D] = [4, 5], got [3, 5]"),
        ({"bias": GOOD["bias"].T}, ValueError, "bias: expected [J, D] = [4, 5], got [5, 4]"),
        ({"bias": GOOD["bias"].ravel()}, ValueError, "bias: expected [J, D] = [4, 5], got [20]"),
        ({"logits": GOOD["logits"][:, :3]}, ValueError, "logits: expected [I, J] = [7, 4], got [7, 3]"),
        ({"logits": GOOD["logits"][None]}, ValueError, "logits: expected [I, J] = [7, 4], got [1, 7, 4]"),
        ({"iterations": 0}, ValueError, "iterations: expected at least 1, got 0"),
        ({"iterations": -3}, ValueError, "iterations: expected at least 1, got -3"),
        ({"iterations": 3.0}, TypeError, "iterations: expected an int, got float"),
        ({"iterations": True}, TypeError, "iterations: expected an int, got bool"),
        ({"iterations": None}, TypeError, "iterations: expected an int, got NoneType"),
        ({"iterations": 0, "method": "uniform"}, ValueError, "iterations: expected at least 1, got 0"),
        ({"method": "em"}, ValueError, "method: expected 'dynamic' or 'uniform', got 'em'"),
        ({"method": None}, ValueError, "method: expected 'dynamic' or 'uniform', got None"),
        ({"leaky": 1}, TypeError, "leaky: expected a bool, got int"),
        ({"detach": "yes"}, TypeError, "detach: expected a bool, got str"),
        (spoiled(GOOD, "u", np.nan), ValueError, "u: expected finite values, got nan at [1, 1, 1]"),
        (spoiled(GOOD, "u", -np.inf, at=9), ValueError, "u: expected finite values, got -inf at [2, 6, 2]"),
        (spoiled(GOOD, "weight", np.nan), ValueError, "weight: expected finite values, got nan at [1, 1, 1, 1]"),
        (spoiled(GOOD, "weight", np.inf), ValueError, "weight: expected finite values, got inf at [1, 1, 1, 1]"),
        (spoiled(GOOD, "bias", np.nan), ValueError, "bias: expected finite values, got nan at [1, 1]"),
        (spoiled(GOOD, "bias", np.inf), ValueError, "bias: expected finite values, got inf at [1, 1]"),
        (spoiled(GOOD, "logits", np.nan), ValueError, "logits: expected finite values or -inf, got nan at [1, 1]"),
        (spoiled(GOOD, "logits", np.inf), ValueError, "logits: expected finite values or -inf, got inf at [1, 1]"),
        ({"logits": np.where(np.arange(7)[:, None] == 4, -np.inf, GOOD["logits"])}, ValueError, "logits: expected an open connection for every input, got -inf for all of input 4"),
    ],
)  # fmt: skip
def test_bad_input_is_named(op, changes, error, message):
    with pytest.raises(error, match=re.escape(message) + "$"):
        op(**(GOOD | changes))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"u": SHARED["u"][..., :2]}, ValueError, "weight: expected [types, J, D, K] = [types, J, D, 2], got [3, 4, 5, 3]"),
        ({"weight": SHARED["weight"][:0]}, ValueError, "weight: expected types of at least 1, got [0, 4, 5, 3]"),
        ({"capsule_type": [0] * 7}, TypeError, "capsule_type: expected a numpy array or a torch tensor, got list"),
        ({"capsule_type": torch.zeros(7, dtype=torch.int32)}, TypeError, "capsule_type: expected a numpy array as u is, got a torch tensor"),
        (types(0, 1, 2, 0, 1, 2), ValueError, "capsule_type: expected [I] = [7], got [6]"),
        ({"capsule_type": SHARED["capsule_type"][:, None]}, ValueError, "capsule_type: expected [I] = [7], got [7, 1]"),
        (types(*[0] * 7, dtype=np.int64), TypeError, "capsule_type: expected dtype int32, got int64"),
        (types(*[0] * 7, dtype=np.float64), TypeError, "capsule_type: expected dtype int32, got float64"),
        (types(0, 1, 2, 3, 0, 9, -1), ValueError, "capsule_type: expected values in 0 .. 2, since weight has 3 types, got 3 at [3]"),
        (types(0, 1, 2, 0, 0, 0, -1), ValueError, "capsule_type: expected values in 0 .. 2, since weight has 3 types, got -1 at [6]"),
    ],
)  # fmt: skip
def test_bad_types_are_named(changes, error, message):
    for op in ROUTED:
        with pytest.raises(error, match=re.escape(message) + "$"):
            op(**(SHARED | changes))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"votes": None}, TypeError, "votes: expected a numpy array or a torch tensor, got NoneType"),
        ({"votes": VOTES["votes"][0]}, ValueError, "votes: expected [B, I, J, D] = [B, I, J, D], got [7, 4, 5]"),
        ({"votes": VOTES["votes"][:, :0]}, ValueError, "votes: expected I of at least 1, got [3, 0, 4, 5]"),
        ({"votes": VOTES["votes"][..., :0]}, ValueError, "votes: expected D of at least 1, got [3, 7, 4, 0]"),
        ({"votes": VOTES["votes"].astype(np.int32)}, TypeError, "votes: expected dtype float32 or float64 or float16 or bfloat16, got int32"),
        ({"bias": VOTES["bias"].T}, ValueError, "bias: expected [J, D] = [4, 5], got [5, 4]"),
        ({"logits": VOTES["logits"].T}, ValueError, "logits: expected [I, J] = [7, 4], got [4, 7]"),
        ({"bias": TENSORS["bias"]}, TypeError, "bias: expected a numpy array as votes is, got a torch tensor"),
        ({"iterations": 0}, ValueError, "iterations: expected at least 1, got 0"),
        ({"method": "static"}, ValueError, "method: expected 'dynamic' or 'uniform', got 'static'"),
        ({"leaky": None}, TypeError, "leaky: expected a bool, got NoneType"),
        (spoiled(VOTES, "votes", np.nan), ValueError, "votes: expected finite values, got nan at [1, 1, 1, 1]"),
        (spoiled(VOTES, "votes", np.inf), ValueError, "votes: expected finite values, got inf at [1, 1, 1, 1]"),
    ],
)  # fmt: skip
def test_bad_votes_are_named(changes, error, message):
    with pytest.raises(error, match=re.escape(message) + "$"):
        ops.routing_votes(**(VOTES | changes))


@pytest.mark.parametrize("name", ["u", "weight", "bias", "logits"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    "options", [{"iterations": 1}, {"leaky": True}, {"method": "uniform"}, {"detach": True}]
)
def test_what_is_not_finite_is_named_with_every_option(name, value, options):
    for inputs in (GOOD, SHARED):
        if inputs is SHARED and name == "weight":
            inputs = inputs | types(*[1] * 7)
        with pytest.raises(ValueError, match=f"^{name}: expected finite values.*, got {value} at"):
            call(on(spoiled(inputs, name, value), "torch"), **options)


def test_another_device_is_named():
    for name in ("weight", "bias", "logits", "capsule_type"):
        inputs = on(SHARED, "torch", grad=False)
        inputs[name] = inputs[name].to("meta")
        with pytest.raises(ValueError, match=f"{name}: expected device cpu as u is, got meta"):
            ops.routing(**inputs)


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_types_are_not_mixed_with_double(half):
    inputs = TENSORS | {"u": TENSORS["u"].to(half)}
    with pytest.raises(TypeError, match="weight: expected dtype float32, got float64"):
        ops.routing(**inputs)


@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("name", ["u", "weight", "bias", "logits"])
def test_overflow_in_half_precision_is_named_and_explained(kind, autocast, name):
    inputs = spoiled(GOOD, name, 70_000)  # above 65504
    with np.errstate(over="ignore"):
        inputs = on(cast(inputs, np.float16), kind)
    expected = "finite values or -inf" if name == "logits" else "finite values"
    at = [1] * GOOD[name].ndim
    message = (
        f"{name}: expected {expected}, got inf at {at}, as float16, whose largest number is 65504"
    )
    with (
        torch.autocast("cpu", torch.float16, enabled=autocast),
        pytest.raises(ValueError, match=re.escape(message) + "$"),
    ):
        ops.routing(**inputs)


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_types_are_computed_in_single_precision(half):
    inputs = {name: x.to(half) for name, x in TENSORS.items()}
    got = ops.routing(**inputs)
    assert got.dtype == torch.float32
    want = ops.routing(**{name: x.float() for name, x in inputs.items()})
    assert torch.equal(got, want)


def test_sums_that_overflow_are_named(rng):
    inputs = draw(rng, given=(), dtype="float32")
    inputs["u"] = np.full_like(inputs["u"], 1e30)
    inputs["weight"] = np.full_like(inputs["weight"], -2e20)
    message = (
        r"expected values whose sums stay finite in float32, got u up to 1e\+30, "
        r"weight up to 2e\+20$"
    )
    for kind in ("numpy", "torch"):
        with pytest.raises(ValueError, match=message):
            call(on(inputs, kind))


def test_the_other_samples_are_not_touched_by_a_bad_one(rng):
    """Compiled calls do not look at values: what is not finite stays in its sample."""
    inputs = on(draw(rng, 21, 70, given=()), "torch", grad=False)
    want = torch.ops.polyad.capsule_routing(*arguments(inputs))[0]
    inputs["u"][9, 3, 1] = np.nan
    got = torch.ops.polyad.capsule_routing(*arguments(inputs))[0]
    rest = torch.arange(21) != 9
    assert get(got[rest]).tobytes() == get(want[rest]).tobytes()
    assert torch.isnan(got[9]).any()


def arguments(inputs):
    return (inputs["u"], inputs["weight"], None, None, None, 3, False, False, False)


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_numbers_of_numpy_are_taken(kind):
    inputs = on(GOOD, kind)
    want = ops.routing(**inputs, iterations=2, leaky=True, detach=True)
    got = ops.routing(**inputs, iterations=np.int64(2), leaky=np.True_, detach=np.True_)
    assert get(got).tobytes() == get(want).tobytes()


def test_a_compiled_call_is_checked_while_it_is_traced():
    torch.compiler.reset()
    compiled = torch.compile(ops.routing, backend="aot_eager")
    with pytest.raises(ValueError, match=r"weight: expected \[I, J, D, K\] = \[7, J, D, 2\]"):
        compiled(**(TENSORS | {"u": TENSORS["u"][..., :2]}))


def test_types_without_weights_are_found_in_a_compiled_call_too():
    torch.compiler.reset()
    compiled = torch.compile(ops.routing, backend="aot_eager")
    inputs = on(SHARED, "torch", grad=False)
    inputs["capsule_type"][5] = 3
    with pytest.raises(ValueError, match=r"capsule_type: expected values in 0 .. 2"):
        compiled(**inputs)
