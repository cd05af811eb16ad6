"""polyad.nn.NTM: what it starts from, steps, gradients, files, and what it refuses."""

import copy
import inspect
import re
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import polyad  # noqa: E402
from polyad.nn import NTM  # noqa: E402
from polyad.ops import ntm as ops  # noqa: E402
from polyad.reference import ntm as reference  # noqa: E402

SMALL = {"hidden_size": 6, "memory_rows": 7, "memory_width": 4}
LAYERS = {
    "lstm": {},
    "2 layers, learned": {"num_layers": 2, "memory_init": "learned", "weights_init": "learned"},
    "feed-forward": {"controller": "feedforward", "memory_init": "random"},
    "many heads": {"read_heads": 3, "write_heads": 2, "shift_width": 5, "weights_init": "uniform"},
    "otherwise": {"read_first": True, "head_activation": "tanh", "similarity": "sum"},
}


@pytest.fixture(autouse=True)
def _one_thread():
    polyad.set_num_threads(1)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def layer(name="lstm", **changes):
    return NTM(5, 3, **{**SMALL, **LAYERS[name], **changes})


def beside_reference(model, inputs, lengths=None):
    options = ("read_first", "head_activation", "similarity", "epsilon")
    return reference.scan(
        inputs,
        model.init_state(len(inputs)),
        model.native_parameters(),
        lengths=lengths,
        **{name: getattr(model, name) for name in options},
    )


@pytest.mark.parametrize("name", LAYERS)
def test_is_its_reference(name):
    model = layer(name, dtype=torch.float64)
    inputs, lengths = torch.randn(3, 6, 5, dtype=torch.float64), torch.tensor([6, 1, 4])
    results = []
    for outputs, state in (
        beside_reference(model, inputs, lengths),
        model(inputs, lengths=lengths),
    ):
        model.zero_grad()
        (outputs.square().sum() + state.memory.sum() + state.c.sum()).backward()
        results.append([outputs, *state, *(p.grad for p in model.parameters() if p.numel())])
    torch.testing.assert_close(*results)
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("name", LAYERS)
def test_steps_are_a_sequence(name):
    model, inputs = layer(name), torch.randn(4, 9, 5)
    outputs, last = model(inputs)
    state, steps = model.init_state(4), []
    for t in range(9):
        y, state = model.step(inputs[:, t], state)
        steps.append(y)
    assert torch.equal(torch.stack(steps, 1), outputs)
    assert all(torch.equal(a, b) for a, b in zip(state, last, strict=True))
    first, between = model(inputs[:, :4])
    second, after = model(inputs[:, 4:], between)
    assert torch.equal(torch.cat([first, second], 1), outputs)
    assert torch.equal(after.memory, last.memory)
    shared, _ = model.step(inputs[:, 0], model.init_state(1))  # a state that all sequences share
    assert torch.equal(shared, steps[0])


def test_what_it_starts_from():
    state = layer("lstm", num_layers=2).init_state(3)
    assert [tuple(x.shape) for x in state] == [
        (3, 7, 4),
        (3, 1, 4),
        (3, 2, 7),
        (2, 3, 6),
        (2, 3, 6),
    ]
    assert (state.memory == 1e-6).all()
    assert (state.weights == torch.eye(7)[0]).all()
    assert not any(x.any() for x in (state.reads, state.h, state.c))

    model = layer("feed-forward", weights_init="uniform", memory_rows=400)
    state = model.init_state(2)
    assert tuple(state.h.shape) == tuple(state.c.shape) == (0, 2, 6)
    torch.testing.assert_close(state.weights, torch.full((2, 2, 400), 1 / 400))
    assert state.memory.std().item() == pytest.approx(0.05, rel=0.1)
    assert torch.equal(state.memory[0], state.memory[1])
    assert "initial_memory" in dict(model.named_buffers())
    assert "initial_memory" in model.state_dict()

    model = layer("2 layers, learned")
    learned = {"initial_memory", "initial_weights", "initial_reads", "initial_h", "initial_c"}
    assert learned <= dict(model.named_parameters()).keys()
    weights = model.init_state(2).weights
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2))
    assert weights.min() > 0
    assert weights.std() > 0.01


