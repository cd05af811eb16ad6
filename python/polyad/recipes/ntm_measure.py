"""Measure a Neural Turing Machine in a run folder: bits on fresh and on longer sequences."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyad.data.ntm_tasks import Batch, NGrams, Task, task
from polyad.report import ntm as figures
from polyad.report.look import require_matplotlib
from polyad.report.ntm import Record
from polyad.report.ntm_page import write_page
from polyad.run import Run, RunError

if TYPE_CHECKING:
    from polyad.models import NTM

WEIGHTS = "model.safetensors"
MEASURE_SEED, SHOW_SEED = 0, 2
"""Of held-out sequences; those that decide when training stops have another, see ntm_training."""

SEQUENCES = 1000
LONGER_SEQUENCES = 100
TABLE = "longer"
AT_ONCE = 50
"""Sequences that run together: memory is B N M numbers a step."""

CANDIDATES = 32
SHOWN_STEPS = 64
SHOWN_NUMBERS = 1_000_000
"""The page steps through sequences of at most so many steps times rows times columns of memory."""


def load_task(run: Run) -> Task:
    """Return the task that ``run`` was trained on.

    Raises:
        RunError: settings.json names none.
    """
    kept = run.setting("task", dict)
    try:
        return task(kept["name"], **kept["ranges"])
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{run.file('settings.json')}: damaged (task: {error})") from error


def load_model(run: Run) -> NTM:
    """Load the model of ``run``, as far as it has been trained.

    Raises:
        RunError: There is no checkpoint, or it is damaged.
    """
    from polyad.models import NTM

    path = run.file(WEIGHTS)
    if not path.is_file():
        raise RunError(f"{run.path}: training stopped before its first checkpoint; train again")
    try:
        return NTM.load(path)
    except ValueError as error:
        raise RunError(f"{path}: damaged ({error}); train again") from error


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` measured.

    Attributes:
        metrics: As written to metrics.json.
        head: Of the table.
        rows: A row for each size of sequences.
        summary: The figures that matter most, in a line.
        where: The file that holds the metrics.
        records: The sequences that the page shows.
    """

    metrics: dict[str, float]
    head: list[str]
    rows: list[list[str]]
    summary: str
    where: Path
    records: list[Record] = field(default_factory=list)


HEAD = [
    "sequences",
    "of them",
    "bits each",
    "wrong bits each",
    "of target bits",
    "without an error",
]


