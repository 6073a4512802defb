"""`workbench decode`: one bad file is named and does not lose the words of the others."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile
from data_directories import make_noise

from workbench import runs
from workbench.cli import main
from workbench.prepare.corpus import Corpus
from workbench.recognise.evaluate import decode
from workbench.settings import preset
from workbench.storage.run import Run

RATE = 16000


@pytest.fixture(scope="module")
def model(tiny_home: Path) -> Run:
    """A model that has hardly been trained; it recognises something in anything."""
    settings = preset("tiny", hidden_units=8, epochs=0.1, evaluate_utterances=1)
    return runs.train(Corpus.open("tiny"), settings, name="hasty")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Files to decode by what is the matter with them."""
    good = make_noise(tmp_path / "a.wav")
    named = {name: tmp_path / f"{name}.wav" for name in ("null", "slow", "silent", "nan", "short")}
    soundfile.write(named["null"], np.zeros(0), RATE)
    soundfile.write(named["silent"], np.zeros(RATE), RATE)
    soundfile.write(named["nan"], np.full(RATE, np.nan), RATE, subtype="FLOAT")
    soundfile.write(named["short"], np.linspace(0, 0.1, 60), RATE)
    make_noise(named["slow"], rate=8000)
    (tmp_path / "text.wav").write_text("no audio")
    last = make_noise(tmp_path / "b.flac", seed=1)
    return {
        "": good,
        **named,
        "text": tmp_path / "text.wav",
        "nowhere": tmp_path / "no.wav",
        "last": last,
    }


@pytest.mark.slow
def test_one_bad_file_does_not_end_the_others(
    model: Run, files: dict[str, Path], capfd: pytest.CaptureFixture
) -> None:
    """Good files have their line, bad ones one line each that names them, and the code is 1."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        code = main.main(["decode", model.name, *map(str, files.values())])
    printed = capfd.readouterr()
    assert code == 1
    good = [line.split("\t")[0] for line in printed.out.splitlines()]
    assert good == [str(files[""]), str(files["last"])]

    said = printed.err.splitlines()
    faults = {
        "null": "empty",
        "slow": "sample rate too low",
        "silent": "silent",
        "nan": "audio not finite",
        "short": "too short",
        "text": "unreadable audio",
        "nowhere": "missing audio",
    }
    assert len(said) == len(faults)
    for line, (name, fault) in zip(said, faults.items(), strict=True):
        assert f"{files[name]}: {fault}" in line
        assert line.count(str(files[name])) == 1
    assert main.main(["decode", model.name, str(files["last"])]) == 0


@pytest.mark.slow
def test_a_channel_is_chosen_or_the_mean_is_said(
    model: Run, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    """Of a stereo file one channel can be named; without a name a line says what was read."""
    mono = make_noise(tmp_path / "mono.wav")
    samples, rate = soundfile.read(mono)
    stereo = tmp_path / "stereo.wav"
    soundfile.write(stereo, np.stack([np.zeros_like(samples), samples], axis=1), rate)

    words = [file.words for file in decode(model, [mono])]
    assert [file.words for file in decode(model, [stereo], channel=1)] == words
    assert main.main(["decode", model.name, str(stereo)]) == 0
    assert "the mean of its 2 channels" in capfd.readouterr().err
    assert main.main(["decode", model.name, "--channel", "2", str(stereo)]) == 1
    assert "no channel 2" in capfd.readouterr().err
    assert main.main(["decode", model.name, "--channel", "0", str(stereo)]) == 1
    assert "silent" in capfd.readouterr().err