def test_the_controller_starts_as_an_lstm_does():
    model = NTM(5, 3, hidden_size=25, num_layers=2)
    lstm = torch.nn.LSTM(25, 25, 2)
    own = dict(model.named_parameters())
    for name, theirs in lstm.named_parameters():
        ours = own[name]
        assert ours.shape[0] == theirs.shape[0]
        assert ours.abs().max() <= 1 / 5
        assert ours.abs().max() > 0.15
    assert model.weight_hh_l1.shape == lstm.weight_hh_l1.shape
    again = {name: p.clone() for name, p in own.items()}
    model.reset_parameters()
    assert not torch.equal(model.weight_ih_l0, again["weight_ih_l0"])
    assert not model.output_bias.any()


def test_weights_of_an_lstm_load():
    """Where the columns of the reads are zero, h is that of torch.nn.LSTM."""
    model = NTM(5, 6, num_layers=3, **SMALL)
    lstm = torch.nn.LSTM(5, 6, 3, batch_first=True)
    weights = lstm.state_dict()
    weights["weight_ih_l0"] = torch.cat([weights["weight_ih_l0"], torch.zeros(24, 4)], 1)
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert unexpected == []
    assert not [name for name in missing if name.startswith(("weight_", "bias_"))]
    with torch.no_grad():
        model.output_weight.copy_(torch.eye(6, 10))
    inputs = torch.randn(4, 12, 5)
    outputs, state = model(inputs)
    want, (h, c) = lstm(inputs)
    torch.testing.assert_close(outputs, want)
    torch.testing.assert_close((state.h, state.c), (h, c))


@pytest.mark.parametrize("name", LAYERS)
def test_the_trace(name):
    model, inputs, lengths = layer(name), torch.randn(3, 8, 5), torch.tensor([8, 2, 5])
    outputs, state, trace = model(inputs, lengths=lengths, trace=True)
    assert torch.equal(outputs, model(inputs, lengths=lengths)[0])
    K, R = model.read_heads + model.write_heads, model.read_heads
    assert tuple(trace.weights.shape) == (3, 8, K, 7)
    assert tuple(trace.reads.shape) == (3, 8, R, 4)
    assert tuple(trace.heads.shape) == (3, 8, len(model.head_bias))
    runs = torch.arange(8) < lengths[:, None]
    torch.testing.assert_close(trace.weights.sum(-1), runs[..., None].float().expand(-1, -1, K))
    before = model.init_state(3)
    for t in range(8):
        _, after = model.step(inputs[:, t], before)
        assert torch.equal(trace.weights[runs[:, t], t], after.weights[runs[:, t]])
        assert torch.equal(trace.reads[runs[:, t], t], after.reads[runs[:, t]])
        before = after
    for b, steps in enumerate(lengths.tolist()):
        assert torch.equal(trace.weights[b, steps - 1], state.weights[b])
        assert not trace.heads[b, steps:].any()