def evaluate(
    run: Run,
    *,
    sequences: int = SEQUENCES,
    seed: int = MEASURE_SEED,
    ranges: Mapping[str, int] | None = None,
    model: NTM | None = None,
) -> Evaluation:
    """Measure a run on fresh sequences, then on longer ones; write the figures and the page.

    bits = cross-entropy summed over the target bits of a sequence, in bits; a bit is wrong if its
    probability is on the other side of 1/2.

    Args:
        run: The run.
        sequences: Fresh sequences of the sizes that it was trained on; of each longer size a tenth
            as many.
        seed: Which ones.
        ranges: Other sizes, by the names of the task's ranges; their figures go to
            metrics-NAME.json, and the rest stays as it is.
        model: The run's model, if it is loaded.

    Raises:
        RunError: No checkpoint, or it is damaged.
        ValueError: The task has no such range; the outputs are not finite.
    """
    require_matplotlib()
    trained = load_task(run)
    model = model or load_model(run)
    model.eval()
    if ranges:
        name = ",".join(f"{key}={value}" for key, value in ranges.items())
        asked = task(trained.name, **{**trained.settings(), **ranges})
        if (asked.input_size, asked.output_size) != (trained.input_size, trained.output_size):
            raise ValueError(f"{name}: the model was made for {_sizes(trained)}, not for others")
        metrics, row = _measure(model, asked, name, sequences, seed)
        where = run.write_metrics_of(name, metrics)
        return Evaluation(metrics, HEAD, [row], _summary(metrics, trained.name), where)

    metrics, row = _measure(model, trained, "as trained", sequences, seed)
    rows = [row]
    few = max(1, sequences * LONGER_SEQUENCES // SEQUENCES)
    for label, longer in trained.longer():
        found, row = _measure(model, longer, label, few, seed)
        rows.append(row)
        slug = re.sub(r"[^a-z0-9]+", "_", label.lower())
        metrics |= {f"{key}_{slug}": value for key, value in found.items()}
    run.add_metrics(**metrics)
    run.write_table(TABLE, HEAD, rows)
    records = show(model, trained)
    draw(run, model, trained, records)
    write_page(run, records)
    summary = _summary(metrics, trained.name)
    return Evaluation(metrics, HEAD, rows, summary, run.file("metrics.json"), records)


def measured(run: Run) -> tuple[list[str], list[list[str]]]:
    """Return the head and the rows of the last evaluation's table."""
    return run.table(TABLE) or (HEAD, [])


def _sizes(of: Task) -> str:
    return f"{of.input_size} inputs and {of.output_size} outputs"


def _summary(metrics: Mapping[str, float], name: str) -> str:
    text = (
        f"{metrics['sequences_test']:,} fresh sequences of {name}: "
        f"{metrics['bits_per_sequence']:.4g} bits and {metrics['wrong_bits_per_sequence']:.4g} "
        f"wrong bits each"
    )
    if "bits_per_sequence_optimal" in metrics:
        text += f"; the best estimator pays {metrics['bits_per_sequence_optimal']:.4g} bits"
    return text


def _measure(
    model: NTM, of: Task, label: str, sequences: int, seed: int
) -> tuple[dict[str, float], list[str]]:
    """Return flat figures, and a row of the table."""
    batch = of.held_out(sequences, seed=seed)
    try:
        bits, wrong = model.measure(batch, at_once=AT_ONCE)
    except FloatingPointError as error:
        raise ValueError(f"{label}: {error}; train again") from error
    if not bool(bits.isfinite().all()):
        raise ValueError(f"{label}: the bits of a sequence are {float(bits.max())}; train again")
    counted = float(batch.mask.sum() * of.output_size) / sequences
    metrics: dict[str, float] = {
        "sequences_test": sequences,
        "bits_per_sequence": float(bits.double().mean()),
        "wrong_bits_per_sequence": float(wrong.double().mean()),
        "target_bits_per_sequence": counted,
        "sequences_without_an_error_percent": 100 * float((wrong == 0).double().mean()),
    }
    if isinstance(of, NGrams):
        metrics["bits_per_sequence_optimal"] = float(of.optimal_bits(batch).mean())
    row = [
        label,
        f"{sequences:,}",
        _short(metrics["bits_per_sequence"]),
        _short(metrics["wrong_bits_per_sequence"]),
        f"{counted:,.0f}",
        f"{metrics['sequences_without_an_error_percent']:.0f} %",
    ]
    return metrics, row


def _short(value: float) -> str:
    return "0" if value == 0 else f"{value:.4f}" if value < 10 else f"{value:,.1f}"


def record(model: NTM, batch: Batch, sequence: int, label: str) -> Record:
    """Run one sequence step by step and keep what its heads and its memory did.

    Args:
        model: The model.
        batch: Sequences.
        sequence: Which of them.
        label: What it is called on the page.
    """
    import torch

    steps = int(batch.lengths[sequence])
    inputs, targets = batch.inputs[sequence, :steps], batch.targets[sequence, :steps]
    layer: Any = model.layer
    with torch.no_grad():
        state = layer.init_state(1)
        outputs, weights, memory = [], [], []
        with_memory = hasattr(state, "memory")
        if with_memory:
            memory.append(state.memory[0].clone())
        for x in inputs:
            output, state = layer.step(x[None], state)
            outputs.append(torch.sigmoid(output[0]))
            if with_memory:
                weights.append(state.weights[0].clone())
                memory.append(state.memory[0].clone())
    return Record(
        label=label,
        inputs=inputs.numpy(),
        targets=targets.numpy(),
        outputs=torch.stack(outputs).numpy(),
        mask=batch.mask[sequence, :steps].numpy(),
        weights=torch.stack(weights).numpy() if with_memory else None,
        memory=torch.stack(memory).numpy() if with_memory else None,
        read_heads=int(getattr(layer, "read_heads", 0)),
    )


def show(model: NTM, of: Task) -> list[Record]:
    """Record the sequences that the page shows: one of the sizes trained on, and longer ones."""
    batch = of.held_out(CANDIDATES, seed=SHOW_SEED)
    lengths = batch.lengths.tolist()
    fitting = [i for i, length in enumerate(lengths) if length <= SHOWN_STEPS]
    chosen = max(fitting, key=lengths.__getitem__) if fitting else lengths.index(min(lengths))
    records = [record(model, batch, chosen, "a size it was trained on")]
    for label, longer in of.longer():
        if longer == of:
            continue
        records.append(record(model, longer.held_out(1, seed=SHOW_SEED), 0, label))
    return records


def draw(run: Run, model: NTM, of: Task, records: list[Record]) -> None:
    """Draw the pictures that training and evaluating leave in the run."""
    first = records[0]
    if of.output_size > 1:
        run.save_picture("sequence", figures.sequence(first))
        most = int(of.held_out(SEQUENCES, seed=SHOW_SEED).lengths.max())
        longer = [r for r in records[1:] if len(r.inputs) > most]
        if longer:
            run.save_picture("longer", figures.longer(longer))
    else:
        run.save_picture("sequence", figures.predicted_bits(first))
    if first.weights is not None:
        run.save_picture("heads", figures.heads(first))
        run.save_picture("memory", figures.memory(first))
    rows = run.history("sequences", "bits_per_sequence", "bits_per_sequence_train")
    if len(rows) > 1:
        best = run.metrics().get("bits_per_sequence_optimal")
        run.save_picture("learning", figures.learning(rows, of.name, best))
