"""Lightning trains a Neural Turing Machine: its steps, its checkpoints, its curve, how it stops."""

from __future__ import annotations

import logging
import math
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from torchmetrics import MeanMetric

from polyad._files import written_whole
from polyad.data.ntm_tasks import Batch, Task
from polyad.models.ntm import NTM
from polyad.recipes.ntm_settings import Preset
from polyad.run import Run, RunError

__all__ = ["COLUMNS", "Plan", "TrainingError", "fit", "is_main_process", "read_checkpoint"]

CHECKPOINT, WEIGHTS, LOGS = "model.ckpt", "model.safetensors", "logs"
CHECKPOINT_FORMAT_VERSION = 1
CHECKPOINT_SECONDS = 5.0
"""A kill costs at most so much training, and the step under way."""

STRETCH_SECONDS, LONGEST_STRETCH = 0.02, 64
"""Steps that go together: so many seconds of them, and at most so many."""

OPTIMISERS = ("graves-rmsprop", "adam")
PROGRESS_SECONDS = 0.1
VALIDATION_SEED = 1
"""Of the held-out sequences that decide when to stop; `evaluate` measures on others."""

AT_ONCE = 100
"""Held-out sequences in a batch."""

COLUMNS = (
    "step",
    "sequences",
    "bits_per_sequence_train",
    "bits_per_sequence",
    "wrong_bits_per_sequence",
    "gradient_norm_largest",
    "seconds",
)
Progress = Callable[[Mapping[str, Any]], None]


class TrainingError(RuntimeError):
    """A number of the training is not finite; the message names it, and the step."""


class Stopped(Exception):
    """Training stopped between two steps because someone asked."""


