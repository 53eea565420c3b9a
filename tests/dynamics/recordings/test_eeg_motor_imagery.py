import numpy as np
import pytest

import funcspace as fs
from funcspace.errors import FileError, InputError

pyedflib = pytest.importorskip("pyedflib")
NAMES = ("Fc5.", "C3..", "Cz..", "Iz..")


def edf_file(folder, signals, rates=(160,) * 4, subject=1, run=1):
    (folder / f"S{subject:03d}").mkdir(exist_ok=True)
    path = folder / f"S{subject:03d}" / f"S{subject:03d}R{run:02d}.edf"
    with pyedflib.EdfWriter(str(path), len(signals), file_type=pyedflib.FILETYPE_EDFPLUS) as file:
        header = {
            "dimension": "uV", "physical_min": -500, "physical_max": 500, "digital_min": -32768, "digital_max": 32767,
            "transducer": "BCI2000", "prefilter": "HP:0Hz LP:0Hz N:0Hz",
        }  # fmt: skip
        labels = zip(NAMES, rates, strict=False)
        file.setSignalHeaders([header | {"label": name, "sample_frequency": rate} for name, rate in labels])
        file.writeSamples(list(signals))
        file.writeAnnotation(0, 4.2, "T0")
    return path


def waves(seconds=10, rate=160):
    t = np.arange(seconds * rate) / rate
    return np.stack([50 * np.sin(2 * np.pi * (k + 1) * t) + 3 * k for k in range(4)])


def test_a_run_is_read_with_names_unit_and_rate(tmp_path):
    edf_file(tmp_path, waves(), subject=7, run=2)
    found = fs.dynamics.recordings.eeg(tmp_path, 7, 2, standardise=False)
    assert found.space.components == ("Fc5", "C3", "Cz", "Iz")
    assert found.units == "uV"
    assert found.domain.step == 1 / 160
    assert found.domain.unit == "s"
    assert np.abs(found.numpy() - waves().T).max() < 1000 / 65535  # one step of the 16-bit samples


def test_channels_and_a_stretch_are_standardised(tmp_path):
    edf_file(tmp_path, waves())
    found = fs.dynamics.recordings.eeg(tmp_path, channels=("Cz", "Fc5"), start=2.0, count=480)
    assert found.space.components == ("Cz", "Fc5")
    assert found.domain.start == 2.0
    assert found.domain.count == 480
    part = waves()[2, 320:800]
    assert np.abs(found.numpy()[:, 0] - (part - part.mean()) / part.std()).max() < 1e-3


def test_smoothing_weighs_waves_as_a_hann_window_does(tmp_path):
    edf_file(tmp_path, waves())
    plain = fs.dynamics.recordings.eeg(tmp_path, standardise=False)
    smooth = fs.dynamics.recordings.eeg(tmp_path, smoothing=15, standardise=False)
    assert smooth.domain.start == 7 / 160
    assert smooth.domain.count == 1600 - 14
    weights = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1, 16) / 16)
    for k in range(4):
        gain = (weights * np.cos(2 * np.pi * (k + 1) * np.arange(-7, 8) / 160)).sum() / weights.sum()
        expected = gain * (plain.numpy()[7:-7, k] - 3 * k) + 3 * k
        assert np.abs(smooth.numpy()[:, k] - expected).max() < 0.02
    later = fs.dynamics.recordings.eeg(tmp_path, smoothing=15, start=1.0, count=100, standardise=False)
    assert np.allclose(later.numpy(), smooth.numpy()[160 - 7 : 260 - 7])


def test_what_does_not_fit_a_recording_is_refused(tmp_path):
    eeg = fs.dynamics.recordings.eeg
    path = edf_file(tmp_path, waves())
    with pytest.raises(FileError, match=r"no file .*S002R01\.edf"):
        eeg(tmp_path, 2)
    with pytest.raises(InputError, match="no channel 'Pz'; it has"):
        eeg(tmp_path, channels=("Cz", "Pz"))
    with pytest.raises(InputError, match=r"has 1600 samples, 10\.0 s"):
        eeg(tmp_path, start=9.0, count=161)
    with pytest.raises(InputError, match="odd number"):
        eeg(tmp_path, smoothing=4)
    with pytest.raises(InputError, match="whole numbers"):
        eeg(tmp_path, "1")
    constant = waves()
    constant[1] = 20.0
    edf_file(tmp_path, constant, run=3)
    with pytest.raises(InputError, match="'C3' of eeg is constant"):
        eeg(tmp_path, 1, 3)
    edf_file(tmp_path, [waves()[0], waves(rate=80)[1]], rates=(160, 80), run=4)
    with pytest.raises(FileError, match=r"differ in rate or unit.*channels="):
        eeg(tmp_path, 1, 4)
    assert eeg(tmp_path, 1, 4, channels=["C3"]).domain.step == 1 / 80
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(FileError, match="cannot read"):
        eeg(tmp_path)
