"""The electrocardiograms of PPG-DaLiA, embedded in delays."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np

from funcspace.dynamics.recordings.array_pickle import read_array_pickle
from funcspace.dynamics.recordings.stretch import stretch_of, trajectory_of
from funcspace.errors import FileError, InputError
from funcspace.functions import Function

__all__ = ["ecg"]

RATE = 700.0
LAGS = (0, 20, 68, 55, 10)


def ecg(
    folder: str | PathLike[str],
    subject: int = 1,
    *,
    lags: Sequence[int] = LAGS,
    start: float = 0.0,
    count: int | None = None,
    standardise: bool = True,
) -> Function:
    r"""The electrocardiogram of one subject of PPG-DaLiA as states of delays.

    .. math:: y_t = (x_{t+\tau_1}, \ldots, x_{t+\tau_m}), \quad \tau = 0, 20, 68, 55, 10

    (Data: Reiss, Indlekofer, Schmidt and Van Laerhoven, Sensors 19, 2019; 15 subjects, chest device, 700 Hz. Delays:
    those of the recording in Hess, Monfared, Brenner and Durstewitz, ICML 2023, 100,000 states of it for training and
    as many for test; which subject and stretch they are of is not published.)

    Parameters
    ----------
    folder : where the archive was unpacked, the folder of S1/S1.pkl, S2/S2.pkl, ... Of these files, which take about a
        gigabyte of memory each, only NumPy arrays are read; nothing in them is run.
    subject : 1 to 15.
    lags : the delays of the components, in samples of 1/700 s; (0,) for the plain signal.
    start : seconds from the beginning of the recording.
    count : states; all to the end of the recording by default.
    standardise : mean 0 and standard deviation 1 of each component of the stretch; in mV otherwise.

    Raises
    ------
    FileError
        When there is no such file, or it holds no electrocardiogram.
    InputError
        When the recording is shorter, a component is constant, or a lag is negative or there twice.
    """
    chosen = tuple(lags)
    if (
        not chosen
        or len(set(chosen)) != len(chosen)
        or any(isinstance(v, bool) or v != int(v) or v < 0 for v in chosen)
    ):
        raise InputError(f"lags must be different whole numbers of samples, none negative; got {chosen}")
    path = Path(folder) / f"S{subject}" / f"S{subject}.pkl"
    if not path.is_file():
        raise FileError(f"there is no file {path}; give the folder that holds S1/S1.pkl, and a subject that is there")
    content = read_array_pickle(path)
    try:
        signal = np.asarray(content["signal"]["chest"]["ECG"], dtype=np.float64).reshape(-1)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise FileError(f"{path} holds no ['signal']['chest']['ECG']; it is no file of PPG-DaLiA") from error
    where = stretch_of(
        len(signal) - max(chosen), RATE, start, count, f"subject {subject}, in delays up to {max(chosen)},"
    )
    return trajectory_of(
        np.stack([signal[where.start + lag : where.stop + lag] for lag in chosen], axis=1), rate=RATE,
        first=where.start, components=["ecg" if lag == 0 else f"ecg+{lag}" for lag in chosen], name="ecg", units="mV",
        standardise=standardise,
    )  # fmt: skip
