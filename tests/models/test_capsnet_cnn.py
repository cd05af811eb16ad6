"""The convolutional networks beside CapsNet: counts, matching, loss, files."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from polyad.models import CapsNet, CapsNetCNN  # noqa: E402

F = torch.nn.functional
SMALL = (3, 4, 2, 6, 5)


def small(**changes):
    torch.manual_seed(0)
    return CapsNetCNN((7, 8), 2, 3, **{"widths": SMALL, **changes})


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    return torch.rand(4, 2, 7, 8, generator=generator), torch.tensor([0, 2, 1, 1])


def parameters(model):
    return sum(p.numel() for p in model.parameters())


def test_the_papers_baseline_has_35_million_parameters():
    with torch.device("meta"):
        assert parameters(CapsNetCNN()) == 35_445_522


@pytest.mark.parametrize(
    ("size", "options"),
    [
        ((28, 28), {}),
        ((28, 28), {"reconstruction": 0}),
        ((28, 28), {"preset": "small"}),
        ((8, 8), {"preset": "digits"}),
        ((8, 8), {"preset": "digits", "types": 2, "conv_channels": 8, "decoder_sizes": (16,)}),
        ((36, 36), {"preset": "small", "classes": 26}),
        ((20, 31), {"preset": "small", "channels": 3}),
    ],
)
def test_matched_has_as_many_parameters_within_2_percent(size, options):
    classes, channels = options.pop("classes", 10), options.pop("channels", 1)
    model = CapsNet(size, channels, classes, **options)
    for kernel_size in (3, 5):
        cnn = CapsNetCNN.matched(model, kernel_size=kernel_size, dropout=0.1)
        assert abs(parameters(cnn) - parameters(model)) <= 0.02 * parameters(model)
        assert (cnn.image_size, cnn.channels, cnn.classes) == (size, channels, classes)
        assert (cnn.kernel_size, cnn.dropout) == (kernel_size, 0.1)
        # in proportion to the paper's, but for what the first hidden layer takes up
        first, second, third, _, last = cnn.widths
        assert first == second
        assert abs(first - 2 * third) <= 1
        assert abs(first * 192 - last * 256) <= 256


def test_matched_to_a_number():
    model = CapsNet((8, 8), preset="digits")
    assert abs(parameters(CapsNetCNN.matched(model, parameters=50_000)) - 50_000) <= 1000
    with pytest.raises(ValueError, match="parameters: expected enough for a network on 8 x 8"):
        CapsNetCNN.matched(model, parameters=100)


def test_is_the_plain_formulation(batch):
    model = small().eval()
    weights = list(model.parameters())
    x = batch[0]
    for k in range(3):
        x = F.conv2d(x, weights[2 * k], weights[2 * k + 1], padding=2).relu()
    x = F.linear(x.flatten(1), *weights[6:8]).relu()
    x = F.linear(x, *weights[8:10]).relu()
    logits = F.linear(x, *weights[10:])
    torch.testing.assert_close(model(batch[0]), logits)
    loss = model.loss(*batch)
    torch.testing.assert_close(loss.total, F.cross_entropy(logits, batch[1]))
    assert loss.cross_entropy == loss.total
    hot = torch.tensor([[1, 1, 0], [0, 1, 1], [1, 0, 1], [0, 1, 1]])
    torch.testing.assert_close(
        model.loss(batch[0], hot).total,
        -(hot * F.logsigmoid(logits) + (1 - hot) * F.logsigmoid(-logits)).sum(1).mean(),
    )
    assert torch.equal(model.predict(batch[0]), logits.argmax(1))
    assert torch.equal(model.predict(batch[0], 2), logits.argsort(1, descending=True)[:, :2])


def test_dropout_is_of_the_last_hidden_layer(batch):
    model = small(dropout=0.5)
    assert not torch.equal(model(batch[0]), model(batch[0]))
    model.eval()
    assert torch.equal(model(batch[0]), model(batch[0]))
    assert torch.equal(small(dropout=0.0)(batch[0]), model(batch[0]))


def test_everything_that_learns_has_a_gradient(batch):
    model = small(dropout=0.0)
    model.loss(*batch).total.backward()
    assert all(p.grad is not None for p in model.parameters())


def test_what_is_saved_is_loaded(batch, tmp_path):
    model = small(kernel_size=3).eval()
    model.save(tmp_path / "m.safetensors")
    again = CapsNetCNN.load(tmp_path / "m.safetensors").eval()
    assert again.settings() == model.settings()
    assert torch.equal(again(batch[0]), model(batch[0]))
    with pytest.raises(ValueError, match=r"expected a file that CapsNet\.save wrote: it holds"):
        CapsNet.load(tmp_path / "m.safetensors")


def test_compiles_in_one_graph(batch):
    model = small(dropout=0.0)
    compiled = torch.compile(model.loss, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*batch).total, model.loss(*batch).total)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"widths": (1, 2)}, ValueError, r"widths: expected 5 sizes, got \[1, 2\]"),
        ({"widths": (1, 2, 0, 4, 5)}, ValueError, r"widths\[2\]: expected at least 1, got 0"),
        ({"kernel_size": 4}, ValueError, "kernel_size: expected an odd size, got 4"),
        ({"dropout": 1}, ValueError, "dropout: expected a probability below 1, got 1"),
        ({"image_size": 3}, TypeError, r"image_size: expected \(height, width\), got 3"),
    ],
)
def test_bad_options_are_named(options, error, message):
    with pytest.raises(error, match=message):
        CapsNetCNN(**options)


def test_bad_batches_are_named(batch):
    with pytest.raises(ValueError, match=r"images: expected .* = \[B, 2, 7, 8\], got \[4, 1, 7"):
        small()(batch[0][:, :1])
    with pytest.raises(ValueError, match=r"targets: expected classes in 0 \.\. 2, got 3"):
        small().loss(batch[0], batch[1] + 1)
    with pytest.raises(ValueError, match=r"top: expected 1 \.\. 3, got 0"):
        small().predict(batch[0], 0)
