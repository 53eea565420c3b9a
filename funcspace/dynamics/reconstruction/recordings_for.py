"""What a recurrent map learns from, checked against the map."""

from __future__ import annotations

from typing import Any

from funcspace.dynamics.reconstruction.models.forced_model import ForcedModel
from funcspace.dynamics.reconstruction.windows import PerReplica, Recording, as_recording
from funcspace.errors import InputError

__all__ = ["recordings_for", "training_recordings"]


def recordings_for(data: Any, model: ForcedModel, *, inputs: Any, missing: bool, name: str) -> list[Recording]:
    """One recording for all replicas, or one for each where `data` is `PerReplica`."""
    if isinstance(data, PerReplica):
        if model.replicas != len(data.data):
            raise InputError(f"PerReplica holds {len(data.data)} recordings; the model has replicas={model.replicas}")
        return [as_recording(each, missing=missing, name=name) for each in data.data]
    return [as_recording(data, inputs, missing=missing, name=name)]


def training_recordings(data: Any, model: ForcedModel, *, inputs: Any, missing: bool) -> list[Recording]:
    """Recordings with the components and the external inputs that the model takes.

    Raises
    ------
    InputError : other numbers of components or inputs than the model's; what `as_recording` refuses.
    """
    recordings = recordings_for(data, model, inputs=inputs, missing=missing, name="data")
    for recording in recordings:
        if len(recording.components) != model.observed:
            raise InputError(
                f"the model observes {model.observed} components; the data have {len(recording.components)}, "
                f"{recording.components}"
            )
    given = 0 if recordings[0].inputs is None else recordings[0].inputs[0].shape[1]
    if given != model.inputs:
        raise InputError(f"the model takes {model.inputs} external inputs; the algorithm gives {given}")
    return recordings
