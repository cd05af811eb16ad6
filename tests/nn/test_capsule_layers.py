"""polyad.nn's capsule layers beside plain torch: values, gradients, shapes, and what they refuse."""

import copy
import math

import pytest

torch = pytest.importorskip("torch")

import polyad  # noqa: E402
from polyad.nn import ConvCapsule, DenseCapsule, MarginLoss, PrimaryCapsule  # noqa: E402
from polyad.reference import capsule as reference  # noqa: E402

F = torch.nn.functional
DENSE = {
    "paper": {},
    "one iteration": {"iterations": 1},
    "five": {"iterations": 5},
    "uniform": {"method": "uniform"},
    "leaky": {"leaky": True, "bias": True},
    "detached": {"detach": True, "bias": True},
    "learned logits": {"learn_logits": True},
    "uniform logits": {"method": "uniform", "learn_logits": True, "leaky": True},
    "shared": {"capsule_type": [0, 1, 0, 2, 1, 1, 2, 0, 0], "bias": True, "learn_logits": True},
}


@pytest.fixture(autouse=True)
def _one_thread():
    polyad.set_num_threads(1)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def squash(s):
    """|s| / (1 + |s|^2) s, written once more."""
    size = s.square().sum(-1, keepdim=True).sqrt()
    return s * size / (1 + size**2)


def routed(u, weight, bias, logits, iterations, method, leaky, detach):
    """Procedure 1 of the paper, as it is written there: logits are added up."""
    votes = torch.einsum("ijdk,bik->bijd", weight, u)
    b = torch.zeros(votes.shape[:3], dtype=u.dtype) + (0 if logits is None else logits)
    for _ in range(1 if method == "uniform" else iterations):
        beside = F.pad(b, (1, 0)) if leaky else b
        c = beside.softmax(-1)[..., 1:] if leaky else beside.softmax(-1)
        s = (c[..., None] * votes).sum(1) + (0 if bias is None else bias)
        v = squash(s)
        agreement = (votes * v[:, None]).sum(-1)
        b = b + (agreement.detach() if detach else agreement)
    return v, c


def dense(name, **changes):
    layer = DenseCapsule(
        9, 5, 4, 6, **{"init_scale": 0.5, "dtype": torch.float64, **DENSE[name], **changes}
    )
    with torch.no_grad():
        for parameter in (layer.bias, layer.logits):
            if parameter is not None:
                parameter.normal_()
    return layer


@pytest.mark.parametrize("name", DENSE)
def test_dense_is_procedure_1(name):
    layer = dense(name)
    u = squash(torch.randn(3, 9, 5, dtype=torch.float64)).requires_grad_()
    expected_u = u.detach().clone().requires_grad_()
    plain = copy.deepcopy(layer)
    weight = plain.weight if layer.capsule_type is None else plain.weight[layer.capsule_type.long()]
    expected, c = routed(
        expected_u, weight, plain.bias, plain.logits,
        layer.iterations, layer.method, layer.leaky, layer.detach,
    )  # fmt: skip
    v = layer(u)
    torch.testing.assert_close(v, expected)
    grad = torch.randn_like(v)
    v.backward(grad)
    expected.backward(grad)
    torch.testing.assert_close(u.grad, expected_u.grad)
    for (key, ours), theirs in zip(layer.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, msg=lambda m, key=key: f"{key}: {m}")
    again, couplings = layer.couplings(u)
    torch.testing.assert_close(again, expected)
    torch.testing.assert_close(couplings, c)
    assert not couplings.requires_grad
    torch.testing.assert_close(couplings.sum(-1) < 1 - 1e-9, torch.full((3, 9), layer.leaky))


def test_uniform_routing_is_a_linear_layer_and_a_squash():
    layer = dense("uniform")
    u = torch.randn(2, 9, 5, dtype=torch.float64)
    s = F.linear(u.flatten(1), layer.weight.permute(1, 2, 0, 3).reshape(24, 45) / 4)
    torch.testing.assert_close(layer(u), squash(s.view(2, 4, 6)))


def test_couplings_of_fewer_iterations():
    layer = dense("paper")
    u = torch.randn(2, 9, 5, dtype=torch.float64)
    torch.testing.assert_close(
        layer.couplings(u, iterations=1)[1], torch.full((2, 9, 4), 0.25, dtype=torch.float64)
    )
    second = layer.couplings(u, iterations=2)[1]
    assert second.std() < layer.couplings(u)[1].std()


