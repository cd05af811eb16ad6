"""Graves' RMSprop against the formula, parameter by parameter."""

import pytest

torch = pytest.importorskip("torch")

from polyad.optim import GravesRMSprop  # noqa: E402


def plain(w, gradients, lr=1e-4, decay=0.95, momentum=0.9, eps=1e-4):
    n = m = d = torch.zeros_like(w)
    for g in gradients:
        n = decay * n + (1 - decay) * g * g
        m = decay * m + (1 - decay) * g
        d = momentum * d - lr * g / torch.sqrt(n - m * m + eps)
        w = w + d
    return w


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "settings", [{}, {"lr": 0.01, "decay": 0.5, "momentum": 0.0, "eps": 1.0}, {"lr": 0.0}]
)
def test_it_is_the_formula(dtype, settings):
    torch.manual_seed(0)
    starts = [torch.randn(shape, dtype=dtype) for shape in ((3, 4), (5,), ())]
    parameters = [torch.nn.Parameter(w.clone()) for w in starts]
    optimizer = GravesRMSprop(parameters, **settings)
    gradients = [[torch.randn_like(w) for w in starts] for _ in range(20)]
    for step in gradients:
        for p, g in zip(parameters, step, strict=True):
            p.grad = g.clone()
        optimizer.step()
    for k, (p, w) in enumerate(zip(parameters, starts, strict=True)):
        expected = plain(w, [step[k] for step in gradients], **settings)
        torch.testing.assert_close(p.detach(), expected, rtol=1e-5, atol=1e-7)


def test_a_constant_gradient_stays_finite():
    p = torch.nn.Parameter(torch.zeros(2))
    optimizer = GravesRMSprop([p], lr=0.1)
    for _ in range(500):
        p.grad = torch.tensor([1e3, 1e-3])  # n - m^2 comes to rounding, of either sign
        optimizer.step()
    assert torch.isfinite(p).all()


def test_state_dict_round_trip():
    def run(steps, optimizer, p):
        for k in steps:
            p.grad = torch.full_like(p, (-1.0) ** k * (k + 1))
            optimizer.step()

    whole = torch.nn.Parameter(torch.ones(3))
    run(range(10), GravesRMSprop([whole], lr=0.01), whole)
    part = torch.nn.Parameter(torch.ones(3))
    first = GravesRMSprop([part], lr=0.01)
    run(range(4), first, part)
    second = GravesRMSprop([part], lr=0.5)
    second.load_state_dict(first.state_dict())
    run(range(4, 10), second, part)
    assert torch.equal(part, whole)


def test_groups_missing_gradients_and_closures():
    a, b, c = (
        torch.nn.Parameter(torch.ones(2, dtype=d)) for d in (torch.float32,) * 2 + (torch.float64,)
    )
    optimizer = GravesRMSprop([{"params": [a, c]}, {"params": [b], "lr": 0.5}], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = a.sum() + c.sum()
        loss.backward()
        return loss

    assert optimizer.step(closure) == 4
    assert torch.equal(b, torch.ones(2))
    assert (a < 1).all()
    assert (c < 1).all()


def test_sparse_gradients_are_refused():
    table = torch.nn.Embedding(4, 2, sparse=True)
    optimizer = GravesRMSprop(table.parameters())
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(RuntimeError, match="expected dense gradients"):
        optimizer.step()


@pytest.mark.parametrize(
    ("name", "value"),
    [("lr", -1), ("decay", 1), ("momentum", -0.1), ("eps", 0), ("lr", float("nan"))],
)
def test_bad_values_are_named(name, value):
    with pytest.raises(ValueError, match=f"{name}: expected .* got {value}"):
        GravesRMSprop([torch.nn.Parameter(torch.ones(1))], **{name: value})
