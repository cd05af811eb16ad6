"""The LSTM beside which the Neural Turing Machine was measured, with the layer's interface."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence


class LSTMState(NamedTuple):
    """What the baseline carries from one step to the next.

    Attributes:
        h: [layers, B, H].
        c: [layers, B, H].
    """

    h: Tensor
    c: Tensor


class SkipLSTM(nn.Module):
    """LSTM layers that all see the input and are all seen by the output (Graves, 2013).

    h_k = LSTM_k([x, 1, h_(k-1)])
    y = V [h_1, ..., h_n] + b

    The gates have one bias each, the weight of the constant input, and the first h and c are
    learned. So built, the numbers of parameters are those of the paper's tables: with 3 layers of
    256, and 10 inputs and 9 outputs for copy, 1,352,969.

    Args:
        input_size: I.
        output_size: O; outputs are linear.
        hidden_size: H, of every layer.
        num_layers: Layers.
    """

    def __init__(
        self, input_size: int, output_size: int, *, hidden_size: int = 256, num_layers: int = 3
    ) -> None:
        super().__init__()
        for name, value in (("hidden_size", hidden_size), ("num_layers", num_layers)):
            if value < 1:
                raise ValueError(f"{name}: expected at least 1, got {value}")
        self.input_size, self.output_size = input_size, output_size
        self.hidden_size, self.num_layers = hidden_size, num_layers
        self.layers = nn.ModuleList(
            nn.LSTM(
                input_size + 1 + (hidden_size if k else 0), hidden_size, bias=False,
                batch_first=True,
            )
            for k in range(num_layers)
        )  # fmt: skip
        self.output = nn.Linear(num_layers * hidden_size, output_size)
        self.initial_h = nn.Parameter(torch.zeros(num_layers, hidden_size))
        self.initial_c = nn.Parameter(torch.zeros(num_layers, hidden_size))

    def init_state(self, batch_size: int) -> LSTMState:
        """Return the state before the first step, for ``batch_size`` sequences."""
        return LSTMState(
            self.initial_h[:, None].expand(-1, batch_size, -1),
            self.initial_c[:, None].expand(-1, batch_size, -1),
        )

    def forward(
        self,
        inputs: Tensor,
        state: LSTMState | None = None,
        *,
        lengths: Tensor | None = None,
        trace: bool = False,
    ) -> tuple[Tensor, LSTMState]:
        """Run whole sequences.

        Args:
            inputs: [B, T, I].
            state: Where to begin; None: `init_state`.
            lengths: int64 [B] in 1 .. T; None: all have T steps.
            trace: There are no heads to look at; must be False.

        Returns:
            (outputs [B, T, O], state). Outputs are zero after a sequence's end, and its state is
            that of its last step.

        Raises:
            ValueError: A trace is asked for.
        """
        if trace:
            raise ValueError("trace: an LSTM has no heads to look at; expected False, got True")
        if state is None:
            state = self.init_state(inputs.shape[0])
        # Without its unused end a sequence costs what it is long.
        one = torch.ones_like(inputs[..., :1])
        x = torch.cat([inputs, one], dim=-1)
        order = None
        if lengths is not None:
            packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
            x, order = packed.data, packed
        below: list[Tensor] = []
        h, c = [], []
        for k, layer in enumerate(self.layers):
            seen = torch.cat([x, below[-1]], dim=-1) if k else x
            start = (state.h[k][None].contiguous(), state.c[k][None].contiguous())
            given = seen if order is None else _like(order, seen)
            found, (last_h, last_c) = layer(given, start)
            below.append(found if order is None else found.data)
            h.append(last_h[0])
            c.append(last_c[0])
        outputs = self.output(torch.cat(below, dim=-1))
        if order is not None:
            outputs, _ = pad_packed_sequence(
                _like(order, outputs), batch_first=True, total_length=inputs.shape[1]
            )
        return outputs, LSTMState(torch.stack(h), torch.stack(c))

    def step(self, x: Tensor, state: LSTMState) -> tuple[Tensor, LSTMState]:
        """Run one step, x [B, I] to outputs [B, O]."""
        outputs, state = self(x[:, None], state)
        return outputs[:, 0], state


def _like(order: PackedSequence, data: Tensor) -> Any:
    """Give ``data`` the places of ``order``."""
    return order._replace(data=data)
