"""Public recordings as trajectories, from the files that their archives give out."""

from funcspace.dynamics.recordings.eeg_motor_imagery import eeg
from funcspace.dynamics.recordings.ppg_dalia import ecg

__all__ = ["ecg", "eeg"]
