"""The task model: its cost, its file, and the LSTM beside it."""

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors")

from safetensors.torch import load_file, save_file  # noqa: E402

from polyad.data.ntm_tasks import Batch, task  # noqa: E402
from polyad.models import NTM  # noqa: E402

FIRST = Path(__file__).parent / "ntm-1.safetensors"
SMALL = {
    "feedforward": {"controller": "feedforward", "hidden_size": 7, "memory_rows": 5},
    "lstm-ntm": {"hidden_size": 6, "num_layers": 2, "memory_rows": 5, "weights_init": "learned"},
    "lstm": {"network": "lstm", "hidden_size": 5, "num_layers": 3},
}


def small(name):
    torch.manual_seed(0)
    return NTM(5, 4, **SMALL[name])


@pytest.fixture
def batch():
    return task("copy", bits=4, longest=3).batch(0, 0, 6)


@pytest.mark.parametrize("name", SMALL)
def test_bits_are_the_cross_entropy_of_the_counted_steps(name, batch):
    model = small(name)
    chance = model(batch).detach().numpy().astype(float)
    logits = model.logits(batch)
    assert logits.shape == batch.targets.shape
    expected, wrong = [], []
    for p, y, m in zip(chance, batch.targets.numpy(), batch.mask.numpy(), strict=True):
        p, y = p[m], y[m]
        expected.append(-np.log2(np.where(y == 1, p, 1 - p)).sum())
        wrong.append(((p > 0.5) != (y == 1)).sum())
    np.testing.assert_allclose(model.bits(batch).detach(), expected, rtol=1e-5)
    assert model.wrong_bits(batch).tolist() == wrong
    assert model.loss(batch).item() == pytest.approx(np.mean(expected), rel=1e-5)
    bits, again = model.measure(batch, at_once=4)
    np.testing.assert_allclose(bits, expected, rtol=1e-5)
    assert again.tolist() == wrong


@pytest.mark.parametrize("name", SMALL)
def test_everything_that_learns_has_a_gradient(name, batch):
    model = small(name)
    model.loss(batch).backward()
    silent = [
        n
        for n, p in model.named_parameters()
        if p.numel() and (p.grad is None or not torch.isfinite(p.grad).all())
    ]
    assert silent == []


def test_a_batch_costs_what_its_sequences_cost_alone(batch):
    model = small("lstm")
    alone = [model.bits(batch.part(k, k + 1)).item() for k in range(6)]
    np.testing.assert_allclose(model.bits(batch).detach(), alone, rtol=1e-5)


@pytest.mark.parametrize("name", SMALL)
def test_what_is_saved_is_loaded(name, batch, tmp_path):
    model = small(name)
    model.save(tmp_path / "m.safetensors")
    again = NTM.load(tmp_path / "m.safetensors")
    assert again.settings() == model.settings()
    assert torch.equal(again.logits(batch), model.logits(batch))
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


def test_the_first_format_is_read(batch):
    model = NTM.load(FIRST)
    assert model.settings()["memory_init"] == "learned"
    expected = [4.523, 3.534, 7.042, 4.431, 8.167, 4.537]
    np.testing.assert_allclose(model.bits(batch).detach(), expected, atol=0.002)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "other"}, "it holds other"),
        ({"format_version": "2"}, "format_version 2 is newer than 1"),
        ({"settings": "{}"}, "expected a file that NTM.save wrote"),
        ({"settings": json.dumps({"input_size": 5, "output_size": 9})}, "size mismatch"),
    ],
)
def test_files_of_others_are_refused(tmp_path, change, message):
    path = tmp_path / "m.safetensors"
    with safetensors.safe_open(FIRST, "pt") as file:
        metadata = file.metadata()
    save_file(load_file(FIRST), path, {**metadata, **change})
    with pytest.raises(ValueError, match=message):
        NTM.load(path)


def test_damaged_and_missing_files_are_named(tmp_path):
    path = tmp_path / "m.safetensors"
    with pytest.raises(FileNotFoundError, match=r"m\.safetensors: no such file"):
        NTM.load(path)
    path.write_bytes(FIRST.read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"expected a file that NTM\.save wrote"):
        NTM.load(path)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"network": "gru"}, ValueError, "network: expected 'ntm' or 'lstm', got 'gru'"),
        ({"rows": 3}, TypeError, "rows: not an option of the network 'ntm'; it has controller"),
        (
            {"network": "lstm", "memory_rows": 3},
            TypeError,
            "memory_rows: not an option of the network 'lstm'; it has hidden_size, num_layers$",
        ),
        ({"network": "lstm", "num_layers": 0}, ValueError, "num_layers: expected at least 1"),
    ],
)
def test_bad_options_are_named(options, error, message):
    with pytest.raises(error, match=message):
        NTM(3, 2, **options)


def test_bad_sizes_are_named(batch):
    with pytest.raises(ValueError, match="input_size: expected an integer of at least 1, got 0"):
        NTM(0, 2)
    with pytest.raises(ValueError, match=r"batch.inputs: expected .* I = 9, got \[6, \d, 5\]"):
        NTM(9, 4).logits(batch)
    with pytest.raises(ValueError, match=r"batch.targets: expected .* = \[6, \d, 3\], got"):
        NTM(5, 3, memory_rows=4).logits(batch)


@pytest.mark.parametrize(
    ("inputs", "outputs", "hidden", "parameters"),
    [
        (10, 9, 256, 1_352_969),  # copy
        (8, 7, 512, 5_312_007),  # repeat copy
        (8, 6, 256, 1_344_518),  # associative recall
        (1, 1, 128, 331_905),  # n-grams
    ],
)
def test_the_lstm_has_the_papers_number_of_parameters(inputs, outputs, hidden, parameters):
    model = NTM(inputs, outputs, network="lstm", hidden_size=hidden, num_layers=3)
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_the_lstm_is_its_formula():
    layer = small("lstm").layer.double()
    x = torch.rand(2, 4, 5, dtype=torch.float64)
    h, c = (list(t) for t in layer.init_state(2))
    for t in range(4):
        below = torch.cat([x[:, t], torch.ones(2, 1, dtype=x.dtype)], -1)
        for k, lstm in enumerate(layer.layers):
            seen = below if k == 0 else torch.cat([below, h[k - 1]], -1)
            gates = seen @ lstm.weight_ih_l0.T + h[k] @ lstm.weight_hh_l0.T
            i, f, g, o = gates.chunk(4, -1)
            c[k] = f.sigmoid() * c[k] + i.sigmoid() * g.tanh()
            h[k] = o.sigmoid() * c[k].tanh()
        expected = layer.output(torch.cat(h, -1))
        torch.testing.assert_close(layer(x)[0][:, t], expected)


def test_the_lstm_steps_as_it_runs_and_stops_at_lengths(batch):
    layer = small("lstm").layer
    outputs, last = layer(batch.inputs, lengths=batch.lengths)
    state = layer.init_state(6)
    for t in range(batch.inputs.shape[1]):
        out, after = layer.step(batch.inputs[:, t], state)
        runs = t < batch.lengths
        torch.testing.assert_close(outputs[:, t], torch.where(runs[:, None], out, 0.0))
        state = type(state)(
            *(torch.where(runs[None, :, None], a, b) for a, b in zip(after, state, strict=True))
        )
    for a, b in zip(state, last, strict=True):
        torch.testing.assert_close(a, b)
    with pytest.raises(ValueError, match="trace: an LSTM has no heads"):
        layer(batch.inputs, trace=True)


def test_a_batch_is_a_plain_tuple_of_tensors(batch):
    assert Batch(*batch).inputs is batch.inputs
