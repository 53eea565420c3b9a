"""The training loop: one for every model and every way of learning."""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from funcspace.arguments import whole_number
from funcspace.atomic_write import atomic_file
from funcspace.errors import InputError, SolverError
from funcspace.functions.devices import available_devices
from funcspace.training.algorithm import (
    Algorithm,
    ClippingTask,
    DirectAlgorithm,
    MonitoredTask,
    ParametricTask,
    StatefulTask,
    Task,
)
from funcspace.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from funcspace.training.model import model_config, optimizer_groups
from funcspace.training.progress_bar import progress_bar
from funcspace.training.recipe import Recipe
from funcspace.training.schedules import learning_rate_factor
from funcspace.training.supervised import Supervised

__all__ = ["fit"]

log = logging.getLogger(__name__)
DTYPES = {"32": torch.float32, "64": torch.float64, "16-mixed": torch.float32, "bf16-mixed": torch.float32}
PRECISIONS: dict[str, Any] = {"32": "32-true", "64": "64-true", "16-mixed": "16-mixed", "bf16-mixed": "bf16-mixed"}


@dataclass(frozen=True)
class Settings:
    """What a run is made of; two runs with equal settings, model and data take the same steps."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    schedule: str
    clip: float | None
    precision: str
    seed: int
    seconds: float | None
    optimizer: str
    monitor: str


def fit(
    model: nn.Module,
    data: Any,
    *,
    validation: Any = None,
    algorithm: Algorithm | DirectAlgorithm | None = None,
    epochs: int | np.integer[Any] | None = None,
    seconds: float | None = None,
    batch_size: int | np.integer[Any] | None = None,
    learning_rate: float | None = None,
    weight_decay: float | None = None,
    schedule: str | Callable[[float], float] | None = None,
    optimizer: Callable[..., torch.optim.Optimizer] | None = None,
    clip: float | Literal["default"] | None = "default",
    precision: str = "32",
    compile: bool = False,
    seed: int | np.integer[Any] = 0,
    monitor: str | None = None,
    patience: int | np.integer[Any] | None = None,
    restore_best: bool = True,
    validate_every: int | np.integer[Any] | None = None,
    folder: str | os.PathLike[str] | None = None,
    resume: bool = True,
    checkpoint_seconds: float = 30.0,
    accelerator: str = "auto",
    devices: int | str = 1,
    progress: bool | None = None,
) -> Any:
    """Train a model on data and return it as a surrogate.

    Settings that are not given come from the algorithm's `recipe`; for supervised learning these are 100 epochs of
    batches of 8, AdamW with weight decay 1e-5, the schedule "one-cycle" and gradients clipped at norm 1.

    Parameters
    ----------
    model : a module such as `MgNO.for_data(data)`; trained in place.
    data : OperatorData, or whatever the algorithm learns from.
    validation : data to measure on after each epoch; the weights of the best epoch are kept, those of each replica
        where the model has several.
    algorithm : how to learn; `Supervised()` (relative H1 loss) by default. One that solves at once, such as
        `RidgeRegression`, takes of all else only `validation`, `precision`, `seed` and `accelerator`.
    epochs : passes over the data.
    seconds : stop after this much time; the schedule then follows whichever of time and epochs is further on.
    batch_size : samples per step, over all devices together.
    learning_rate : the peak rate; the model's own `learning_rate` where it has one, else the recipe's.
    schedule : "one-cycle", "cosine", "linear", "constant", or a function from progress in [0, 1] to a factor.
    optimizer : called as `optimizer(groups, lr=..., weight_decay=...)`, with one group of all parameters or those of
        the model's `parameter_groups`, each of which learns at a multiple of the rate.
    clip : largest norm of the gradient; None to leave it.
    precision : "32", "64", "16-mixed" or "bf16-mixed".
    compile : run the model through `torch.compile`.
    seed : orders the samples and drives randomness inside the model; the global generators are left as they were.
    monitor : the validation metric that chooses the best epoch and stops early.
    patience : stop after this many validations without improvement.
    restore_best : end with the weights of the best validation.
    validate_every : epochs between validations.
    folder : where checkpoints and `metrics.jsonl` go; nothing is written without it.
    resume : continue the run in `folder` if there is one; a finished one is returned as it is.
    checkpoint_seconds : least time between two checkpoints.
    accelerator, devices : as in Lightning Fabric; under `torchrun` the processes it started are used.
    progress : show a progress bar; by default when the output is a terminal.

    Returns
    -------
    Surrogate
        Or what else the algorithm makes, such as a Reconstruction; with `history` (a record per epoch) and
        `provenance`.

    Raises
    ------
    InputError
        When data are empty or hold NaN, a setting is out of range, `folder` cannot be made, or there is no such device.
    CheckpointError
        When `folder` holds a run with other settings.
    SolverError
        When the loss becomes NaN or infinite; `.state` holds the last finite weights.
    """
    if not isinstance(model, nn.Module):
        held = (
            "; what fit returns holds its model as .model"
            if isinstance(getattr(model, "model", None), nn.Module)
            else ""
        )
        raise InputError(f"fit trains a model, a torch.nn.Module; got {type(model).__name__}{held}")
    fitting = algorithm is None or hasattr(algorithm, "begin") or isinstance(algorithm, DirectAlgorithm)
    if isinstance(algorithm, type) or not fitting:
        raise InputError(
            "algorithm must be an object such as fs.Supervised() or fs.dynamics.SparseTeacherForcing(interval=16), got "
            f"{algorithm!r}"
        )
    seed = whole_number(seed, "seed", least=0)
    if isinstance(algorithm, DirectAlgorithm):
        given = {
            "epochs": epochs, "seconds": seconds, "batch_size": batch_size, "learning_rate": learning_rate,
            "weight_decay": weight_decay, "schedule": schedule, "optimizer": optimizer, "monitor": monitor,
            "patience": patience, "validate_every": validate_every, "folder": folder,
        }  # fmt: skip
        return _solved(algorithm, model, data, validation, given, precision, seed, accelerator)
    learning = algorithm or Supervised()
    recipe: Recipe = getattr(learning, "recipe", Recipe())
    epochs = recipe.epochs if epochs is None else epochs
    batch_size = recipe.batch_size if batch_size is None else batch_size
    validate_every = recipe.validate_every if validate_every is None else validate_every
    weight_decay = recipe.weight_decay if weight_decay is None else weight_decay
    schedule = recipe.schedule if schedule is None else schedule
    optimizer = recipe.optimizer if optimizer is None else optimizer
    clip = recipe.clip if clip == "default" else clip
    monitor = recipe.monitor if monitor is None else monitor
    peak = learning_rate if learning_rate is not None else getattr(model, "learning_rate", recipe.learning_rate)
    epochs, batch_size, validate_every = (
        whole_number(value, name)
        for name, value in (("epochs", epochs), ("batch_size", batch_size), ("validate_every", validate_every))
    )
    patience = None if patience is None else whole_number(patience, "patience")
    _check_numbers({"learning_rate": peak, "weight_decay": weight_decay, "clip": clip, "seconds": seconds})
    peak = float(peak)
    settings = Settings(
        epochs, batch_size, peak, weight_decay, schedule if isinstance(schedule, str) else repr(schedule), clip,
        precision, seed, seconds, getattr(optimizer, "__qualname__", repr(optimizer)), monitor,
    )  # fmt: skip
    if precision not in DTYPES:
        raise InputError(f"precision must be one of {', '.join(DTYPES)}, got {precision!r}")
    learning_rate_factor(schedule, 0.0)
    fabric = _fabric(precision, accelerator, devices)
    dtype = DTYPES[precision]
    model.to(device=fabric.device, dtype=dtype)
    task = learning.begin(model, data, validation, device=fabric.device, dtype=dtype)
    if isinstance(task, MonitoredTask) and task.metrics and monitor not in task.metrics:
        raise InputError(f"monitor must be one of {sorted(task.metrics)}, got {monitor!r}")
    groups = optimizer_groups(model)
    if isinstance(task, ParametricTask):
        if fabric.world_size > 1:
            raise InputError(f"{type(learning).__name__} trains on one device only; got {fabric.world_size}")
        groups += [{"params": p, "factor": f, "weight_decay": 0.0} for p, f in task.parameter_groups()]
    stepper = optimizer(groups, lr=peak, weight_decay=weight_decay)
    identity = _described(model) | asdict(settings) | dict(task.description)
    state, best = Progress(), None
    place = None if folder is None else _made(folder)
    if place is not None:
        found = load_checkpoint(place, model, stepper, identity) if resume else None
        if found is not None:
            state, best, kept = found
            if isinstance(task, StatefulTask):
                task.restore(kept)
            log.info("resumed %s at epoch %d, step %d", place, state.epoch, state.step)
    module, stepper = fabric.setup(torch.compile(model) if compile else model, stepper)
    run = _Run(fabric, model, module, stepper, task, settings, schedule, place, state, best, identity)
    cuda = [fabric.device] if fabric.device.type == "cuda" else []
    shown = progress if fabric.is_global_zero else False
    with torch.random.fork_rng(devices=cuda), progress_bar(shown, epochs, state.epoch) as bar:
        run.train(bar, patience, validate_every, checkpoint_seconds)
    if restore_best and run.best is not None:
        model.load_state_dict(run.best)
    model.eval()
    surrogate = task.surrogate(model)
    surrogate.history = list(state.history)
    surrogate.provenance = _provenance(identity, state)
    return surrogate


def _solved(
    algorithm: DirectAlgorithm,
    model: nn.Module,
    data: Any,
    validation: Any,
    given: Mapping[str, Any],
    precision: str,
    seed: int,
    accelerator: str,
) -> Any:
    name = type(algorithm).__name__
    for setting, value in given.items():
        if value is not None:
            raise InputError(f"{name} solves at once, without a loop: it takes no {setting}; got {value!r}")
    if precision not in DTYPES:
        raise InputError(f"precision must be one of {', '.join(DTYPES)}, got {precision!r}")
    model.to(device=_fabric(precision, accelerator, 1).device, dtype=DTYPES[precision])
    started = time.monotonic()
    surrogate = algorithm.solve(model, data, validation, seed=seed)
    identity = _described(model) | {"precision": precision, "seed": seed} | surrogate.provenance
    surrogate.provenance = _provenance(identity, Progress(seconds=time.monotonic() - started))
    return surrogate


@dataclass
class _Run:
    """The moving parts of one run."""

    fabric: Any
    model: nn.Module
    module: Any
    optimizer: Any
    task: Task
    settings: Settings
    schedule: str | Callable[[float], float]
    folder: Path | None
    state: Progress
    best: dict[str, Tensor] | None
    identity: Mapping[str, Any]

    def train(self, bar: Any, patience: int | None, validate_every: int, checkpoint_seconds: float) -> None:
        s, state = self.settings, self.state
        batches = math.ceil(self.task.samples / s.batch_size)
        started, saved = time.monotonic() - state.seconds, time.monotonic()
        waited = sum(1 for r in state.history if s.monitor in r and r["epoch"] > state.best_epoch)
        while state.epoch < s.epochs and not self._spent() and not (patience is not None and waited >= patience):
            self.model.train()
            rate = s.learning_rate
            for rows in self._batches(state.epoch, state.batch):
                done = (state.epoch * batches + state.batch) / (s.epochs * batches)
                rate = self._step(rows, max(done, 0.0 if s.seconds is None else state.seconds / s.seconds))
                state.seconds = self._agreed(time.monotonic() - started)
                bar.step(state.batch / batches, state.loss_sum / state.batch)
                if self._spent():
                    break
                if self.folder is not None and time.monotonic() - saved >= checkpoint_seconds and state.batch < batches:
                    saved = self._save()
            record = {"epoch": state.epoch, "step": state.step, "loss": state.loss_sum / max(state.batch, 1),
                      "learning_rate": rate, "seconds": round(state.seconds, 3)}  # fmt: skip
            state.epoch, state.batch, state.loss_sum = state.epoch + 1, 0, 0.0
            last = state.epoch >= s.epochs or self._spent()
            if state.epoch % validate_every == 0 or last:
                metrics = self.task.validate(self.model)
                record |= {name: float(np.median(value)) for name, value in metrics.items()}
                waited = self._rank(metrics, record["epoch"], waited)
                state.seconds = self._agreed(time.monotonic() - started)
            state.history.append(record)
            bar.epoch(record)
            if self.folder is not None and (last or time.monotonic() - saved >= checkpoint_seconds):
                saved = self._save()
        if self.folder is not None and state.batch == 0:
            self._save()

    def _batches(self, epoch: int, skip: int) -> Iterator[np.ndarray]:
        s = self.settings
        order = np.random.default_rng([s.seed, epoch]).permutation(self.task.samples)
        for start in range(skip * s.batch_size, self.task.samples, s.batch_size):
            yield order[start : start + s.batch_size]

    def _step(self, rows: np.ndarray, progress: float) -> float:
        s, state = self.settings, self.state
        rate = s.learning_rate * learning_rate_factor(self.schedule, progress)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        # torch.manual_seed would also format a stack trace at every step where there is no CUDA device
        torch.default_generator.manual_seed((s.seed * 1_000_003 + state.step) % (1 << 63))
        if torch.cuda.is_available():
            torch.cuda.manual_seed((s.seed * 1_000_003 + state.step) % (1 << 63))
        world, rank = self.fabric.world_size, self.fabric.global_rank
        mine = rows[rank::world]
        self.optimizer.zero_grad()
        if len(mine):
            loss = self.task.loss(self.module, mine)
            share = loss * (len(mine) * world / len(rows))
        else:  # fewer samples than processes: take part in the exchange of gradients with a zero
            share = loss = self.task.loss(self.module, rows[:1]) * 0.0
        self.fabric.backward(share)
        mean = float(self.fabric.all_reduce(share.detach(), reduce_op="mean")) if world > 1 else float(loss.detach())
        if not math.isfinite(mean):
            raise self._lost(f"the loss became {mean}", rate)
        self._clip(rate)
        self.optimizer.step()
        state.step, state.batch, state.loss_sum = state.step + 1, state.batch + 1, state.loss_sum + mean
        return rate

    def _clip(self, rate: float) -> None:
        """Bound the gradients; weights never see one that is not finite."""
        if isinstance(self.task, ClippingTask):
            norm = self.task.clip_gradients(self.model, self.settings.clip)
        elif self.settings.clip is not None:
            norm = self.fabric.clip_gradients(
                self.module, self.optimizer, max_norm=self.settings.clip, error_if_nonfinite=False
            )
        else:
            norm = nn.utils.get_total_norm([p.grad for p in self.model.parameters() if p.grad is not None])
        if norm is not None and not math.isfinite(float(norm)):
            raise self._lost(f"the norm of the gradient became {float(norm)}", rate)

    def _lost(self, what: str, rate: float) -> SolverError:
        return SolverError(
            f"{what} at step {self.state.step} (learning rate {rate:.2e}); lower the rate or check the data. The "
            "exception's .state holds the last finite weights"
            + (f", and {self.folder} the last checkpoint" if self.folder is not None else ""),
            state=self.best or {n: t.detach().clone() for n, t in self.model.state_dict().items()},
        )

    def _spent(self) -> bool:
        return self.settings.seconds is not None and self.state.seconds >= self.settings.seconds

    def _agreed(self, seconds: float) -> float:
        if self.fabric.world_size == 1 or self.settings.seconds is None:
            return seconds
        return float(self.fabric.broadcast(seconds))

    def _rank(self, metrics: Mapping[str, Any], epoch: int, waited: int) -> int:
        if not metrics:
            return 0
        if self.settings.monitor not in metrics:
            raise InputError(f"monitor must be one of {sorted(metrics)}, got {self.settings.monitor!r}")
        values = np.asarray(metrics[self.settings.monitor], dtype=np.float64)
        better = values < np.asarray(self.state.best)
        if not better.any():
            return waited + 1
        self.state.best = np.where(better, values, self.state.best).tolist()
        self.state.best_epoch = epoch
        old, self.best = self.best, {n: tensor.detach().clone() for n, tensor in self.model.state_dict().items()}
        if old is not None and values.ndim:  # weights of several models: each keeps its own best
            rows = torch.from_numpy(~better)
            for name, tensor in self.best.items():
                kept = rows.to(tensor.device)
                tensor[kept] = old[name].to(tensor)[kept]
        return 0

    def _save(self) -> float:
        assert self.folder is not None
        if self.fabric.is_global_zero:
            kept = self.task.state() if isinstance(self.task, StatefulTask) else None
            save_checkpoint(self.folder, self.model, self.optimizer, self.best, self.state, self.identity, kept)
            lines = "".join(json.dumps(record) + "\n" for record in self.state.history)
            with atomic_file(self.folder / "metrics.jsonl") as temporary:
                temporary.write_text(lines)
        self.fabric.barrier()
        return time.monotonic()


def _fabric(precision: str, accelerator: str, devices: int | str) -> Any:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lightning_fabric import Fabric
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "0")) if "TORCHELASTIC_RUN_ID" in os.environ else 0
    layout: dict[str, Any] = {"devices": devices}
    if local:
        layout = {"devices": local, "num_nodes": int(os.environ["WORLD_SIZE"]) // local, "strategy": "ddp"}
    try:
        fabric = Fabric(accelerator=accelerator, precision=PRECISIONS[precision], **layout)
    except Exception as error:  # of many kinds: no such name, no such device, no package for it, too few of them
        raise InputError(
            f"cannot train on accelerator={accelerator!r} with devices={layout['devices']!r}; this machine has "
            f"{', '.join(available_devices())}. {error}"
        ) from error
    fabric.launch()
    return fabric


def _check_numbers(settings: Mapping[str, Any]) -> None:
    for name, value in settings.items():
        number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        may_be_zero = name == "weight_decay"
        if value is not None and not (number and (value > 0 or (may_be_zero and value == 0))):
            raise InputError(f"{name} must be {'0 or more' if may_be_zero else 'positive'}, got {value!r}")


def _made(folder: Any) -> Path:
    """The folder of a run, made where it is missing."""
    try:
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
    except (OSError, TypeError) as error:
        reason = "there is a file of that name" if isinstance(error, FileExistsError) else error
        raise InputError(
            f"the folder {str(folder)!r} cannot be made: {reason}; give the path of a folder that can be written to"
        ) from error
    return place


def _described(model: nn.Module) -> dict[str, Any]:
    try:
        config = model_config(model)
    except InputError:
        config = {"modules": repr(model)}
    return {"model": f"{type(model).__module__}.{type(model).__qualname__}", "config": config}


def _provenance(identity: Mapping[str, Any], state: Progress) -> dict[str, Any]:
    import platform

    import funcspace

    return {
        "funcspace": funcspace.__version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "training": dict(identity),
        "epochs": state.epoch,
        "steps": state.step,
        "seconds": round(state.seconds, 3),
        "best_epoch": state.best_epoch,
    }
