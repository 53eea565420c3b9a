import io
import pickle

import numpy as np
import pytest

import funcspace as fs
from funcspace.dynamics.recordings.array_pickle import read_array_pickle
from funcspace.errors import FileError, InputError


class Python2Pickler(pickle._Pickler):
    """Writes bytes as Python 2 wrote its strings, as the files of the archive hold them."""

    def save_bytes(self, obj):
        self.write(pickle.BINSTRING + len(obj).to_bytes(4, "little") + obj)
        self.memoize(obj)

    dispatch = {**pickle._Pickler.dispatch, bytes: save_bytes}  # noqa: RUF012


def as_python2(content):
    file = io.BytesIO()
    Python2Pickler(file, 2).dump(content)
    return file.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def heart(length=3000, seed=0):
    t = np.arange(length) / 700.0
    return np.exp(-(((t % 0.9) - 0.3) ** 2) / 0.001) + 0.05 * np.random.default_rng(seed).standard_normal(length)


def subject_file(folder, signal, write=as_python2, number=1):
    chest = {"ECG": signal[:, None], "Resp": np.zeros((4, 1), dtype=">f4")}
    content = {"signal": {"chest": chest, "wrist": {}}, "subject": f"S{number}", "rpeaks": np.arange(3)}
    (folder / f"S{number}").mkdir()
    (folder / f"S{number}" / f"S{number}.pkl").write_bytes(write(content))


@pytest.mark.parametrize(
    "write", [as_python2, pickle.dumps, lambda c: pickle.dumps(c, 2), lambda c: pickle.dumps(c, 5)]
)
def test_an_electrocardiogram_is_read_embedded_in_its_published_delays(tmp_path, write):
    signal = heart()
    subject_file(tmp_path, signal, write, number=3)
    states = fs.dynamics.recordings.ecg(tmp_path, 3, standardise=False)
    assert states.space.components == ("ecg", "ecg+20", "ecg+68", "ecg+55", "ecg+10")
    assert states.units == "mV"
    expected = np.stack([signal[lag : lag + 3000 - 68] for lag in (0, 20, 68, 55, 10)], axis=1)
    assert np.array_equal(states.numpy(), expected)
    assert states.domain.step == pytest.approx(1 / 700)


def test_a_stretch_is_standardised_and_keeps_its_instants(tmp_path):
    signal = heart()
    subject_file(tmp_path, signal)
    states = fs.dynamics.recordings.ecg(tmp_path, lags=(0, 5), start=1.0, count=1400)
    assert states.domain.start == pytest.approx(1.0)
    assert states.domain.count == 1400
    part = signal[700:2100]
    assert np.allclose(states.numpy()[:, 0], (part - part.mean()) / part.std())
    assert np.allclose(states.numpy().std(axis=0), 1.0)


def test_requests_that_do_not_fit_a_recording_are_refused(tmp_path):
    subject_file(tmp_path, heart(500))
    ecg = fs.dynamics.recordings.ecg
    with pytest.raises(FileError, match=r"no file .*S2\.pkl"):
        ecg(tmp_path, 2)
    with pytest.raises(InputError, match=r"has 432 samples.*not count=433"):
        ecg(tmp_path, count=433)
    with pytest.raises(InputError, match="from 2 s on it has 0"):
        ecg(tmp_path, start=2.0)
    with pytest.raises(InputError, match="different whole numbers"):
        ecg(tmp_path, lags=(0, 0))
    subject_file(tmp_path, np.ones(500), number=4)
    with pytest.raises(InputError, match="'ecg' of ecg is constant"):
        ecg(tmp_path, 4)
    (tmp_path / "S5").mkdir()
    (tmp_path / "S5" / "S5.pkl").write_bytes(pickle.dumps({"signal": {"wrist": {}}}))
    with pytest.raises(FileError, match="no file of PPG-DaLiA"):
        ecg(tmp_path, 5)


class Harmful:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_code_in_a_pickle_is_refused_and_not_run(tmp_path, protocol):
    file, trace = tmp_path / "bad.pkl", tmp_path / "ran"
    file.write_bytes(pickle.dumps({"signal": Harmful(open, str(trace), "w")}, protocol))
    with pytest.raises(FileError, match=r"open, and only NumPy arrays are read"):
        read_array_pickle(file)
    assert not trace.exists()


def test_what_is_no_array_of_numbers_is_refused(tmp_path):
    file = tmp_path / "bad.pkl"
    for content, message in (
        ({"a": np.array([{}, 1], dtype=object)}, "'O8'"),
        ({"a": np.zeros(2, dtype=[("x", "f8")])}, "only numbers and text"),
    ):
        file.write_bytes(pickle.dumps(content, 2))
        with pytest.raises(FileError, match=message):
            read_array_pickle(file)
    whole = pickle.dumps({"a": np.arange(10.0)}, 2)
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileError, match="cannot read"):
        read_array_pickle(file)
    file.write_bytes(whole.replace(b"K\n\x85", b"K\x0b\x85"))  # a shape of 11 for the bytes of 10
    with pytest.raises(FileError, match="not all there"):
        read_array_pickle(file)


def test_all_plain_content_comes_back(tmp_path):
    file = tmp_path / "all.pkl"
    content = {
        "a": [np.arange(6, dtype=">i2").reshape(2, 3), np.asfortranarray(np.eye(3, 2))], "b": (1, "x", None),
        "c": np.float32(1.5), "d": np.array(["ab", "c"]), "e": np.array([True, False]),
    }  # fmt: skip
    for protocol in (2, 4, 5):
        file.write_bytes(pickle.dumps(content, protocol))
        found = read_array_pickle(file)
        for one, other in zip(found["a"], content["a"], strict=True):
            assert one.dtype == other.dtype
            assert np.array_equal(one, other)
        assert found["b"] == content["b"]
        assert found["c"] == 1.5
        assert list(found["d"]) == ["ab", "c"]
        assert found["e"].tolist() == [True, False]