def test_what_dense_starts_from():
    layer = DenseCapsule(1152, 8, 10, 16, bias=True, learn_logits=True)
    assert sum(p.numel() for p in layer.parameters()) == 1_474_560 + 160 + 11_520
    assert layer.init_scale == pytest.approx(0.0982, abs=1e-4)
    limit = 2 * layer.init_scale
    assert layer.weight.abs().max() <= limit
    # a normal cut off at two deviations keeps 0.88 of its deviation
    assert layer.weight.std().item() == pytest.approx(0.8796 * layer.init_scale, rel=0.01)
    assert (layer.bias == 0.1).all()
    assert not layer.logits.any()
    first = layer.weight.clone()
    layer.reset_parameters()
    assert not torch.equal(layer.weight, first)
    torch.manual_seed(1)
    one = DenseCapsule(4, 2, 3, 2).weight
    torch.manual_seed(1)
    assert torch.equal(DenseCapsule(4, 2, 3, 2).weight, one)


@pytest.mark.parametrize("inputs", [5, 80, 2000])
def test_outputs_start_equally_long_for_any_number_of_inputs(inputs):
    layer = DenseCapsule(inputs, 8, 10, 16, method="uniform")
    length = layer(squash(torch.randn(40, inputs, 8))).norm(dim=-1).mean()
    assert 0.3 < length < 0.7


def test_types_are_no_state_but_move_with_the_layer():
    layer = dense("shared")
    assert list(layer.state_dict()) == ["weight", "bias", "logits"]
    assert layer.weight.shape == (3, 4, 6, 5)
    assert dict(layer.named_buffers())["capsule_type"].dtype == torch.int32
    assert "types=3" in repr(layer)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "types", "size", "sides"),
    [(9, 2, 0, 32, 8, (20, 20)), (3, 1, 0, 2, 3, (5, 7)), (3, 2, 1, 4, 5, (6, 5)),
     (1, 1, 0, 1, 1, (1, 1)), (5, 3, 4, 2, 2, (3, 9))],
)  # fmt: skip
def test_primary_is_a_convolution_whose_channels_are_squashed(
    kernel, stride, padding, types, size, sides
):
    layer = PrimaryCapsule(3, types, size, kernel, stride, padding, scale=0.25, dtype=torch.float64)
    conv = torch.nn.Conv2d(3, types * size, kernel, stride, padding, bias=False)
    conv.weight.data = layer.weight.data.clone()
    x = torch.randn(2, 3, *sides, dtype=torch.float64, requires_grad=True)
    s = 0.25 * conv(x)
    shape = layer.capsules(*sides)
    assert shape == (types, *s.shape[2:])
    u = layer(x)
    assert u.shape == (2, math.prod(shape), size)
    s = s.view(2, types, size, *shape[1:]) + layer.bias[None, :, :, None, None]
    expected = squash(s.permute(0, 1, 3, 4, 2)).reshape(2, -1, size)
    torch.testing.assert_close(u, expected)
    grad = torch.randn_like(u)
    ours = torch.autograd.grad(u, (x, layer.weight, layer.bias), grad)
    theirs = torch.autograd.grad(expected, (x, conv.weight, layer.bias), grad)
    torch.testing.assert_close(ours, theirs)


def test_primary_of_the_paper_has_its_number_of_parameters():
    assert sum(p.numel() for p in PrimaryCapsule(256, 32, 8).parameters()) == 5_308_672
    assert PrimaryCapsule(256, 32, 8, bias=False).bias is None
    assert PrimaryCapsule(256, 32, 8, bias=False)(torch.rand(2, 256, 9, 9)).shape == (2, 32, 8)


CONV = {
    "paper": {},
    "strided": {"stride": 2, "bias": True},
    "padded": {"padding": 2, "leaky": True, "learn_logits": True},
    "detached": {"detach": True, "iterations": 2},
    "uniform": {"method": "uniform", "stride": 3, "padding": 1},
}


@pytest.mark.parametrize("name", CONV)
def test_conv_is_a_loop_over_windows(name):
    options = CONV[name]
    layer = ConvCapsule(2, 3, 4, 5, 3, **options, init_scale=0.5, dtype=torch.float64)
    u = torch.randn(2, 2, 3, 6, 5, dtype=torch.float64, requires_grad=True)
    stride, padding = options.get("stride", 1), options.get("padding", 0)
    padded = F.pad(u, (padding,) * 4)
    rows = []
    for y in range(0, padded.shape[3] - 2, stride):
        row = []
        for x in range(0, padded.shape[4] - 2, stride):
            window = padded[..., y : y + 3, x : x + 3]  # [B, types, K, 3, 3]
            inputs = torch.stack(
                [window[:, t, :, i, j] for t in range(2) for i in range(3) for j in range(3)], 1
            )
            row.append(
                routed(
                    inputs, layer.weight, layer.bias, layer.logits,
                    layer.iterations, layer.method, layer.leaky, layer.detach,
                )[0]
            )  # fmt: skip
        rows.append(torch.stack(row, -1))
    expected = torch.stack(rows, -2)
    v = layer(u)
    assert v.shape == (2, 4, 5, *expected.shape[3:])
    torch.testing.assert_close(v, expected)
    grad = torch.randn_like(v)
    wanted = (u, *layer.parameters())
    torch.testing.assert_close(
        torch.autograd.grad(v, wanted, grad), torch.autograd.grad(expected, wanted, grad)
    )


