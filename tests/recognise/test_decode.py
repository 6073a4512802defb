"""`workbench decode`: one bad file is named and does not lose the words of the others."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile
from data_directories import make_noise

from workbench import runs
from workbench.cli import main
from workbench.hmm.graphs.graph import NoPath
from workbench.hmm.scores import NOT_FINITE, BadScores
from workbench.language.arpa import read_arpa, write_arpa
from workbench.language.ngram import estimate
from workbench.prepare.corpus import Corpus
from workbench.recognise import evaluate
from workbench.recognise.evaluate import decode
from workbench.recognise.recogniser import Recogniser
from workbench.sequence.rescore import rescore
from workbench.settings import UserError, preset
from workbench.storage.run import Run
from workbench.storage.summary import RunSummary

RATE = 16000
SCALE = 5.0  # of a language model, so large that it decides


@pytest.fixture(scope="module")
def model(tiny_home: Path) -> Run:
    """A small model, trained for a moment; it recognises something in anything."""
    settings = preset("tiny", hidden_units=16, epochs=2.0, evaluate_utterances=1)
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
@pytest.mark.parametrize(
    "reason, tested, advice",
    [
        (NoPath("no state in the beam"), False, "`workbench test {run}` first"),
        (NoPath("no state in the beam"), True, "try --search graph"),
        (BadScores(NOT_FINITE), False, "train again with a smaller learning_rate"),
    ],
)
def test_what_to_do_is_said_where_nothing_is_recognised(
    reason: Exception,
    tested: bool,
    advice: str,
    model: Run,
    files: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Beside why: a search without a path, or scores that are no numbers."""

    def search(*_: object) -> None:
        raise reason

    monkeypatch.setattr("workbench.recognise.recogniser.search", search)
    monkeypatch.setattr(RunSummary, "tested", property(lambda _: tested))
    (file,) = decode(model, [files[""]])
    assert file.words == ()
    assert str(reason) in file.fault
    assert advice.format(run=model.name) in file.fault


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


@pytest.mark.slow
def test_a_language_model_of_ones_own_is_used(model: Run, files: dict[str, Path]) -> None:
    """Lattices are rescored by it, tests with it are told apart from others, and the graph of the
    corpus's own model cannot be searched with it.
    """
    corpus = Corpus.open("tiny")
    lexicon = corpus.lexicon.words
    usual = Recogniser.of(model)
    lattice = usual.lattice(corpus.split("test").utterance_windows(4))
    path = files[""].parent / "one.arpa.gz"
    differ = 0
    for word in sorted(set(lattice.word.tolist()) - {0})[:10]:
        write_arpa(estimate([(lexicon[word],)] * 500, lexicon, 2), path)
        (words,) = evaluate.with_language(usual, path).words(lattice, [SCALE])
        ngram = read_arpa(path, lexicon)
        expected, _ = rescore(lattice, ngram, corpus.unigram.unigram(), SCALE)
        assert words == tuple(lexicon[word] for word in expected)
        differ += words != usual.words(lattice, [SCALE])[0]
    assert differ > 0
    assert [file.fault for file in decode(model, [files[""]], language=path)] == [""]
    with pytest.raises(UserError, match="--search rescoring"):
        list(decode(model, [files[""]], search="graph", language=path))

    tested = evaluate.test(model, language=path).summary
    again = evaluate.test(model).summary
    assert tested.test_language != again.test_language


@pytest.mark.slow
def test_utterances_without_a_path_reach_the_summary(
    model: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A test counts in the run's summary in how many utterances nothing was found."""
    monkeypatch.setattr(evaluate, "with_best_scales", lambda recogniser, *_: recogniser)
    lattice_of = Recogniser.lattice_of
    asked: list[int] = []

    def lost_at_first(recogniser: Recogniser, logp: np.ndarray) -> object:
        asked.append(len(logp))
        if len(asked) <= 2:
            raise NoPath("no state in the beam")
        return lattice_of(recogniser, logp)

    monkeypatch.setattr(Recogniser, "lattice_of", lost_at_first)
    tested = evaluate.test(model)
    assert tested.summary.test_no_path == 2
    assert tested.summary.test_utterances == len(asked)