@pytest.mark.parametrize("name", LAYERS)
def test_files(name, tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    model, again, third = layer(name), layer(name), layer(name)
    inputs = torch.randn(2, 5, 5)
    again.load_state_dict(model.state_dict())
    safetensors.save_file(model.state_dict(), tmp_path / "layer.safetensors")
    third.load_state_dict(safetensors.load_file(tmp_path / "layer.safetensors"))
    torch.save(model, tmp_path / "layer.pt")
    fourth = torch.load(tmp_path / "layer.pt", weights_only=False)
    want = model(inputs)[0]
    for other in (again, third, fourth, copy.deepcopy(model)):
        assert torch.equal(other(inputs)[0], want)


def test_one_seed_one_layer():
    layers = []
    for _ in range(2):
        torch.manual_seed(3)
        layers.append(layer("2 layers, learned").state_dict())
    assert all(torch.equal(layers[0][name], layers[1][name]) for name in layers[0])


def test_dtype_device_and_moves():
    model = layer("many heads", dtype=torch.float64)
    assert {x.dtype for x in model.state_dict().values()} == {torch.float64}
    assert model(torch.randn(2, 3, 5).double())[0].dtype == torch.float64
    assert model.float()(torch.randn(2, 3, 5))[0].dtype == torch.float32
    empty = layer("2 layers, learned", device="meta")
    assert {x.device.type for x in empty.state_dict().values()} == {"meta"}


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_autocast_computes_in_the_dtype_of_the_weights(half):
    model, inputs = layer("2 layers, learned"), torch.randn(2, 4, 5).to(half).requires_grad_()
    want = model(inputs.detach().float())
    with torch.autocast("cpu", dtype=half):
        outputs, state = model(inputs)
        again, _ = model.step(inputs[:, 0], model.init_state(2))
    assert outputs.dtype == torch.float32
    assert torch.equal(outputs, want[0])
    assert torch.equal(state.memory, want[1].memory)
    assert torch.equal(again, want[0][:, 0])
    outputs.sum().backward()
    assert inputs.grad.dtype == half
    assert model.head_weight.grad.dtype == torch.float32
    with pytest.raises(TypeError, match="inputs: expected dtype float32 or float64, got"):
        model(inputs)


@pytest.mark.parametrize("name", ["2 layers, learned", "feed-forward"])
def test_compile(name):
    torch.compiler.reset()
    model, inputs, lengths = layer(name), torch.randn(3, 6, 5), torch.tensor([6, 2, 3])
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    results = []
    for run in (compiled, model):
        model.zero_grad()
        outputs, state, trace = run(inputs, lengths=lengths, trace=True)
        (outputs.square().sum() + state.reads.sum()).backward()
        results.append([outputs, *state, trace.weights, *(p.grad for p in model.parameters())])
    torch.testing.assert_close(*results)


def test_parametrized_weights_are_found():
    plain, model = layer(), layer()
    model.load_state_dict(plain.state_dict())
    torch.nn.utils.parametrizations.weight_norm(model, "weight_hh_l0")
    torch.nn.utils.parametrizations.weight_norm(model, "head_weight")
    inputs = torch.randn(2, 3, 5)
    torch.testing.assert_close(model(inputs)[0], plain(inputs)[0])
    model(inputs)[0].sum().backward()
    assert model.parametrizations.weight_hh_l0.original0.grad is not None


def test_a_functional_call_uses_the_weights_it_is_given():
    model, other, inputs = layer(), layer(), torch.randn(2, 3, 5)
    got = torch.func.functional_call(model, dict(other.named_parameters()), (inputs,))[0]
    assert torch.equal(got, other(inputs)[0])


def test_learns():
    """A few updates of a sum: gradients and optimiser fit together."""
    model = NTM(1, 1, hidden_size=12, memory_rows=6, memory_width=4)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    rng, losses = np.random.default_rng(0), []
    for _ in range(60):
        x = torch.from_numpy(rng.integers(0, 2, (16, 5, 1)).astype(np.float32))
        loss = (model(x)[0] - x.cumsum(1)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.25 * np.mean(losses[:5])


def test_a_weight_that_is_not_finite_is_named():
    model = layer()
    with torch.no_grad():
        model.weight_hh_l0[0, 0] = float("nan")
    with pytest.raises(ops.NotFiniteError, match=r"sequence 0, step 0: not finite: weight_hh\[0\]"):
        model(torch.randn(1, 3, 5))
    assert ops.NotFiniteError.__bases__ == (FloatingPointError,)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"input_size": 0}, ValueError, "input_size: expected at least 1, got 0"),
        ({"output_size": -1}, ValueError, "output_size: expected at least 1, got -1"),
        ({"hidden_size": 0}, ValueError, "hidden_size: expected at least 1, got 0"),
        ({"hidden_size": 2.5}, TypeError, "hidden_size: expected an int, got float"),
        ({"num_layers": 0}, ValueError, r"num_layers: expected 1 \.\. 8, got 0"),
        ({"num_layers": 9}, ValueError, r"num_layers: expected 1 \.\. 8, got 9"),
        ({"memory_rows": 0}, ValueError, "memory_rows: expected at least 1, got 0"),
        ({"memory_width": 0}, ValueError, "memory_width: expected at least 1, got 0"),
        ({"read_heads": 0}, ValueError, "read_heads: expected at least 1, got 0"),
        ({"read_heads": True}, TypeError, "read_heads: expected an int, got bool"),
        ({"write_heads": 0}, ValueError, r"write_heads: expected 1 \.\. 16, got 0"),
        ({"write_heads": 17}, ValueError, r"write_heads: expected 1 \.\. 16, got 17"),
        ({"shift_width": 4}, ValueError, "shift_width: expected an odd width, got 4"),
        ({"shift_width": 0}, ValueError, "shift_width: expected at least 1, got 0"),
        ({"controller": "gru"}, ValueError, "controller: expected 'lstm' or 'feedforward', got 'gru'"),
        ({"memory_init": "zero"}, ValueError, "memory_init: expected 'constant' or 'random' or 'learned', got 'zero'"),
        ({"weights_init": None}, ValueError, "weights_init: expected 'one_hot' or 'learned' or 'uniform', got None"),
        ({"head_activation": "relu"}, ValueError, "head_activation: expected 'linear' or 'tanh', got 'relu'"),
        ({"similarity": "cosine"}, ValueError, "similarity: expected 'root' or 'sum', got 'cosine'"),
        ({"epsilon": 0}, ValueError, "epsilon: expected a finite number above 0, got 0"),
        ({"epsilon": None}, TypeError, "epsilon: expected a number, got NoneType"),
    ],
)  # fmt: skip
def test_what_it_is_made_of_is_checked(change, error, message):
    with pytest.raises(error, match=message):
        NTM(**{"input_size": 5, "output_size": 3, **SMALL, **change})