def test_layers_of_capsules_stand_on_each_other():
    """Primary, convolutional, then dense capsules that share weights by type."""
    primary, conv = PrimaryCapsule(1, 2, 4, 3, 1), ConvCapsule(2, 4, 3, 4, 3, stride=2)
    u = primary(torch.rand(5, 1, 10, 10))
    grid = u.view(5, *primary.capsules(10, 10), 4).permute(0, 1, 4, 2, 3)
    above = conv(grid)
    assert above.shape == (5, 3, 4, 3, 3)
    flat = above.permute(0, 1, 3, 4, 2).reshape(5, 27, 4)
    top = DenseCapsule(27, 4, 6, 8, capsule_type=torch.arange(3).repeat_interleave(9))
    v = top(flat)
    assert v.shape == (5, 6, 8)
    v.square().sum().backward()
    for layer in (primary, conv, top):
        assert all(p.grad is not None and p.grad.any() for p in layer.parameters())


def test_margin_is_equation_4():
    lengths = torch.tensor([[0.95, 0.3, 0.05], [0.2, 0.1, 0.9]], requires_grad=True)
    loss = MarginLoss()(lengths, torch.tensor([0, 1]))
    by_hand = (0.5 * 0.2**2 + 0.5 * 0.1**2 + 0.8**2 + 0.5 * 0.8**2) / 2
    assert loss.item() == pytest.approx(by_hand)
    authors = MarginLoss(scale=0.5, class_mean=True)(lengths, torch.tensor([0, 1]))
    assert authors.item() == pytest.approx(by_hand / 6)
    (gradient,) = torch.autograd.grad(loss, lengths)
    torch.testing.assert_close(gradient, torch.tensor([[0, 0.1, 0], [0.05, -0.8, 0.4]]))


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.float32, torch.uint8])
def test_margin_of_several_classes(dtype):
    lengths = torch.rand(4, 5)
    classes = torch.tensor([[0, 1], [4, 2], [3, 1], [1, 0]])
    hot = torch.zeros(4, 5).scatter_(1, classes, 1).to(dtype)
    present = F.relu(0.8 - lengths).square() * hot.float()
    absent = 0.3 * F.relu(lengths - 0.2).square() * (1 - hot.float())
    expected = (present + absent).sum(1).mean()
    torch.testing.assert_close(MarginLoss(0.8, 0.2, 0.3)(lengths, hot), expected)
    one = F.one_hot(torch.tensor([3, 0, 1, 1]), 5)
    torch.testing.assert_close(
        MarginLoss()(lengths, one), MarginLoss()(lengths, torch.tensor([3, 0, 1, 1]))
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_routing_computes_in_float32_under_autocast(dtype):
    primary, dense = PrimaryCapsule(3, 4, 8, 3, 2), DenseCapsule(16, 8, 5, 6)
    conv = ConvCapsule(4, 8, 2, 3, 2)
    x = torch.randn(2, 3, 5, 5)
    with torch.autocast("cpu", dtype=dtype):
        u = primary(x)
        v = dense(u.to(dtype))
        grid = conv(u.view(2, 4, 2, 2, 8).permute(0, 1, 4, 2, 3).to(dtype))
    assert u.dtype == v.dtype == grid.dtype == torch.float32
    torch.testing.assert_close(u, primary(x), rtol=0.02, atol=0.02)
    torch.testing.assert_close(v, reference.routing(u.to(dtype).float(), dense.weight))
    x = torch.full((1, 3, 3, 3), 60.0)
    with torch.autocast("cpu", dtype=dtype):
        assert torch.isfinite(primary(x * 200)).all()  # squares that no half holds


def test_zero_capsules_have_no_nan():
    layer = DenseCapsule(6, 4, 3, 4)
    u = torch.zeros(2, 6, 4, requires_grad=True)
    lengths = layer(u).norm(dim=-1)
    MarginLoss()(lengths, torch.tensor([0, 1])).backward()
    assert not u.grad.any()
    assert not layer.weight.grad.any()


@pytest.mark.parametrize("make", [
    lambda: (DenseCapsule(6, 4, 3, 5, bias=True, learn_logits=True), torch.randn(2, 6, 4)),
    lambda: (DenseCapsule(6, 4, 3, 5, capsule_type=[0, 0, 1, 1, 2, 2]), torch.randn(2, 6, 4)),
    lambda: (ConvCapsule(2, 4, 3, 5, 2, leaky=True), torch.randn(2, 2, 4, 3, 3)),
    lambda: (PrimaryCapsule(2, 3, 4, 3, 1), torch.randn(2, 2, 4, 4)),
], ids=["dense", "shared", "conv", "primary"])  # fmt: skip
def test_compiles_in_one_graph(make):
    layer, x = make()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    expected = layer(x)
    grad = torch.randn_like(expected)
    wanted = tuple(layer.parameters())
    torch.testing.assert_close(compiled(x), expected)
    torch.testing.assert_close(
        torch.autograd.grad(compiled(x), wanted, grad), torch.autograd.grad(expected, wanted, grad)
    )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: DenseCapsule(0, 4, 3, 5), ValueError, "inputs: expected at least 1, got 0"),
        (lambda: DenseCapsule(2, 4.0, 3, 5), TypeError, "input_size: expected an int, got float"),
        (lambda: DenseCapsule(2, 4, 3, 5, iterations=0), ValueError, "iterations: expected at l"),
        (lambda: DenseCapsule(2, 4, 3, 5, method="em"), ValueError, "method: expected 'dynamic'"),
        (lambda: DenseCapsule(2, 4, 3, 5, init_scale=0), ValueError, "init_scale: expected a num"),
        (
            lambda: DenseCapsule(2, 4, 3, 5, capsule_type=[0.0, 1.0]),
            TypeError,
            "capsule_type: expected integers, got torch.float32",
        ),
        (
            lambda: DenseCapsule(2, 4, 3, 5, capsule_type=[0, 1, 2]),
            ValueError,
            r"capsule_type: expected \[I\] = \[2\], got \[3\]",
        ),
        (
            lambda: DenseCapsule(2, 4, 3, 5, capsule_type=[0, -1]),
            ValueError,
            "capsule_type: expected types of at least 0, got -1",
        ),
        (
            lambda: DenseCapsule(2, 4, 3, 5)(torch.zeros(1, 2, 5)),
            ValueError,
            r"u: expected \[B, I, K\] = \[B, 2, 4\], got \[1, 2, 5\]",
        ),
        (lambda: PrimaryCapsule(1, 2, 3, padding=-1), ValueError, "padding: expected at least 0"),
        (lambda: PrimaryCapsule(1, 0, 3), ValueError, "types: expected at least 1, got 0"),
        (
            lambda: PrimaryCapsule(1, 2, 3)(torch.zeros(1, 1, 8, 9)),
            ValueError,
            "height: expected at least 9, got 8",
        ),
        (
            lambda: PrimaryCapsule(3, 2, 3)(torch.zeros(1, 1, 9, 9)),
            ValueError,
            r"x: expected \[B, C, H, W\] = \[B, 3, H, W\], got \[1, 1, 9, 9\]",
        ),
        (lambda: ConvCapsule(1, 2, 3, 4, 0), ValueError, "kernel_size: expected at least 1, got 0"),
        (
            lambda: ConvCapsule(1, 2, 3, 4, 3)(torch.zeros(1, 2, 2, 5, 5)),
            ValueError,
            r"u: expected \[B, types, K, H, W\] = \[B, 1, 2, H, W\], got \[1, 2, 2, 5, 5\]",
        ),
        (
            lambda: ConvCapsule(1, 2, 3, 4, 5, padding=1)(torch.zeros(1, 1, 2, 2, 5)),
            ValueError,
            "H and W of at least 3 for kernel_size = 5 and padding = 1",
        ),
        (
            lambda: MarginLoss()(torch.zeros(2, 3), torch.tensor([0, 3])),
            ValueError,
            r"targets: expected classes in 0 .. 2, got 3 at \[1\]",
        ),
        (
            lambda: MarginLoss()(torch.zeros(2, 3), torch.tensor([0.0, 1.0])),
            TypeError,
            r"targets: expected integers in \[B\], got torch.float32",
        ),
        (
            lambda: MarginLoss()(torch.zeros(2, 3), torch.full((2, 3), 2)),
            ValueError,
            r"targets: expected 0 or 1 in \[B, J\], got 2 at \[0, 0\]",
        ),
        (
            lambda: MarginLoss()(torch.zeros(2, 3), torch.zeros(2, 4)),
            ValueError,
            r"targets: expected \[B\] = \[2\] or \[B, J\] = \[2, 3\], got \[2, 4\]",
        ),
        (
            lambda: MarginLoss()(torch.zeros(2, 3), torch.zeros(3, dtype=torch.int64)),
            ValueError,
            r"targets: expected \[B\] = \[2\]",
        ),
        (
            lambda: MarginLoss()(torch.zeros(2, 3, 4), torch.zeros(2, dtype=torch.int64)),
            ValueError,
            r"lengths: expected \[B, J\], got \[2, 3, 4\]",
        ),
    ],
)  # fmt: skip
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
