"""The electroencephalograms of PhysioNet's data base of motor movement and imagery."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from funcspace.dynamics.recordings.stretch import stretch_of, trajectory_of
from funcspace.errors import FileError, InputError
from funcspace.functions import Function
from funcspace.optional import require

__all__ = ["eeg"]


def eeg(
    folder: str | PathLike[str],
    subject: int = 1,
    run: int = 1,
    *,
    channels: Sequence[str] | None = None,
    start: float = 0.0,
    count: int | None = None,
    smoothing: int | None = None,
    standardise: bool = True,
) -> Function:
    """One run of PhysioNet's EEG Motor Movement/Imagery Dataset, 64 channels at 160 Hz as a rule.

    (Data: Schalk, McFarland, Hinterberger, Birbaumer and Wolpaw, IEEE Trans. Biomed. Eng. 51, 2004; 109 subjects of 14
    runs each; runs 1 and 2 are rest with eyes open and closed. The recording of the published reconstructions is
    standardised and strongly smoothed, 95 % of its power being below 6 Hz; by what filter is not published.)

    Parameters
    ----------
    folder : the folder that holds S001/S001R01.edf and so on.
    subject, run : 1 to 109, and 1 to 14.
    channels : names such as ("Fc5", "Cz"), all by default; the dots that fill them up in the files are left out.
    start : seconds from the beginning of the recording.
    count : samples; all to the end by default.
    smoothing : length of a Hann window in samples, odd, to average over; the samples at both ends of the recording that
        lack half a window are left out. None for the signal as it is.
    standardise : mean 0 and standard deviation 1 of each channel of the stretch; in the unit of the file otherwise.

    Raises
    ------
    FileError
        When there is no such file, it is damaged, or its channels differ in rate or unit.
    InputError
        When there is no such channel, the recording is shorter, or a channel is constant.
    MissingDependencyError
        When pyedflib is not installed.
    """
    if smoothing is not None and (isinstance(smoothing, bool) or smoothing < 3 or smoothing % 2 != 1):
        raise InputError(f"smoothing must be an odd number of samples, at least 3, or None; got {smoothing!r}")
    if not all(isinstance(number, int) and number > 0 for number in (subject, run)):
        raise InputError(f"subject and run must be whole numbers from 1 on, got {subject!r} and {run!r}")
    path = Path(folder) / f"S{subject:03d}" / f"S{subject:03d}R{run:02d}.edf"
    if not path.is_file():
        raise FileError(f"there is no file {path}; give the folder that holds S001/S001R01.edf")
    values, names, rate, units = _signals(path, channels)
    first = 0
    if smoothing is not None:
        if len(values) < smoothing + 1:
            raise InputError(f"{path.name} has {len(values)} samples, too few for smoothing={smoothing}")
        window = np.hanning(smoothing + 2)[1:-1]
        values = np.lib.stride_tricks.sliding_window_view(values, smoothing, axis=0) @ (window / window.sum())
        first = smoothing // 2
    where = stretch_of(first + len(values), rate, max(start, first / rate), count, path.name)
    return trajectory_of(
        values[where.start - first : where.stop - first], rate=rate, first=where.start, components=names, name="eeg",
        units=units, standardise=standardise,
    )  # fmt: skip


def _signals(path: Path, channels: Sequence[str] | None) -> tuple[np.ndarray, list[str], float, str]:
    """Values (time, channel), names, samples per second and the unit of the channels of an EDF file."""
    edf: Any = require("pyedflib", feature="EDF files", install="pip install 'funcspace[recordings]'")
    try:
        with edf.EdfReader(str(path)) as reader:
            known = [label.strip().rstrip(".") for label in reader.getSignalLabels()]
            names = known if channels is None else list(channels)
            missing = [name for name in names if name not in known]
            if missing or not names:
                raise InputError(f"{path.name} has no channel {(missing or [None])[0]!r}; it has {known}")
            rows = [known.index(name) for name in names]
            kinds = {(float(reader.getSampleFrequency(i)), reader.getPhysicalDimension(i).strip()) for i in rows}
            if len(kinds) > 1:
                raise FileError(
                    f"the channels of {path} differ in rate or unit, {sorted(kinds)}; choose channels=[...]"
                )
            values = np.stack([reader.readSignal(i) for i in rows], axis=1)
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"cannot read {path}: {error}") from error
    rate, units = kinds.pop()
    return values, names, rate, units
