"""How Lightning trains our models: steps, checkpoints, the curve, how it stops, what fails by name.

A model's own module, such as ntm_training, says in a subclass of `Training` what a step is.
"""

from __future__ import annotations

import logging
import math
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, nn

from polyad._files import written_whole
from polyad.run import Run, RunError

__all__ = ["Stopped", "Training", "TrainingError", "fit", "is_main_process", "read_checkpoint"]

CHECKPOINT, WEIGHTS, LOGS = "model.ckpt", "model.safetensors", "logs"
CHECKPOINT_FORMAT_VERSION = 1
CHECKPOINT_SECONDS = 5.0
"""A kill costs at most so much training, and the step under way; more where writing is slow."""

SAVING_SHARE = 0.05
"""Of the time, at most, goes to writing checkpoints."""

STRETCH_SECONDS, LONGEST_STRETCH = 0.02, 64
"""Steps that go together: so many seconds of them, and at most so many."""

PROGRESS_SECONDS = 0.1
Progress = Callable[[Mapping[str, Any]], None]


class TrainingError(RuntimeError):
    """A number of the training is not finite; the message names it, and the step."""


class Stopped(Exception):
    """Training stopped between two steps because someone asked."""


class Training(LightningModule):
    """A model and how it is trained, as Lightning sees them; subclasses say what a step is.

    Step i's batch must be a function of settings and i, and nothing else may be random: then a
    checkpoint holds no state of random numbers, and a training that resumes gives the same numbers.

    Args:
        model: What is trained; it has ``save(path)``.
        lr: Of the optimiser, for messages.
        state: What `read_checkpoint` gave, to go on from there.

    Attributes:
        done: Steps that the weights have seen.
        losses: Of the steps since the last row, summed.
        norm: The largest norm of a gradient since the last row, before it was cut.
        counted: Steps since the last row.
        clip: The norm of the gradient is cut to it.
        stretch: Steps that the next batch of Lightning's holds; no result depends on it.
        asked: Set to stop after the step under way.
    """

    clip = math.inf

    def __init__(self, model: nn.Module, lr: float, state: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.automatic_optimization = False  # one hook less a step, and a look at the gradients
        self.model = model
        self.done, self.losses, self.norm, self.counted = 0, 0.0, 0.0, 0
        self.stretch, self.asked = 1, Event()
        self._lr = lr
        self._optimizer_state = None
        if state is not None:
            self.load_state_dict(state["state_dict"])
            self._optimizer_state = state["optimizer_states"][0]
            kept = state["polyad"]
            self.done, self.counted = kept["step"], kept["counted"]
            self.losses, self.norm = kept["losses"], kept["norm"]
        self._parameters_list = list(model.parameters())

    @property
    def steps(self) -> int:
        """Steps in all."""
        raise NotImplementedError

    @property
    def interval(self) -> int:
        """Steps between two rows of the curve."""
        raise NotImplementedError

    @property
    def columns(self) -> Sequence[str]:
        """The names of a row's numbers; 'step' and 'seconds' are among them."""
        raise NotImplementedError

    def met(self, rows: Sequence[Mapping[str, float]]) -> bool:
        """Whether the curve says that training may end."""
        return False

    def finished(self, rows: Sequence[Mapping[str, float]]) -> bool:
        """Whether training has come to its end."""
        return self.done >= self.steps or self.met(rows)

    def draw(self, step: int) -> Any:
        """Return the batch of a step."""
        raise NotImplementedError

    def held_out(self) -> Iterable[Any] | None:
        """Return the batches on which a row is measured; None: it has none."""
        raise NotImplementedError

    def cut(self, batch: Any, rank: int, world: int) -> Any:
        """Return the share of a batch that process ``rank`` of ``world`` takes."""
        raise NotImplementedError

    def moved(self, batch: Any, device: torch.device) -> Any:
        """Return a batch on a device."""
        raise NotImplementedError

    def loss(self, batch: Any) -> Tensor:
        """Return what the step makes smaller."""
        raise NotImplementedError

    def optimizer(self) -> torch.optim.Optimizer:
        """Make the optimiser."""
        raise NotImplementedError

    def set_rate(self, optimizer: torch.optim.Optimizer) -> None:
        """Give the optimiser the learning rate of the next step, ``done``."""

    def cause(self, batch: Any, loss: float, norm: float) -> str:
        """Name the first quantity of this step, after the weights, that is not finite."""
        raise NotImplementedError

    def row(self, seconds: float) -> dict[str, float]:
        """Return the next row of the curve, and begin the one after it with `begin_row`."""
        raise NotImplementedError

    def report(self) -> dict[str, Any]:
        """Return what progress shows of the training, besides seconds."""
        raise NotImplementedError

    def kept(self) -> dict[str, Any]:
        """Return what a checkpoint must hold besides weights, optimiser and the counts here."""
        return {}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Make the optimiser, in the state in which it was."""
        optimiser = self.optimizer()
        if self._optimizer_state is not None:
            optimiser.load_state_dict(self._optimizer_state)
        return optimiser

    def share(self, batch: Any) -> Any:
        """Return the part of a batch that this process takes."""
        world = self.trainer.world_size
        return batch if world == 1 else self.cut(batch, self.trainer.global_rank, world)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, index: int) -> Any:
        """Move a batch; the numbers of a stretch stay."""
        if isinstance(batch, range) or device.type == "cpu":
            return batch
        return self.moved(batch, device)

    def training_step(self, batch: range, index: int) -> None:
        """Take the steps of a stretch; a stop that is asked for ends it.

        Raises:
            TrainingError: A number is not finite; the step under way changes no weight.
        """
        began, first = time.perf_counter(), self.done
        for step in batch:
            drawn = self.draw(step)
            self._step(self.transfer_batch_to_device(self.share(drawn), self.device, index))
            if self.asked.is_set():
                break
        each = (time.perf_counter() - began) / (self.done - first)
        if self.trainer.world_size == 1:  # processes meet once in a batch of Lightning's
            self.stretch = max(1, min(LONGEST_STRETCH, int(STRETCH_SECONDS / each)))

    def _step(self, batch: Any) -> None:
        optimiser: Any = self.optimizers(use_pl_optimizer=False)
        optimiser.zero_grad()
        try:
            loss = self.loss(batch)
            self.manual_backward(loss)
        except (FloatingPointError, ValueError) as error:
            raise self.failure(self.weights_not_finite() or str(error)) from error
        norm = torch.nn.utils.clip_grad_norm_(self._parameters_list, self.clip)
        value, size = torch.stack((loss.detach(), norm)).tolist()
        if not (math.isfinite(value) and math.isfinite(size)):
            raise self.failure(self.weights_not_finite() or self.cause(batch, value, size))
        self.set_rate(optimiser)
        try:
            optimiser.step()
        except RuntimeError as error:  # lr times something is beyond what a number can be
            raise self.failure(f"the optimiser's step failed: {error}") from error
        self.done += 1
        self.counted += 1
        self.losses += value
        self.norm = max(self.norm, size)

    def failure(self, found: str) -> TrainingError:
        """Return an error that says at which step what was found."""
        return TrainingError(
            f"step {self.done + 1:,}: {found}; try a learning rate below {self._lr:g}"
        )

    def weights_not_finite(self) -> str | None:
        """Name the first weights that are not finite, if there are any."""
        for name, parameter in self.model.named_parameters():
            if not bool(parameter.isfinite().all()):
                return f"the weights {name.removeprefix('layer.')} are not finite"
        return None

    def over_steps(self, total: float) -> float:
        """Return the mean over processes of a sum, over the steps since the last row, by step."""
        mean = torch.tensor(total / max(1, self.counted), dtype=torch.float64)
        return float(self.trainer.strategy.reduce(mean, reduce_op="mean"))

    def begin_row(self) -> None:
        """Begin to sum for the next row."""
        self.losses, self.norm, self.counted = 0.0, 0.0, 0

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what Lightning does not know.

        It counts the steps of its own wrapper of the optimiser, which costs as much as the
        optimiser of a small model and is left out.
        """
        checkpoint["global_step"] = self.done
        checkpoint["polyad"] = {
            "format_version": CHECKPOINT_FORMAT_VERSION,
            "step": self.done,
            "losses": self.losses,
            "norm": self.norm,
            "counted": self.counted,
            **self.kept(),
        }


class _Stretches:
    """The steps of one epoch, which ends with the next row of the curve, in short stretches.

    To Lightning a stretch is a batch. What it does around a batch would add a fifth to a step of a
    small model, so as many steps as fit in `STRETCH_SECONDS` go together. The epoch has no length:
    a training that resumes in the middle of one has a shorter one first.
    """

    def __init__(self, training: Training) -> None:
        self._training = training

    def __iter__(self) -> Iterator[range]:
        training = self._training
        at = training.done
        end = min(training.steps, (at // training.interval + 1) * training.interval)
        while at < end:
            yield range(at, at := min(end, at + training.stretch))


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
        self._saving = 0.0  # how long the last checkpoint took to write
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
        trainer.should_stop = training.finished(self.rows)
        if trainer.should_stop or not self._begun:
            self.save(trainer)
        if not trainer.should_stop:
            self._save_or_stop(trainer, now)

    def _row_is_due(self) -> bool:
        done = self.training.done
        return done >= self.training.steps or done % self.training.interval == 0

    def _save_or_stop(self, trainer: Trainer, now: float) -> None:
        """Save if it is time; save and stop if that was asked for."""
        least = max(CHECKPOINT_SECONDS, self._saving / SAVING_SHARE)
        asked, due = self.training.asked.is_set(), now - self._saved > least
        if trainer.world_size > 1:  # all of them must do the same
            asked = trainer.strategy.reduce_boolean_decision(asked, all=False)
            due = trainer.strategy.broadcast(due)
        if asked or due:
            self.save(trainer)
        if asked:
            raise Stopped

    def save(self, trainer: Trainer) -> None:
        """Write history, weights, checkpoint, in this order: a history that runs ahead is cut."""
        began, self._begun = time.perf_counter(), True
        if trainer.is_global_zero and not self.run.begun:
            self.run.begin()
            self._begin_logs()
        if trainer.is_global_zero:
            self.run.write_history(self.rows)
            model: Any = self.training.model
            model.save(self.run.file(WEIGHTS))
        with _on_main(trainer, self.run.file(CHECKPOINT)) as path:
            trainer.save_checkpoint(path)
        self._saved = time.perf_counter()
        self._saving = self._saved - began

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
        last = self.rows[-1] if self.rows else {}
        self._on_progress(
            {
                "stage": "train",
                "seconds": self._seconds + now - self._since,
                "row": last,
                **self.training.report(),
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


@contextmanager
def _same_every_time() -> Iterator[None]:
    """Let cuDNN choose only what gives the same sums every time."""
    before = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic = before


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
    with _quiet(), _same_every_time():
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
            trainer.fit(training, _Stretches(training), training.held_out())
        except SystemExit:  # what Lightning makes of a KeyboardInterrupt
            raise KeyboardInterrupt from None
        finally:
            keeper.close()
    return keeper.rows
