"""CapsNet: counts, sizes, loss, decoder, files, compiling, and what it learns in seconds."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors")

from safetensors.torch import load_file, save_file  # noqa: E402

import polyad  # noqa: E402
from polyad.models import CapsNet  # noqa: E402
from polyad.models.capsnet import PRESETS  # noqa: E402
from polyad.nn import MarginLoss  # noqa: E402
from polyad.reference import capsule as reference  # noqa: E402

F = torch.nn.functional
FIRST = Path(__file__).parent / "capsnet-1.safetensors"
TINY = {
    "conv_channels": 3,
    "conv_kernel": 3,
    "types": 2,
    "primary_size": 4,
    "primary_kernel": 3,
    "output_size": 5,
    "decoder_sizes": (6,),
}
VARIANTS = {
    "paper": {},
    "authors": {"preset": "authors", "leaky": True},
    "no decoder": {"reconstruction": 0.0},
    "uniform": {"method": "uniform", "learn_logits": True},
    "detached": {"detach": True, "bias": True, "learn_logits": True},
    "shared": {"share_weights": True, "iterations": 2},
    "padded": {"conv_padding": 1, "conv_stride": 2, "primary_padding": 1, "decoder_sizes": ()},
}


def tiny(name="paper", **changes):
    torch.manual_seed(0)
    return CapsNet((7, 8), 2, 3, **{**TINY, **VARIANTS[name], **changes})


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    return torch.rand(4, 2, 7, 8, generator=generator), torch.tensor([0, 2, 1, 1])


@pytest.fixture(autouse=True)
def _one_thread():
    polyad.set_num_threads(1)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def parameters(model):
    return sum(p.numel() for p in model.parameters())


def test_the_papers_numbers_of_parameters():
    with torch.device("meta"):
        model = CapsNet()
        assert parameters(model) == 8_215_568
        assert parameters(model.decoder) == 1_411_344
        assert parameters(model.conv) == 20_992
        assert parameters(model.primary) == 5_308_672
        assert parameters(CapsNet(reconstruction=0)) == 6_804_224
        assert model.primary_shape == (32, 6, 6)
        assert parameters(CapsNet(preset="authors")) == 8_215_568 + 160
        shared = CapsNet((224, 224), share_weights=True, reconstruction=0)
        assert shared.primary_shape == (32, 104, 104)
        assert parameters(shared.capsules) == 32 * 10 * 16 * 8


@pytest.mark.parametrize("name", VARIANTS)
def test_is_the_plain_formulation(name, batch):
    model = tiny(name, **({"types": 4} if name == "shared" else {})).double()
    images, targets = batch[0].double(), batch[1]
    o = model.options
    h = F.conv2d(images, model.conv.weight, model.conv.bias, o.conv_stride, o.conv_padding).relu()
    s = F.conv2d(h, model.primary.weight, None, o.primary_stride, o.primary_padding)
    if name == "authors":
        s = s / (o.types + 1)  # one step of leaky routing among the types
    s = s + model.primary.bias.reshape(-1, 1, 1)
    types, height, width = model.primary_shape
    u = s.view(4, types, o.primary_size, height, width).permute(0, 1, 3, 4, 2)
    u = reference.squash(u.reshape(4, -1, o.primary_size))
    torch.testing.assert_close(model.primary_capsules(images), u)
    weight = model.capsules.weight
    if o.share_weights:
        weight = weight.repeat_interleave(height * width, dim=0)
    v = reference.routing(
        u, weight, model.capsules.bias, model.capsules.logits,
        iterations=o.iterations, method=o.method, leaky=o.leaky, detach=o.detach,
    )  # fmt: skip
    output = model(images)
    torch.testing.assert_close(output.v, v)
    torch.testing.assert_close(output.lengths, v.norm(dim=-1))
    there = F.one_hot(targets, 3)
    margin = there * (0.9 - v.norm(dim=-1)).relu().square()
    margin = margin + 0.5 * (1 - there) * (v.norm(dim=-1) - 0.1).relu().square()
    margin = margin.sum() / 4 / (6 if name == "authors" else 1)
    total, error = margin, torch.zeros_like(margin)
    if model.decoder is not None:
        x = (v * there[..., None]).flatten(1)
        for layer in model.decoder:
            if isinstance(layer, torch.nn.Linear):
                x = F.linear(x, layer.weight, layer.bias)
                x = x.sigmoid() if layer is model.decoder[-2] else x.relu()
        error = (x.view_as(images) - images).square().sum() / 4
        torch.testing.assert_close(model.reconstruct(output.v, targets), x.view_as(images))
        total = margin + 0.0005 * error
    loss = model.loss(images, targets)
    torch.testing.assert_close((loss.margin, loss.reconstruction), (margin, error))
    torch.testing.assert_close(loss.total, total)
    wanted = tuple(model.parameters())
    torch.testing.assert_close(
        torch.autograd.grad(loss.total, wanted), torch.autograd.grad(total, wanted)
    )


@pytest.mark.parametrize("name", VARIANTS)
def test_everything_that_learns_has_a_gradient(name, batch):
    """As DistributedDataParallel asks without find_unused_parameters."""
    model = tiny(name, init_scale=1.0)
    model.loss(*batch).total.backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


@pytest.mark.parametrize(
    ("size", "options"),
    [
        ((28, 28), {"preset": "small"}),
        ((17, 17), {"preset": "small"}),  # the least of the paper's kernels
        ((36, 36), {"preset": "small"}),
        ((20, 41), {"preset": "small"}),
        ((8, 8), {"preset": "digits"}),
        ((16, 16), {"preset": "digits"}),
        ((16, 16), {"preset": "small", "conv_kernel": 5, "primary_kernel": 5}),
        ((8, 8), {"preset": "small", "conv_padding": 4, "primary_padding": 4}),
        ((1, 1), {"preset": "digits", "conv_kernel": 1, "primary_kernel": 1}),
        ((24, 24), {"preset": "authors", "types": 4, "conv_channels": 8, "reconstruction": 0}),
        (
            (224, 224),
            {"preset": "small", "types": 2, "share_weights": True, "conv_stride": 4,
             "conv_channels": 4, "decoder_sizes": (3,)},
        ),
    ],
)  # fmt: skip
def test_images_of_any_size(size, options):
    channels, classes = (3, 7) if size[0] % 2 else (1, 43)
    model = CapsNet(size, channels, classes, **options)
    images = torch.rand(2, channels, *size)
    output = model(images)
    assert output.v.shape == (2, classes, 16)
    assert output.lengths.shape == (2, classes)
    assert 0 < output.lengths.min() <= output.lengths.max() < 1
    assert model.primary_capsules(images).shape == (2, math.prod(model.primary_shape), 8)
    if model.decoder is not None:
        made = model.reconstruct(output.v)
        assert made.shape == images.shape
        assert 0 <= made.min() <= made.max() <= 1
    assert torch.isfinite(model.loss(images, torch.tensor([0, classes - 1])).total)


def test_images_that_are_too_small_are_told_what_is_large_enough():
    with pytest.raises(ValueError, match=r"image_size: expected at least 17 x 17 for conv_kernel"):
        CapsNet((16, 16))
    CapsNet((17, 17), types=1, conv_channels=1)
    for options, least in (
        ({"conv_stride": 2}, 25), ({"conv_padding": 2, "primary_padding": 1}, 11),
        ({"preset": "digits"}, 7), ({"conv_padding": 9}, 1),
    ):  # fmt: skip
        CapsNet((least, 30), types=1, conv_channels=1, **options)
        if least > 1:
            with pytest.raises(ValueError, match=f"at least {least} x {least} .* got 30 x "):
                CapsNet((30, least - 1), types=1, conv_channels=1, **options)


def test_presets_differ_where_the_code_and_the_paper_do():
    assert PRESETS["paper"] == {}
    torch.manual_seed(0)
    model = CapsNet(preset="authors")
    assert model.primary.scale == 1 / 32
    assert (model.margin.scale, model.margin.class_mean) == (0.5, True)
    assert (model.capsules.bias == 0.1).all()
    assert (model.primary.bias == 0.1).all()
    assert (model.conv.bias == 0.1).all()
    for weight, std in (
        (model.conv.weight, 0.05), (model.primary.weight, 0.1), (model.capsules.weight, 0.1),
        (model.decoder[0].weight, 0.1),
    ):  # fmt: skip
        assert weight.abs().max() <= 2 * std
        assert weight.std().item() == pytest.approx(0.8796 * std, rel=0.02)


def test_same_seed_same_weights():
    one, two = tiny(), tiny()
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    two.reset_parameters()
    assert not torch.equal(one.conv.weight, two.conv.weight)


def test_predicts_the_longest_capsules(batch):
    model = tiny()
    lengths = model(batch[0]).lengths
    assert torch.equal(model.predict(batch[0]), lengths.argmax(1))
    assert torch.equal(model.predict(batch[0], 2), lengths.argsort(1, descending=True)[:, :2])
    with pytest.raises(ValueError, match=r"top: expected 1 .. 3, got 4"):
        model.predict(batch[0], 4)


def test_the_decoder_sees_only_the_chosen_capsules(batch):
    model = tiny()
    v = model(batch[0]).v
    other = v.clone()
    other[:, 0] = 7
    two = torch.full((4,), 2)
    assert torch.equal(model.reconstruct(v, two), model.reconstruct(other, two))
    assert torch.equal(model.reconstruct(other), model.reconstruct(other, two * 0))
    both = torch.tensor([[0, 1, 1]] * 4)
    assert torch.equal(model.reconstruct(v, both), model.reconstruct(other, both.bool()))
    assert not torch.equal(model.reconstruct(v, both), model.reconstruct(v, two))


def test_two_objects_in_one_image(batch):
    model = tiny()
    images = batch[0]
    classes = torch.tensor([[0, 1], [2, 0], [1, 2], [0, 2]])
    hot = torch.zeros(4, 3).scatter_(1, classes, 1)
    parts = torch.rand(4, 2, 2, 7, 8)
    loss = model.loss(images, hot, parts=parts, part_classes=classes)
    v, lengths = model(images)
    made = torch.stack([model.reconstruct(v, classes[:, k]) for k in range(2)], 1)
    error = (made - parts).square().sum() / 4
    torch.testing.assert_close(loss.margin, MarginLoss()(lengths, hot))
    torch.testing.assert_close(loss.reconstruction, error)
    torch.testing.assert_close(loss.total, loss.margin + 0.0005 * error)
    whole = model.loss(images, hot)
    torch.testing.assert_close(
        whole.reconstruction, (model.reconstruct(v, hot) - images).square().sum() / 4
    )
    without = tiny("no decoder").loss(images, hot, parts=parts, part_classes=classes)
    assert without.total == without.margin
    assert without.reconstruction == 0


def test_perturb_changes_one_number_of_the_capsule(batch):
    model = tiny()
    v = model(batch[0]).v.detach()
    images = model.perturb(v, batch[1])
    assert images.shape == (4, 5, 11, 2, 7, 8)
    torch.testing.assert_close(
        images[:, :, 5], model.reconstruct(v, batch[1])[:, None].expand(-1, 5, -1, -1, -1)
    )
    changed = v.clone()
    changed[torch.arange(4), batch[1], 3] += 0.25
    torch.testing.assert_close(images[:, 3, 10], model.reconstruct(changed, batch[1]))
    few = model.perturb(v, amounts=(0.0, 1.0))
    assert few.shape == (4, 5, 2, 2, 7, 8)
    torch.testing.assert_close(few[:, 0, 0], model.reconstruct(v))


def test_couplings_by_iteration(batch):
    model = tiny(init_scale=2.0)
    first, second, third = model.couplings(batch[0])
    torch.testing.assert_close(first, torch.full_like(first, 1 / 3))
    assert first.shape == (4, math.prod(model.primary_shape), 3)
    assert first.std() < second.std() < third.std()
    for c in (first, second, third):
        torch.testing.assert_close(c.sum(-1), torch.ones(c.shape[:2]))
    assert len(model.couplings(batch[0], iterations=5)) == 5
    (only,) = tiny("uniform").couplings(batch[0])
    torch.testing.assert_close(only, torch.full_like(only, 1 / 3))
    leaky = tiny("authors").couplings(batch[0])[-1]
    assert (leaky.sum(-1) < 1).all()


@pytest.mark.parametrize("name", VARIANTS)
def test_what_is_saved_is_loaded(name, batch, tmp_path):
    model = tiny(name)
    model.save(tmp_path / "m.safetensors")
    again = CapsNet.load(tmp_path / "m.safetensors")
    assert again.settings() == model.settings()
    assert torch.equal(again(batch[0]).v, model(batch[0]).v)
    assert again.loss(*batch) == model.loss(*batch)
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]
    made = CapsNet(**model.settings())
    assert made.state_dict().keys() == model.state_dict().keys()


def test_settings_outlive_a_change_of_the_preset(monkeypatch):
    settings = CapsNet((8, 8), preset="digits").settings()
    monkeypatch.setitem(PRESETS, "digits", {"types": 99})
    assert CapsNet(**settings).settings() == settings


def test_the_first_format_is_read(batch):
    model = CapsNet.load(FIRST)
    assert model.settings()["leaky"] is True
    assert model.image_size == (7, 8)
    expected = [
        [0.7232, 0.5283, 0.5178],
        [0.6722, 0.5290, 0.4405],
        [0.6730, 0.5545, 0.4290],
        [0.6998, 0.3674, 0.5277],
    ]
    np.testing.assert_allclose(model(batch[0]).lengths.detach(), expected, rtol=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "polyad.models.NTM"}, "it holds polyad.models.NTM"),
        ({"format_version": "2"}, "format_version 2 is newer than 1"),
        ({"settings": "{"}, "expected a file that CapsNet.save wrote"),
        ({"settings": json.dumps({"image_size": [9, 9]})}, "image_size: expected at least 17"),
        ({"settings": json.dumps({"image_size": [7, 8], **TINY})}, "size mismatch|Missing key"),
    ],
)
def test_files_of_others_are_refused(tmp_path, change, message):
    path = tmp_path / "m.safetensors"
    with safetensors.safe_open(FIRST, "pt") as file:
        metadata = file.metadata()
    save_file(load_file(FIRST), path, {**metadata, **change})
    with pytest.raises(ValueError, match=message):
        CapsNet.load(path)


def test_damaged_and_missing_files_are_named(tmp_path):
    path = tmp_path / "m.safetensors"
    with pytest.raises(FileNotFoundError, match=r"m\.safetensors: no such file"):
        CapsNet.load(path)
    path.write_bytes(FIRST.read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"expected a file that CapsNet\.save wrote"):
        CapsNet.load(path)


@pytest.mark.parametrize("name", ["paper", "authors", "detached", "shared"])
def test_compiles_in_one_graph(name, batch):
    model = tiny(name)
    compiled = torch.compile(model.loss, fullgraph=True, backend="aot_eager")
    wanted = tuple(model.parameters())
    expected, found = model.loss(*batch), compiled(*batch)
    torch.testing.assert_close(tuple(found), tuple(expected))
    torch.testing.assert_close(
        torch.autograd.grad(found.total, wanted), torch.autograd.grad(expected.total, wanted)
    )


@pytest.mark.slow
def test_compiles_with_inductor(batch):
    model = tiny("authors")
    expected = model.loss(*batch)
    found = torch.compile(model.loss, fullgraph=True)(*batch)
    found.total.backward()
    torch.testing.assert_close(tuple(found), tuple(expected))


def test_autocast_gives_float32_capsules(batch):
    model = tiny()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(batch[0])
        loss = model.loss(*batch)
        made = model.reconstruct(output.v)
    assert output.v.dtype == output.lengths.dtype == made.dtype == torch.float32
    assert loss.total.dtype == torch.float32
    torch.testing.assert_close(loss.total, model.loss(*batch).total, rtol=0.02, atol=0.02)
    loss.total.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_type(dtype, batch):
    model, images = tiny("authors").to(dtype), batch[0].to(dtype)
    output = model(images)
    assert output.v.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    loss = model.loss(images, batch[1])
    torch.testing.assert_close(
        loss.total.float(), tiny("authors").loss(*batch).total, rtol=0.03, atol=0.03
    )
    loss.total.backward()
    assert all(p.grad.dtype == dtype for p in model.parameters())


def test_no_image_has_no_capsule():
    model = tiny()
    images = torch.zeros(0, 2, 7, 8)
    assert model(images).v.shape == (0, 3, 5)
    assert model.predict(images).shape == (0,)
    assert model.reconstruct(model(images).v).shape == (0, 2, 7, 8)


def test_numbers_of_numpy_are_taken_and_saved(tmp_path):
    model = tiny(types=np.int64(2), reconstruction=np.float64(0.1), decoder_sizes=np.array([3]))
    model.save(tmp_path / "m.safetensors")
    assert CapsNet.load(tmp_path / "m.safetensors").settings() == model.settings()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"preset": "mnist"},
            ValueError,
            "preset: expected 'paper' or 'authors' or .* got 'mnist'",
        ),
        ({"routings": 3}, TypeError, "routings: not an option of CapsNet; it has conv_channels, "),
        ({"types": 0}, ValueError, "types: expected at least 1, got 0"),
        ({"types": 2.0}, TypeError, "types: expected an int, got float"),
        ({"conv_padding": -1}, ValueError, "conv_padding: expected at least 0, got -1"),
        ({"method": "em"}, ValueError, "method: expected 'dynamic' or 'uniform', got 'em'"),
        ({"init": "zero"}, ValueError, "init: expected 'torch' or 'truncated', got 'zero'"),
        ({"leaky": 1}, TypeError, "leaky: expected True or False, got 1"),
        ({"reconstruction": -0.1}, ValueError, "reconstruction: expected a number at least 0"),
        ({"reconstruction": "no"}, TypeError, "reconstruction: expected a number, got 'no'"),
        ({"margin_scale": 0}, ValueError, "margin_scale: expected a number above 0, got 0"),
        ({"init_scale": math.nan}, ValueError, "init_scale: expected a number above 0, got nan"),
        ({"decoder_sizes": 5}, TypeError, "decoder_sizes: expected sizes of layers, got 5"),
        ({"decoder_sizes": (5, 0)}, ValueError, r"decoder_sizes\[1\]: expected at least 1, got 0"),
        ({"image_size": 28}, TypeError, r"image_size: expected \(height, width\), got 28"),
        ({"image_size": (28, 0)}, ValueError, r"image_size\[1\]: expected at least 1, got 0"),
        ({"channels": 0}, ValueError, "channels: expected at least 1, got 0"),
        ({"classes": "ten"}, TypeError, "classes: expected an int, got str"),
    ],
)
def test_bad_options_are_named(options, error, message):
    with pytest.raises(error, match=message):
        CapsNet(**options)


def test_bad_batches_are_named(batch):
    model = tiny()
    images, targets = batch
    for call, error, message in (
        (lambda: model(images[:, :1]), ValueError,
         r"images: expected \[B, C, H, W\] = \[B, 2, 7, 8\], got \[4, 1, 7, 8\]"),
        (lambda: model(images.to(torch.uint8)), TypeError,
         "images: expected numbers in 0 .. 1, got torch.uint8"),
        (lambda: model.loss(images, targets + 1), ValueError, "targets: expected classes in 0 .. 2"),
        (lambda: model.loss(images, targets, parts=images[:, None]), TypeError,
         "part_classes: expected with the other"),
        (lambda: model.loss(images, targets, parts=images, part_classes=targets), ValueError,
         r"parts: expected \[B, P, C, H, W\] = \[4, P, 2, 7, 8\], got \[4, 2, 7, 8\]"),
        (lambda: model.loss(images, targets, parts=images[:, None], part_classes=targets),
         ValueError, r"part_classes: expected \[B, P\] = \[4, 1\], got \[4\]"),
        (lambda: model.reconstruct(torch.zeros(4, 3, 4)), ValueError,
         r"v: expected \[B, J, D\] = \[B, 3, 5\], got \[4, 3, 4\]"),
        (lambda: tiny("no decoder").reconstruct(torch.zeros(4, 3, 5)), RuntimeError,
         "this CapsNet has no decoder"),
        (lambda: model.couplings(images, iterations=0), ValueError,
         "iterations: expected at least 1, got 0"),
    ):  # fmt: skip
        with pytest.raises(error, match=message):
            call()


def test_learns_digits_in_seconds(digits):
    pixels, labels = digits
    images = torch.tensor(pixels / 16, dtype=torch.float32).view(-1, 1, 8, 8)
    targets = torch.tensor(labels)
    held_out = torch.arange(len(targets)) % 3 == 0
    torch.manual_seed(0)
    model = CapsNet(
        (8, 8), preset="digits", types=8, conv_channels=32, decoder_sizes=(64,), iterations=2
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    train = torch.nonzero(~held_out)[:, 0]
    first = model.loss(images[held_out], targets[held_out])
    for _ in range(5):
        for ids in train[torch.randperm(len(train))].split(32):
            optimizer.zero_grad()
            model.loss(images[ids], targets[ids]).total.backward()
            optimizer.step()
    last = model.loss(images[held_out], targets[held_out])
    assert (
        model.predict(images[held_out]) == targets[held_out]
    ).float().mean() > 0.9  # chance: 0.1
    assert last.margin < 0.2 * first.margin
    assert last.reconstruction < 0.7 * first.reconstruction