@pytest.mark.parametrize(
    ("run", "error", "message"),
    [
        (lambda m: m(torch.randn(2, 3, 4)), ValueError, r"inputs: expected \[B, T, I\] = \[B, T, 5\], got \[2, 3, 4\]"),
        (lambda m: m(torch.randn(2, 5)), ValueError, r"inputs: expected \[B, T, I\] = \[B, T, 5\], got \[2, 5\]"),
        (lambda m: m(torch.randn(2, 0, 5)), ValueError, "inputs: expected at least one step"),
        (lambda m: m(torch.randn(2, 3, 5).double()), TypeError, "state.memory: expected dtype float64, got float32"),
        (lambda m: m(torch.ones(2, 3, 5, dtype=torch.int64)), TypeError, "inputs: expected dtype float32 or float64, got int64"),
        (lambda m: m(np.ones((2, 3, 5), np.float32)), TypeError, "state.memory: expected a numpy array as inputs is, got a torch tensor"),
        (lambda m: m(torch.randn(2, 3, 5, device="meta")), ValueError, "state.memory: expected device meta as inputs is, got cpu"),
        (lambda m: m(torch.randn(2, 3, 5), m.init_state(4)), ValueError, r"state.memory: expected \[B, N, M\] with B = 2 as inputs has, or 1"),
        (lambda m: m(torch.randn(2, 3, 5), lengths=torch.tensor([3, 4])), ValueError, r"lengths: expected 1 \.\. T = 3, got 4 for sequence 1"),
        (lambda m: m(torch.randn(2, 3, 5), lengths=torch.tensor([0, 3])), ValueError, r"lengths: expected 1 \.\. T = 3, got 0 for sequence 0"),
        (lambda m: m.step(torch.randn(2, 3, 5), m.init_state(2)), ValueError, r"x: expected \[B, I\] = \[B, 5\], got \[2, 3, 5\]"),
        (lambda m: m.step(torch.randn(2, 4), m.init_state(2)), ValueError, r"inputs: expected \[B, T, I\] = \[B, T, 5\], got \[2, 1, 4\]"),
    ],
)  # fmt: skip
def test_bad_input_is_named(run, error, message):
    with pytest.raises(error, match=message):
        run(layer())


def test_says_what_it_is():
    assert repr(layer("many heads")) == (
        "NTM(5, 3, controller='lstm', hidden_size=6, num_layers=1, memory_rows=7, memory_width=4, "
        "read_heads=3, write_heads=2)"
    )
    assert "stalls" in inspect.getdoc(NTM)  # what a uniform start does


def test_imports_are_lazy():
    code = (
        "import sys, polyad, polyad.reference\n"
        "assert 'torch' not in sys.modules\n"
        "assert 'polyad.nn' not in sys.modules\n"
        "polyad.reference.ntm\n"
        "assert 'torch' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("rate", [1e2, 1e10, 1e30])
def test_a_learning_rate_that_is_too_high_is_said(rate):
    """Outputs are finite, or an error names what is not; never NaN in silence."""
    model, rng = layer(), np.random.default_rng(0)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    for _ in range(40):
        x = torch.from_numpy(rng.integers(0, 2, (4, 6, 5)).astype(np.float32))
        try:
            outputs, state = model(x)
        except ops.NotFiniteError as error:
            assert re.match(r"scan: sequence \d, step \d: not finite: \w", str(error))  # noqa: PT017
            return
        assert torch.isfinite(outputs).all()
        assert all(torch.isfinite(each).all() for each in state)
        torch.nn.functional.binary_cross_entropy_with_logits(outputs, x[..., :3]).backward()
        optimizer.step()
        optimizer.zero_grad()
