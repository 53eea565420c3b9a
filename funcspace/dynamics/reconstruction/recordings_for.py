"""What a recurrent map learns from, checked against the map."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from funcspace.dynamics.reconstruction.free_run_scores import HORIZON
from funcspace.dynamics.reconstruction.models.forced_model import ForcedModel
from funcspace.dynamics.reconstruction.windows import PerReplica, Recording, as_recording
from funcspace.errors import InputError

__all__ = ["check_components", "described", "driven", "held_out_recordings", "recordings_for", "training_recordings"]


def check_components(recordings: Sequence[Recording], observed: int, name: str) -> None:
    """Raise an InputError unless each recording has as many components as a model observes."""
    for recording in recordings:
        if len(recording.components) != observed:
            what = "the data have" if name == "data" else f"{name} has"
            raise InputError(
                f"the model observes {observed} components; {what} {len(recording.components)}, {recording.components}"
            )


def described(recordings: Sequence[Recording]) -> dict[str, Any]:
    """What tells a run on these recordings from one on others."""
    content = hashlib.sha256()
    for recording in recordings:
        for part in (*recording.values, *(recording.inputs or ())):
            content.update(part.contiguous().numpy().tobytes())
    return {
        "trajectories": [[len(v) for v in r.values] for r in recordings],
        "step": recordings[0].step,
        "content": content.hexdigest(),
    }


def driven(inputs: Any, count: int) -> Sequence[Any]:
    """The external inputs of each of `count` recordings; all the same unless `inputs` is `PerReplica`."""
    if not isinstance(inputs, PerReplica):
        return [inputs] * count
    if len(inputs.data) != count:
        raise InputError(f"inputs are PerReplica of {len(inputs.data)}, and there are {count} recordings")
    return inputs.data


def recordings_for(data: Any, model: ForcedModel, *, inputs: Any, missing: bool, name: str) -> list[Recording]:
    """One recording for all replicas, or one for each where `data` is `PerReplica`.

    Raises
    ------
    InputError : other numbers of recordings or components than the model's; what `as_recording` refuses.
    """
    if isinstance(data, PerReplica):
        if model.replicas != len(data.data):
            raise InputError(f"PerReplica holds {len(data.data)} recordings; the model has replicas={model.replicas}")
        driving = driven(inputs, len(data.data))
        recordings = [
            as_recording(each, drive, missing=missing, name=name)
            for each, drive in zip(data.data, driving, strict=True)
        ]
    else:
        recordings = [as_recording(data, inputs, missing=missing, name=name)]
    check_components(recordings, model.observed, name)
    return recordings


def held_out_recordings(validation: Any, model: ForcedModel, *, inputs: Any) -> list[Recording] | None:
    """Recordings to score free runs against, with the external inputs that the model takes; None where there are none.

    Raises
    ------
    InputError : missing values; trajectories too short to be scored; inputs that are missing or more or fewer than the
        model's; what `recordings_for` refuses.
    """
    if validation is None:
        return None
    recordings = recordings_for(validation, model, inputs=inputs, missing=False, name="validation")
    _check_inputs(recordings, model, "validation_inputs")
    least = getattr(model, "context", 1) + HORIZON
    shortest = min(len(values) for recording in recordings for values in recording.values)
    if shortest < least:
        raise InputError(
            f"validation needs trajectories of at least {least} instants, to score forecasts; got {shortest}"
        )
    return recordings


def training_recordings(data: Any, model: ForcedModel, *, inputs: Any, missing: bool) -> list[Recording]:
    """Recordings with the components and the external inputs that the model takes.

    Raises
    ------
    InputError : another number of inputs than the model's; what `recordings_for` refuses.
    """
    recordings = recordings_for(data, model, inputs=inputs, missing=missing, name="data")
    _check_inputs(recordings, model, "inputs")
    return recordings


def _check_inputs(recordings: Sequence[Recording], model: ForcedModel, setting: str) -> None:
    for recording in recordings:
        given = 0 if recording.inputs is None else recording.inputs[0].shape[1]
        if given != model.inputs:
            raise InputError(
                f"the model takes {model.inputs} external inputs; the algorithm gives {given}, by its setting {setting}"
            )