@dataclass(frozen=True)
class Plan:
    """How a model is trained; `settings` goes to settings.json and comes back from it.

    Attributes:
        optimiser: 'graves-rmsprop' or 'adam'.
        lr: Learning rate.
        clip: The norm of the gradient is cut to it.
        batch: Sequences a step.
        sequences: When to stop at the latest.
        cooldown: Share of the sequences, the last, over which the learning rate falls to zero.
        beta2: Adam's memory of squared gradients.
        seed: Of the first weights and of the sequences: step i draws from (seed, i).
        validate_every: Sequences between two rows of the curve.
        validation: Held-out sequences on which a row is measured. On few of them the target is met
            by a model that still fails at one sequence in a hundred.
        target_bits: Stop when two rows in a row are below it; 0: never.
    """

    optimiser: str = "graves-rmsprop"
    lr: float = 1e-4
    clip: float = 10.0
    batch: int = 1
    sequences: int = 20_000
    cooldown: float = 0.0
    beta2: float = 0.999
    seed: int = 0
    validate_every: int = 1000
    validation: int = 1000
    target_bits: float = 0.01

    def __post_init__(self) -> None:
        if self.optimiser not in OPTIMISERS:
            raise ValueError(
                f"optimiser: expected {' or '.join(OPTIMISERS)}, got {self.optimiser!r}"
            )
        for name in ("batch", "sequences", "validate_every", "validation"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}: expected an integer of at least 1, got {value!r}")
        for name in ("lr", "clip"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise ValueError(f"{name}: expected a number above 0, got {value}")
        if not 0 <= self.cooldown <= 1:
            raise ValueError(f"cooldown: expected 0 .. 1, got {self.cooldown}")
        if not 0 <= self.beta2 < 1:
            raise ValueError(f"beta2: expected at least 0 and below 1, got {self.beta2}")
        if not 0 <= self.target_bits < math.inf:
            raise ValueError(f"target_bits: expected at least 0, got {self.target_bits}")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed: expected 0 .. 2**63 - 1, got {self.seed}")

    @property
    def steps(self) -> int:
        """Steps in all, if the target is not met before."""
        return -(-self.sequences // self.batch)

    @property
    def interval(self) -> int:
        """Steps between two rows of the curve."""
        return max(1, round(self.validate_every / self.batch))

    def met(self, rows: Sequence[Mapping[str, float]]) -> bool:
        """Whether the last two rows are below the target."""
        last = [row["bits_per_sequence"] for row in rows[-2:]]
        return len(last) == 2 and max(last) < self.target_bits


class _Stretches:
    """The steps of one epoch, which ends with the next row of the curve, in short stretches.

    To Lightning a stretch is a batch. What it does around a batch would add a fifth to a step of a
    small model, so as many steps as fit in `STRETCH_SECONDS` go together. The epoch has no length:
    a training that resumes in the middle of one has a shorter one first.
    """

    def __init__(self, training: Training) -> None:
        self._training = training

    def __iter__(self) -> Iterator[range]:
        training, plan = self._training, self._training.plan
        at = training.done
        end = min(plan.steps, (at // plan.interval + 1) * plan.interval)
        while at < end:
            yield range(at, at := min(end, at + training.stretch))


class _HeldOut:
    """The held-out sequences, in batches."""

    def __init__(self, training: Training) -> None:
        every = training.task.held_out(training.plan.validation, seed=VALIDATION_SEED)
        self._training = training
        self._parts = [
            every.part(begin, begin + AT_ONCE) for begin in range(0, len(every.lengths), AT_ONCE)
        ]

    def __iter__(self) -> Iterator[Batch]:
        for part in self._parts:
            yield self._training.share(part)

    def __len__(self) -> int:
        return len(self._parts)


class Training(LightningModule):
    """A model, its task and its plan, as Lightning trains them.

    Args:
        model: What is trained.
        task: Where the sequences come from.
        plan: How.
        state: What `read_checkpoint` gave, to go on from there.

    Attributes:
        done: Steps that the weights have seen.
        losses: Of the steps since the last row, summed.
        norm: The largest norm of a gradient since the last row, before it was cut.
        counted: Steps since the last row.
        stretch: Steps that the next batch of Lightning's holds; no result depends on it.
        asked: Set to stop after the step under way.
    """

    def __init__(
        self, model: NTM, task: Task, plan: Plan, state: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__()
        self.automatic_optimization = False  # one hook less a step, and a look at the gradients
        self.model, self.task, self.plan = model, task, plan
        self.held_out_bits, self.held_out_wrong = MeanMetric(), MeanMetric()
        self.done, self.losses, self.norm, self.counted = 0, 0.0, 0.0, 0
        self.stretch, self.asked = 1, Event()
        self._optimizer_state = None
        if state is not None:
            self.load_state_dict(state["state_dict"])
            self._optimizer_state = state["optimizer_states"][0]
            kept = state["polyad"]
            self.done, self.counted = kept["step"], kept["counted"]
            self.losses, self.norm = kept["losses"], kept["norm"]
        self._parameters_list = list(model.parameters())
        self._preset = Preset(
            optimiser=plan.optimiser, lr=plan.lr, cooldown=plan.cooldown, beta2=plan.beta2
        )

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Make the optimiser, in the state in which it was."""
        optimiser = self._preset.optimizer(self.model)
        if self._optimizer_state is not None:
            optimiser.load_state_dict(self._optimizer_state)
        return optimiser

    def share(self, batch: Batch) -> Batch:
        """Return the sequences of a batch that this process takes: every world-th."""
        world = self.trainer.world_size
        if world == 1:
            return batch
        return Batch(*(tensor[self.trainer.global_rank :: world] for tensor in batch))

    def transfer_batch_to_device(self, batch: Any, device: torch.device, index: int) -> Any:
        """Move a batch of sequences; the numbers of a stretch stay."""
        if isinstance(batch, range) or device.type == "cpu":
            return batch
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in batch))

    def training_step(self, batch: range, index: int) -> None:
        """Take the steps of a stretch; a stop that is asked for ends it.

        Raises:
            TrainingError: A number is not finite; the step under way changes no weight.
        """
        began, first = time.perf_counter(), self.done
        for step in batch:
            drawn = self.task.batch(self.plan.seed, step, self.plan.batch)
            self._step(self.transfer_batch_to_device(self.share(drawn), self.device, index))
            if self.asked.is_set():
                break
        each = (time.perf_counter() - began) / (self.done - first)
        if self.trainer.world_size == 1:  # processes meet once in a batch of Lightning's
            self.stretch = max(1, min(LONGEST_STRETCH, int(STRETCH_SECONDS / each)))

    def _step(self, batch: Batch) -> None:
        optimiser: Any = self.optimizers(use_pl_optimizer=False)
        optimiser.zero_grad()
        try:
            loss = self.model.loss(batch)
            self.manual_backward(loss)
        except (FloatingPointError, ValueError) as error:
            raise self._failure(self._weights_not_finite() or str(error)) from error
        norm = torch.nn.utils.clip_grad_norm_(self._parameters_list, self.plan.clip)
        value, size = torch.stack((loss.detach(), norm)).tolist()
        if not (math.isfinite(value) and math.isfinite(size)):
            raise self._failure(self._what_is_not_finite(batch, value, size))
        self._preset.set_rate(optimiser, self.done, self.plan.steps)
        try:
            optimiser.step()
        except RuntimeError as error:  # lr times something is beyond what a number can be
            raise self._failure(f"the optimiser's step failed: {error}") from error
        self.done += 1
        self.counted += 1
        self.losses += value
        self.norm = max(self.norm, size)

    def _failure(self, found: str) -> TrainingError:
        return TrainingError(
            f"step {self.done + 1:,}: {found}; try a learning rate below {self.plan.lr:g}"
        )

    def _weights_not_finite(self) -> str | None:
        for name, parameter in self.model.named_parameters():
            if not bool(parameter.isfinite().all()):
                return f"the weights {name.removeprefix('layer.')} are not finite"
        return None

    def _what_is_not_finite(self, batch: Batch, loss: float, norm: float) -> str:
        """Name the first quantity of this step that is not finite."""
        found = self._weights_not_finite()
        if found is not None:
            return found
        with torch.no_grad():
            logits = self.model.logits(batch)
        wrong = (~logits.isfinite()).any(-1).nonzero()
        if len(wrong):
            sequence, at = wrong[wrong[:, 1].argmin()].tolist()
            value = logits[sequence, at][~logits[sequence, at].isfinite()][0].item()
            return f"the output at time step {at} of sequence {sequence} is {value}"
        if not math.isfinite(loss):
            return f"the loss is {loss}, from finite outputs up to {logits.abs().max():.3g}"
        return f"the norm of the gradient is {norm}, while the loss is {loss:.6g} bits"

    def validation_step(self, batch: Batch, index: int) -> None:
        """Measure held-out sequences."""
        try:
            bits, wrong = self.model.measure(batch)
        except (FloatingPointError, ValueError) as error:
            raise self._failure(self._weights_not_finite() or str(error)) from error
        self.held_out_bits.update(bits)
        self.held_out_wrong.update(wrong)

    def row(self, seconds: float) -> dict[str, float]:
        """Return the next row of the curve, and begin the one after it."""
        bits, wrong = float(self.held_out_bits.compute()), float(self.held_out_wrong.compute())
        if not math.isfinite(bits):
            raise self._failure(f"the bits of held-out sequences are {bits}")
        train = torch.tensor(self.losses / max(1, self.counted), dtype=torch.float64)
        train = self.trainer.strategy.reduce(train, reduce_op="mean")
        values = (
            self.done,
            self.done * self.plan.batch,
            float(train),
            bits,
            wrong,
            self.norm,
            seconds,
        )
        self.held_out_bits.reset()
        self.held_out_wrong.reset()
        self.losses, self.norm, self.counted = 0.0, 0.0, 0
        return dict(zip(COLUMNS, values, strict=True))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what Lightning does not know.

        There is no state of random numbers: step i draws from Philox(seed, i), and nothing else
        is random. Lightning counts the steps of its own wrapper of the optimiser, which costs as
        much as the optimiser and is left out.
        """
        checkpoint["global_step"] = self.done
        checkpoint["polyad"] = {
            "format_version": CHECKPOINT_FORMAT_VERSION,
            "step": self.done,
            "losses": self.losses,
            "norm": self.norm,
            "counted": self.counted,
        }


class _Keeper(Callback):
    """Keeps the curve and the checkpoints of a run, shows progress, stops when asked.

    The folder is begun with the first checkpoint: what fails before that writes nothing, and a run
    that is to be replaced stays as it was. The loggers are not the trainer's, which would begin
    theirs at once and be asked at every step.
    """

    def __init__(
        self,
        run: Run,
        training: Training,
        rows: list[dict[str, float]],
        on_progress: Progress | None,
    ) -> None:
        self.run, self.training, self.rows = run, training, rows
        self._on_progress = on_progress if is_main_process() else None
        self._begun = run.begun  # of which the other processes hear only through this
        self._seconds = rows[-1]["seconds"] if rows else 0.0  # of training alone
        self._loggers: list[Logger] = []
        self._since = self._saved = time.perf_counter()
        self._shown = -math.inf
        self._on_sigterm = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count the time; SIGTERM asks for a stop again, where Lightning would exit."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._on_sigterm)
        self._since = self._saved = time.perf_counter()
        if self.run.begun:
            self._begin_logs()

    def on_train_batch_end(self, trainer: Trainer, *step: Any) -> None:
        """Save and show when it is time; stop if that was asked for."""
        if self._row_is_due():
            return  # a checkpoint here would lack the row that is measured next
        now = time.perf_counter()
        if now - self._shown > PROGRESS_SECONDS:
            self._shown = now
            self._show(now)
        self._save_or_stop(trainer, now)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add a row to the curve."""
        training = self.training
        now = time.perf_counter()
        self._seconds += now - self._since
        self._since = now
        self.rows.append(training.row(self._seconds))
        for logger in self._loggers:
            _log(logger, self.rows[-1])
        self._show(now)
        trainer.should_stop = training.done >= training.plan.steps or training.plan.met(self.rows)
        if trainer.should_stop or not self._begun:
            self.save(trainer)
        if not trainer.should_stop:
            self._save_or_stop(trainer, now)

    def _row_is_due(self) -> bool:
        plan, done = self.training.plan, self.training.done
        return done >= plan.steps or done % plan.interval == 0

    def _save_or_stop(self, trainer: Trainer, now: float) -> None:
        """Save if it is time; save and stop if that was asked for."""
        asked, due = self.training.asked.is_set(), now - self._saved > CHECKPOINT_SECONDS
        if trainer.world_size > 1:  # all of them must do the same
            asked = trainer.strategy.reduce_boolean_decision(asked, all=False)
            due = trainer.strategy.broadcast(due)
        if asked or due:
            self.save(trainer)
        if asked:
            raise Stopped

    def save(self, trainer: Trainer) -> None:
        """Write history, weights, checkpoint, in this order: a history that runs ahead is cut."""
        self._saved, self._begun = time.perf_counter(), True
        if trainer.is_global_zero and not self.run.begun:
            self.run.begin()
            self._begin_logs()
        if trainer.is_global_zero:
            self.run.write_history(self.rows)
            self.training.model.save(self.run.file(WEIGHTS))
        with _on_main(trainer, self.run.file(CHECKPOINT)) as path:
            trainer.save_checkpoint(path)

    def _begin_logs(self) -> None:
        """Make loggers, and log the rows that are there: a run that resumes has one whole log."""
        if not is_main_process():
            return
        self.run.clear_logs()
        place: dict[str, Any] = {"save_dir": self.run.path, "name": LOGS, "version": ""}
        self._loggers = [
            CSVLogger(**place, flush_logs_every_n_steps=1),
            TensorBoardLogger(**place, default_hp_metric=False),
        ]
        for row in self.rows:
            for logger in self._loggers:
                _log(logger, row)

    def close(self) -> None:
        """Write what the loggers still hold."""
        for logger in self._loggers:
            logger.finalize("success")

    def _show(self, now: float) -> None:
        if self._on_progress is None:
            return
        training, plan = self.training, self.training.plan
        self._on_progress(
            {
                "stage": "train",
                "sequences": training.done * plan.batch,
                "total": plan.steps * plan.batch,
                "seconds": self._seconds + now - self._since,
                "bits_train": training.losses / training.counted if training.counted else None,
                "bits": self.rows[-1]["bits_per_sequence"] if self.rows else None,
            }
        )


def _log(logger: Logger, row: Mapping[str, float]) -> None:
    values = {name: value for name, value in row.items() if name != "step"}
    logger.log_metrics(values, step=int(row["step"]))


@contextmanager
def _on_main(trainer: Trainer, path: Path) -> Iterator[Path]:
    """Yield where to write: every process calls Lightning's save, the main one writes."""
    if not trainer.is_global_zero:
        yield path
        return
    with written_whole(path) as temporary:
        yield temporary


def is_main_process() -> bool:
    """Whether this process writes the run's files; the others of a training only compute."""
    return int(getattr(rank_zero_only, "rank", 0) or 0) == 0


def read_checkpoint(run: Run) -> dict[str, Any]:
    """Read the checkpoint of a run.

    Raises:
        RunError: There is none, it is damaged, or of another format.
    """
    path = run.file(CHECKPOINT)
    if not path.is_file():
        raise RunError(f"{run.path}: training stopped before its first checkpoint; train again")
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        version = content["polyad"]["format_version"]
    except Exception as error:  # whatever torch and pickle raise for bytes that are none
        raise RunError(f"{path}: damaged ({type(error).__name__}); train again") from error
    if version != CHECKPOINT_FORMAT_VERSION:
        raise RunError(
            f"{path}: has format_version {version}, this polyad reads {CHECKPOINT_FORMAT_VERSION}"
        )
    return content


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's advice off the terminal, and its warnings about what is meant so."""
    names = ("lightning.pytorch", "lightning.fabric", "pytorch_lightning", "lightning_fabric")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def fit(
    run: Run,
    training: Training,
    asked: Event,
    *,
    rows: list[dict[str, float]],
    accelerator: str = "cpu",
    devices: int = 1,
    on_progress: Progress | None = None,
) -> list[dict[str, float]]:
    """Train until the plan says so, keeping checkpoints, curve and logs in ``run``.

    Args:
        run: Its folder is begun with the first checkpoint.
        training: What, and from where on.
        asked: Set from outside to stop after the step under way.
        rows: The curve so far.
        accelerator: Of Lightning's trainer.
        devices: Processes; each takes its share of every batch.
        on_progress: Called several times a second.

    Returns:
        The whole curve.

    Raises:
        TrainingError: A number was not finite.
        Stopped: A stop was asked for; a checkpoint was written.
        RunError: The accelerator is not there.
    """
    training.asked = asked
    keeper = _Keeper(run, training, rows, on_progress)
    with _quiet():
        try:
            trainer = Trainer(
                accelerator=accelerator,
                devices=devices,
                strategy="auto" if devices == 1 else "ddp",
                max_epochs=-1,
                logger=False,
                callbacks=[keeper],
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                num_sanity_val_steps=0,
            )
        except Exception as error:
            raise RunError(f"accelerator {accelerator!r}, {devices} devices: {error}") from error
        training.trainer = trainer
        try:
            trainer.fit(training, _Stretches(training), _HeldOut(training))
        except SystemExit:  # what Lightning makes of a KeyboardInterrupt
            raise KeyboardInterrupt from None
        finally:
            keeper.close()
    return keeper.rows
