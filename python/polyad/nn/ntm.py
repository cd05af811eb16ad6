"""The Neural Turing Machine as a layer: sequences in, outputs and a state out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from polyad._arrays import require_int
from polyad.ops._ntm_piece import MAX_WRITE_HEADS
from polyad.ops._ntm_scan import MOST_LAYERS, check_options
from polyad.ops.ntm import NTMParameters, NTMState, scan

__all__ = ["NTM"]

CONTROLLERS = ("lstm", "feedforward")
MEMORY_INITS = ("constant", "random", "learned")
WEIGHTS_INITS = ("one_hot", "learned", "uniform")
_HALVES = (torch.float16, torch.bfloat16)


class NTM(nn.Module):
    """A controller with heads on a memory of N rows of width M (Graves et al., 2014).

    Weights and arithmetic are float32, or float64; under autocast inputs of a half type are taken
    in the dtype of the weights. What the controller and the reads start from is learned, from zero.

    Args:
        input_size: I, features of a step.
        output_size: O; outputs are linear, apply a sigmoid or a loss on logits.
        controller: 'lstm' or 'feedforward' (tanh layers).
        hidden_size: H, of every layer of the controller.
        num_layers: Layers of the controller, 1 .. 8.
        memory_rows: N.
        memory_width: M.
        read_heads: R.
        write_heads: W, 1 .. 16.
        shift_width: S, odd: how far a head can move in a step is S // 2 rows either way.
        memory_init: How the memory starts: 'constant' (1e-6), 'random' (0.05 times normal, drawn
            once, kept in the state_dict) or 'learned' (a parameter that starts so).
        weights_init: How the weightings start: 'one_hot' (row 0), 'learned' (softmax of parameters
            that start normal) or 'uniform', which with a constant memory leaves all rows equal and
            stalls.
        read_first: Read before the step's writes; the paper reads afterwards.
        head_activation: Of keys and adds: 'linear' or 'tanh'.
        similarity: 'root' or 'sum': where epsilon stands, see `polyad.ops.ntm.content`.
        epsilon: Keeps the cosine similarity finite at zero. Training from constant rows is more
            reliable with 1e-2, which the presets of `polyad.recipes.ntm_settings` use.
        device: As everywhere in torch.
        dtype: As everywhere in torch.

    Raises:
        TypeError: A size that is not an int, an epsilon that is not a number.
        ValueError: A size or a name that is not among these.
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        controller: str = "lstm",
        hidden_size: int = 100,
        num_layers: int = 1,
        memory_rows: int = 128,
        memory_width: int = 20,
        read_heads: int = 1,
        write_heads: int = 1,
        shift_width: int = 3,
        memory_init: str = "constant",
        weights_init: str = "one_hot",
        read_first: bool = False,
        head_activation: str = "linear",
        similarity: str = "root",
        epsilon: float = 1e-6,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        for name, value, most in (
            ("input_size", input_size, None),
            ("output_size", output_size, None),
            ("hidden_size", hidden_size, None),
            ("num_layers", num_layers, MOST_LAYERS),
            ("memory_rows", memory_rows, None),
            ("memory_width", memory_width, None),
            ("read_heads", read_heads, None),
            ("write_heads", write_heads, MAX_WRITE_HEADS),
            ("shift_width", shift_width, None),
        ):
            require_int(name, value, 1, most)
        if shift_width % 2 == 0:
            raise ValueError(f"shift_width: expected an odd width, got {shift_width}")
        for name, word, known in (
            ("controller", controller, CONTROLLERS),
            ("memory_init", memory_init, MEMORY_INITS),
            ("weights_init", weights_init, WEIGHTS_INITS),
        ):
            if word not in known:
                raise ValueError(f"{name}: expected {' or '.join(map(repr, known))}, got {word!r}")
        check_options(similarity, head_activation, epsilon)
        self.input_size, self.output_size = input_size, output_size
        self.controller, self.hidden_size, self.num_layers = controller, hidden_size, num_layers
        self.memory_rows, self.memory_width = memory_rows, memory_width
        self.read_heads, self.write_heads = read_heads, write_heads
        self.shift_width = shift_width
        self.memory_init, self.weights_init = memory_init, weights_init
        self.read_first, self.head_activation = read_first, head_activation
        self.similarity, self.epsilon = similarity, epsilon

        def parameter(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(*shape, device=device, dtype=dtype))

        R, W, M, H, S = read_heads, write_heads, memory_width, hidden_size, shift_width
        lstm = controller == "lstm"
        gates = 4 * H if lstm else H
        for layer in range(num_layers):
            size = H if layer else input_size + R * M
            self.register_parameter(f"weight_ih_l{layer}", parameter(gates, size))
            self.register_parameter(f"bias_ih_l{layer}", parameter(gates))
            if lstm:
                self.register_parameter(f"weight_hh_l{layer}", parameter(gates, H))
                self.register_parameter(f"bias_hh_l{layer}", parameter(gates))
        self._layered = [
            [f"{name}_l{layer}" for layer in range(num_layers if lstm or "ih" in name else 0)]
            for name in NTMParameters._fields[:4]
        ]
        P = (R + W) * (M + 3 + S) + W * 2 * M
        self.head_weight, self.head_bias = parameter(P, H), parameter(P)
        self.output_weight = parameter(output_size, H + R * M)
        self.output_bias = parameter(output_size)

        states = num_layers if lstm else 0
        # with a batch of one, as `scan` takes a state that all sequences share
        self.initial_h, self.initial_c = parameter(states, 1, H), parameter(states, 1, H)
        self.initial_reads = parameter(1, R, M)
        memory = torch.empty(1, memory_rows, M, device=device, dtype=dtype)
        if memory_init == "learned":
            self.initial_memory = nn.Parameter(memory)
        else:
            self.register_buffer("initial_memory", memory)
        weights = torch.empty(1, R + W, memory_rows, device=device, dtype=dtype)
        if weights_init == "learned":
            self.initial_weights = nn.Parameter(weights)  # logits
        else:
            self.register_buffer("initial_weights", weights)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw new weights: the controller's as torch.nn.LSTM does, heads and output by Xavier."""
        bound = self.hidden_size**-0.5
        for name, parameter in self.named_parameters():
            if name.startswith(("weight_ih", "weight_hh", "bias_ih", "bias_hh")):
                parameter.uniform_(-bound, bound)
        nn.init.xavier_uniform_(self.head_weight, gain=1.4)
        nn.init.normal_(self.head_bias, std=0.01)
        nn.init.xavier_uniform_(self.output_weight)
        nn.init.zeros_(self.output_bias)
        for start in (self.initial_h, self.initial_c, self.initial_reads):
            nn.init.zeros_(start)
        if self.memory_init == "constant":
            self.initial_memory.fill_(1e-6)
        else:
            self.initial_memory.normal_(std=0.05)
        if self.weights_init == "learned":
            self.initial_weights.normal_()
        elif self.weights_init == "one_hot":
            self.initial_weights.zero_()[..., 0] = 1
        else:
            self.initial_weights.fill_(1 / self.memory_rows)

    def native_parameters(self) -> NTMParameters:
        """Return the weights as `polyad.ops.ntm.scan` takes them."""
        own = self._parameters  # attributes of a module take ten times as long to look up

        def find(name: str) -> Tensor:
            found = own.get(name)
            if found is None:  # pruned or parametrized
                found = getattr(self, name)
            return found

        ih, hh, bias_ih, bias_hh = (tuple(map(find, names)) for names in self._layered)
        rest = map(find, NTMParameters._fields[4:])
        return NTMParameters(ih, hh, bias_ih, bias_hh, *rest)

    def _shared_state(self) -> NTMState:
        weights: Tensor = self.initial_weights
        if self.weights_init == "learned":
            weights = torch.softmax(weights, dim=-1)
        memory, reads = self.initial_memory, self.initial_reads
        return NTMState(memory, reads, weights, self.initial_h, self.initial_c)

    def init_state(self, batch_size: int) -> NTMState:
        """Return the state before the first step, for ``batch_size`` sequences."""
        memory, reads, weights, h, c = self._shared_state()
        return NTMState(
            memory.expand(batch_size, -1, -1),
            reads.expand(batch_size, -1, -1),
            weights.expand(batch_size, -1, -1),
            h.expand(-1, batch_size, -1),
            c.expand(-1, batch_size, -1),
        )

    def forward(
        self,
        inputs: Tensor,
        state: NTMState | None = None,
        *,
        lengths: Tensor | None = None,
        trace: bool = False,
    ) -> Any:
        """Run whole sequences.

        Args:
            inputs: [B, T, I].
            state: Where to begin; None: `init_state`.
            lengths: int64 [B] in 1 .. T; None: all have T steps.
            trace: Also return what the heads did.

        Returns:
            (outputs [B, T, O], state), with a `polyad.ops.ntm.NTMTrace` as third if asked for.
            Outputs are zero after a sequence's end, and its state is that of its last step.

        Raises:
            TypeError: A wrong kind or dtype.
            ValueError: A wrong shape, device or value.
            polyad.ops.ntm.NotFiniteError: A sequence ran into infinity or NaN (on the CPU).
        """
        if isinstance(inputs, Tensor):
            if inputs.shape[2:] != (self.input_size,):
                raise ValueError(
                    f"inputs: expected [B, T, I] = [B, T, {self.input_size}], "
                    f"got {list(inputs.shape)}"
                )
            if inputs.dtype in _HALVES and torch.is_autocast_enabled(inputs.device.type):
                inputs = inputs.to(self.head_bias.dtype)
        if state is None:
            state = self._shared_state()
        return scan(
            inputs,
            state,
            self.native_parameters(),
            lengths=lengths,
            trace=trace,
            read_first=self.read_first,
            head_activation=self.head_activation,
            similarity=self.similarity,
            epsilon=self.epsilon,
        )

    def step(self, x: Tensor, state: NTMState) -> tuple[Tensor, NTMState]:
        """Run one step, x [B, I] to outputs [B, O]; exactly what a sequence of them gives."""
        if x.dim() != 2:
            raise ValueError(f"x: expected [B, I] = [B, {self.input_size}], got {list(x.shape)}")
        outputs, state = self(x[:, None], state)
        return outputs[:, 0], state

    def extra_repr(self) -> str:
        """Name the sizes, as the layers of torch do."""
        return (
            f"{self.input_size}, {self.output_size}, controller={self.controller!r}, "
            f"hidden_size={self.hidden_size}, num_layers={self.num_layers}, "
            f"memory_rows={self.memory_rows}, memory_width={self.memory_width}, "
            f"read_heads={self.read_heads}, write_heads={self.write_heads}"
        )
