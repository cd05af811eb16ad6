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
polyad.ops.ntm.shift(numpy.ones((1, 1, 3)), numpy.ones((1, 1, 1)))
assert "torch" not in sys.modules
"""


@pytest.mark.parametrize("code", [FIRST_CALL_IN_A_COMPILED_FUNCTION, TORCH_FIRST, NUMPY_ONLY])
def test_import_order(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- gradients -----------------------------------------------------------------------------------

SCHEMA = (
    "mixed(Tensor x, Tensor[] many, float factor, Tensor?[] some, Tensor? one) "
    "-> (Tensor, Tensor[], Tensor)"
)


def terms(x, many, some, one):
    return [each for each in (x, *many, *some, one) if each is not None]


@pytest.fixture(scope="module")
def mixed():
    """factor times the sum of all, factor times each of ``many``, and how many were added."""
    torch = pytest.importorskip("torch")
    from polyad._autograd import register_autograd

    seen = []

    def forward(x, many, factor, some, one):
        added = terms(x, many, some, one)
        count = torch.tensor(len(added), dtype=torch.int32)
        return factor * sum(added), [factor * each for each in many], count

    def fake(x, many, factor, some, one):
        count = x.new_empty((), dtype=torch.int32)
        return torch.empty_like(x), [torch.empty_like(each) for each in many], count

    def save(ctx, inputs, output):
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(output[2])
        ctx.factor, ctx.some, ctx.one = inputs[2:]
        assert isinstance(output[1], list)

    def backward(ctx, grad_sum, grad_each, grad_count):
        assert grad_count is None
        seen.append(tuple(ctx.needs_input_grad))
        of_sum = None if grad_sum is None else ctx.factor * grad_sum
        of_many = []
        for grad in grad_each:
            parts = [
                g for g in (of_sum, None if grad is None else ctx.factor * grad) if g is not None
            ]
            of_many.append(sum(parts) if parts else None)
        some = [None if each is None else of_sum for each in ctx.some]
        return of_sum, of_many, None, some, None if ctx.one is None else of_sum

    library = torch.library.Library("polyad_tests", "DEF")
    library.define(SCHEMA)
    library.impl("mixed", forward, "CPU")
    torch.library.register_fake("polyad_tests::mixed", fake, lib=library)
    op = torch.ops.polyad_tests.mixed.default
    register_autograd(library, op, backward, save)
    op.seen, op.library = seen, library  # alive as long as the op
    yield op
    library._destroy()


def leaf(value):
    import torch

    return torch.full((2,), float(value), dtype=torch.float64, requires_grad=True)


def test_gradients_reach_tensors_in_lists(mixed):
    x, many, some, one = leaf(1), [leaf(2), leaf(3)], [leaf(4), None, leaf(5)], leaf(6)
    total, each, count = mixed(x, many, 2.0, some, one)
    assert total.tolist() == [42, 42]
    assert [y.tolist() for y in each] == [[4, 4], [6, 6]]
    assert isinstance(each, list)
    assert count.item() == 6
    assert not count.requires_grad
    (total.sum() + 10 * each[1].sum()).backward()
    assert [y.grad[0].item() for y in terms(x, many, some, one)] == [2, 2, 22, 2, 2, 2]
    # x, two of many, factor, three of some, one
    assert mixed.seen[-1] == (True, True, True, False, True, False, True, True)


def test_each_wanted_gradient_alone(mixed):
    for wanted in range(5):
        tensors = [leaf(value) for value in range(5)]
        for place, tensor in enumerate(tensors):
            tensor.requires_grad_(place == wanted)
        total, each, _ = mixed(tensors[0], tensors[1:3], 3.0, tensors[3:4], tensors[4])
        assert total.requires_grad
        total.sum().backward()
        assert [t.grad is not None for t in tensors] == [place == wanted for place in range(5)]
        place = wanted if wanted < 3 else wanted + 1  # factor lies between
        assert mixed.seen[-1] == tuple(n == place for n in range(6))
        assert len(each) == 2


def test_lists_may_be_empty_and_tensors_absent(mixed):
    x = leaf(1)
    total, each, count = mixed(x, [], 2.0, [], None)
    assert (each, count.item()) == ([], 1)
    total.sum().backward()
    assert x.grad.tolist() == [2, 2]
    total, _, _ = mixed(x, [], 2.0, [None], None)
    total.sum().backward()
    assert x.grad.tolist() == [4, 4]


def test_only_a_list_is_differentiated(mixed):
    x, many = leaf(1), [leaf(2)]
    _, each, _ = mixed(x, many, 2.0, [], None)
    each[0].sum().backward()
    assert x.grad is None
    assert many[0].grad.tolist() == [2, 2]


def test_nothing_is_recorded_without_need(mixed):
    import torch

    still = [leaf(1).detach(), leaf(2).detach()]
    assert not mixed(still[0], still[1:], 2.0, [], None)[0].requires_grad
    with torch.no_grad():
        assert not mixed(leaf(1), [leaf(2)], 2.0, [], None)[0].requires_grad
    with torch.inference_mode():
        assert mixed(leaf(1), [leaf(2)], 2.0, [], None)[0].tolist() == [6, 6]


def test_torch_accepts_it(mixed):
    import torch

    arguments = (leaf(1), [leaf(2), leaf(3)], 2.0, [leaf(4), None], leaf(5))
    torch.library.opcheck(mixed, arguments)

    def flat(x, first, second, one):
        total, each, _ = mixed(x, [first, second], 2.0, [one, None], None)
        return total, *each

    assert torch.autograd.gradcheck(flat, [leaf(value) for value in range(4)])


def test_compiled_gradients(mixed):
    import torch

    torch.compiler.reset()
    x, many = leaf(1), [leaf(2), leaf(3)]

    def loss(x, many):
        total, each, _ = mixed(x, many, 2.0, [None], None)
        return total.sum() + each[0].square().sum()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    got = torch.autograd.grad(compiled(x, many), [x, *many])
    want = torch.autograd.grad(loss(x, many), [x, *many])
    torch.testing.assert_close(got, want)


def test_function_transforms_are_refused(mixed):
    import torch

    def loss(x):
        return mixed(x, [], 2.0, [], None)[0].sum()

    with pytest.raises(RuntimeError, match="setup_context"):
        torch.func.grad(loss)(leaf(1))


def test_a_gradient_that_is_an_op_without_one_says_so():
    """Also where it returns lists, whose tensors autograd would pass by."""
    torch = pytest.importorskip("torch")
    from polyad._register import register_ops
    from polyad.ops._ntm_scan import scan_backward_op

    register_ops()
    assert "Tensor[]" in scan_backward_op.schema.split("->")[1]
    assert scan_backward_op.no_gradient
    x = torch.rand(2, 3, dtype=torch.float64, requires_grad=True)
    grad = torch.autograd.grad(
        torch.ops.polyad.ntm_sharpen(x[None], torch.ones(1, 2).double()).sum(), x, create_graph=True
    )[0]
    with pytest.raises(NotImplementedError, match="sharpen has no second derivative"):
        grad.sum().backward()


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("defaulted(Tensor x, float factor=1.0) -> Tensor", "defaulted: expected a schema without defaults"),
        ("keyword(Tensor x, *, float factor) -> Tensor", "keyword: expected a schema without defaults or keyword-only"),
        ("listed(Tensor x) -> Tensor[]", "listed: expected a schema that returns more than a list"),
    ],
)  # fmt: skip
def test_schemas_that_it_does_not_serve(schema, message):
    torch = pytest.importorskip("torch")
    from polyad._autograd import register_autograd

    library = torch.library.Library("polyad_tests_refused", "DEF")
    try:
        library.define(schema)
        op = getattr(torch.ops.polyad_tests_refused, schema.split("(")[0]).default
        with pytest.raises(ValueError, match=message):
            register_autograd(library, op, lambda ctx, grad: grad, None)
    finally:
        library._destroy()
