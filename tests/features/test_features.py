"""Features: equal to Kaldi's, normalised alike for training and new audio."""

import json
import struct
import tracemalloc
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from kaldi_fbank import kaldi_log_mel

from workbench.corpus.audio import AudioReader, read_audio
from workbench.corpus.frames.store import FrameStore
from workbench.corpus.frames.window import frame_count
from workbench.corpus.utterances import DataSet, Utterance
from workbench.features import Normalisation, extract_features, prepare
from workbench.features.logmel import MEL, feature_rate, log_mel
from workbench.features.phones import TruePhones
from workbench.features.prepare import choose_rate, prepare_features
from workbench.settings import UserError


def make_speech(seconds: float, rate: int = 16000, seed: int = 0) -> np.ndarray:
    """Return noise under a slow envelope with gaps, float32 in (-1, 1)."""
    random = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    envelope = np.maximum(0.001, np.sin(2 * np.pi * 1.7 * t + seed)) * 0.1
    return (random.standard_normal(len(t)) * envelope).clip(-0.99, 0.99).astype(np.float32)


def make_corpus(folder: Path, count: int = 6, rate: int = 16000, kind: str = "flac") -> DataSet:
    """Write utterances of different lengths, of two speakers, a file each."""
    folder.mkdir(parents=True, exist_ok=True)
    utterances = []
    for n in range(count):
        path = folder / f"u{n}.{kind}"
        soundfile.write(path, make_speech(0.3 + 0.17 * n, rate, n) * (1 + n), rate)
        utterance = Utterance(
            id=f"u{n}",
            speaker=f"s{n % 2}",
            words=("w",),
            audio=path,
            where=f"text:{n}",
            rate=rate,
            seconds=soundfile.info(path).duration,
        )
        utterances.append(utterance)
    return DataSet(tuple(utterances))


@pytest.mark.parametrize("rate", [8000, 16000])
def test_equal_to_kaldi(rate):
    """Log-mel energies are those of kaldi-native-fbank to 1e-3, at any length (measured: 1e-4)."""
    half_shift = rate // 200
    window = rate // 40
    lengths = (
        1,
        half_shift - 1,
        half_shift,
        window - 1,
        window,
        rate // 10 + 7,
        rate * 12,
    )
    for n in lengths:
        samples = make_speech(n / rate, rate, n)
        energies = log_mel(samples, rate)
        reference = kaldi_log_mel(samples, rate)
        assert energies.dtype == np.float32
        assert energies.shape == reference.shape == (frame_count(n / rate), MEL)
        np.testing.assert_allclose(energies, reference, atol=1e-3)


@pytest.mark.parametrize(
    ("rate", "to"), [(44100, 16000), (22050, 16000), (48000, 16000), (11025, 8000)]
)
def test_other_rates(rate, to):
    """Audio of another rate gives nearly the features of the same sound recorded at their rate."""
    random = np.random.default_rng(0)
    tones = [(hertz, random.uniform(0, 6.28)) for hertz in np.geomspace(60, 3300, 60)]

    def record(at: int) -> np.ndarray:
        t = np.arange(at) / at
        return sum(0.01 * np.sin(2 * np.pi * hertz * t + phase) for hertz, phase in tones)

    resampled = log_mel(record(rate), rate)
    direct = log_mel(record(to), to)
    assert feature_rate(rate) == to
    with_tones = slice(0, 30 if to == 16000 else 38)
    np.testing.assert_allclose(resampled[5:-5, with_tones], direct[5:-5, with_tones], atol=0.05)
    with pytest.raises(ValueError, match="8000"):
        log_mel(np.zeros(100), 7999)


@pytest.mark.parametrize("by", ["utterance", "speaker"])
def test_normalisation(tmp_path, by):
    """The mean over each utterance or speaker is 0, and each mel bin of train has variance 1."""
    store = prepare_features(make_corpus(tmp_path / "audio"), tmp_path / "train", by)
    features = store.features.astype(np.float64)
    np.testing.assert_allclose(features.std(axis=0), 1, atol=2e-3)

    owner = np.repeat(store.ids if by == "utterance" else store.speakers, np.diff(store.offsets))
    for key in set(owner):
        np.testing.assert_allclose(features[owner == key].mean(axis=0), 0, atol=2e-3)
    if by == "speaker":
        first = features[owner == "s0"][:30]
        assert abs(first.mean()) > 0.1, "utterances of a speaker differ in level here"


def test_new_audio_is_made_like_the_training_data(tmp_path):
    """Held-out splits and single files take rate and scale of the training split, not their own."""
    train = prepare_features(make_corpus(tmp_path / "a"), tmp_path / "train")
    normalisation = Normalisation.from_dict(train.about)
    data = make_corpus(tmp_path / "b", 3, 44100, "wav")
    store = prepare_features(data, tmp_path / "test", like=normalisation)
    assert store.about == train.about

    single = extract_features(*read_audio(data.utterances[1].audio), normalisation)
    np.testing.assert_array_equal(single.astype(np.float16), store.features[slice(*store.span(1))])
    with pytest.raises(UserError, match=r"too low .* at 8000 Hz; at least 16000 Hz are needed"):
        extract_features(np.zeros(8000), 8000, normalisation)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_audio_that_is_not_finite_has_no_features(value):
    """One sample that is NaN, infinite or as large as float32 allows is refused in a line."""
    samples = make_speech(0.5)
    samples[3000] = value
    with pytest.raises(UserError, match=r"audio not finite|audio out of range"):
        extract_features(samples, 16000, Normalisation("utterance", 16000, (1.0,) * MEL))


@pytest.mark.parametrize(
    "samples, fault",
    [(np.zeros(0), "empty"), (np.zeros(9000), "silent"), (np.arange(60) / 99, "too short")],
)
def test_new_audio_is_checked_as_preparation_does(samples, fault):
    """Audio that preparation would set aside has no features, and no warning of numpy.

    Its rate is not blamed.
    """
    with pytest.raises(UserError, match=fault) as caught:
        extract_features(samples, 16000, Normalisation("utterance", 16000, (1.0,) * MEL))
    assert "needed" not in str(caught.value)


def test_a_store_without_normalisation_is_refused(tmp_path):
    """A store whose ``about`` has no valid normalisation is a UserError."""
    about = Normalisation("utterance", 16000, (1.0,) * MEL).to_dict()
    assert Normalisation.from_dict(about).to_dict() == about
    for changes in ({"scale": [1.0]}, {"rate": 44100}, {"scale": 3}, {"normalisation": "corpus"}):
        with pytest.raises(UserError):
            Normalisation.from_dict({**about, **changes})
    with pytest.raises(UserError):
        Normalisation.from_dict({})


def test_progress_counts_utterances(tmp_path):
    """Progress rises by one utterance and ends at their number."""
    reports = []
    data = make_corpus(tmp_path / "audio", 7)
    prepare_features(data, tmp_path / "train", progress=lambda *report: reports.append(report))
    assert reports == [(n, 7, "features") for n in range(1, 8)]


def test_segments_are_the_samples_of_their_recording(tmp_path):
    """Segments of one recording, in any order, are exactly its samples from start to end."""
    whole = (make_speech(8.0) * 32768).round() / 32768
    segments = [(0.0, 1.0), (1.0, 1.5), (4.25, 6.0), (2.0, 3.0), (7.5, None), (0.1, 0.2)]
    for kind in ("flac", "wav"):
        path = tmp_path / f"long.{kind}"
        soundfile.write(path, whole, 16000)
        with AudioReader() as reader:
            for start, end in segments:
                samples, rate = reader.read(path, start, end)
                first = round(start * rate)
                last = len(whole) if end is None else round(end * rate)
                np.testing.assert_array_equal(samples, whole[first:last].astype(np.float32))


def test_channels_are_averaged(tmp_path):
    """Stereo becomes mono as the mean of the channels."""
    stereo = np.stack([np.full(800, 0.5), np.full(800, 0.25)], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, 16000)
    samples, _ = read_audio(tmp_path / "a.wav")
    np.testing.assert_array_equal(samples, np.full(800, 0.375, np.float32))


def test_rate_of_a_corpus():
    """Features are 8 kHz where most audio is telephone speech; then nothing is set aside for it."""
    telephone, music, broken = (
        Utterance("a", "s", ("w",), Path("a"), rate=rate, seconds=seconds)
        for rate, seconds in ((8000, 5), (44100, 4), (100, 9))
    )
    assert choose_rate([telephone, music, broken]) == 8000
    assert choose_rate([music, broken]) == 16000
    assert choose_rate([]) == 16000


@dataclass(frozen=True)
class BadAudio:
    """A file that cannot be used, and the reasons for which it may be set aside."""

    path: Path
    reasons: tuple[str, ...]


def make_bad_audio(folder: Path) -> dict[str, BadAudio]:
    """Write audio that decoding finds to be unusable, by what is wrong with it."""
    folder.mkdir()
    good = make_speech(1.0)
    damaged = ("unreadable audio", "truncated audio")

    def write(name: str, samples: np.ndarray, *reasons: str, rate=16000, kind="wav", subtype=None):
        path = folder / f"{name}.{kind}"
        soundfile.write(path, samples, rate, subtype=subtype)
        return BadAudio(path, reasons)

    nan = good.copy()
    nan[777] = np.nan
    infinite = good.copy()
    infinite[5] = -np.inf

    cut = write("cut", good, *damaged, kind="flac")
    cut.path.write_bytes(cut.path.read_bytes()[:9000])
    broken = write("broken", good, *damaged, kind="flac")
    data = bytearray(broken.path.read_bytes())
    data[4000:4100] = bytes(100)
    broken.path.write_bytes(data)

    return {
        "zeros": write("zeros", np.zeros(16000), "silent audio"),
        "constant": write("constant", np.full(16000, 0.5), "silent audio"),
        "nan": write("nan", nan, "audio not finite", subtype="FLOAT"),
        "infinite": write("infinite", infinite, "audio not finite", subtype="FLOAT"),
        "huge": write("huge", good * 1e30, "audio out of range", subtype="FLOAT"),
        "few": write("few", good[:70], "too short for a frame"),
        "empty": write("empty", good[:0], "empty audio"),
        "slow": write("slow", good, "sample rate too low", rate=8000),
        "cut": cut,
        "broken": broken,
        "vanished": BadAudio(folder / "vanished.wav", ("missing audio",)),
    }


def test_unusable_audio_is_set_aside_with_its_reason(tmp_path):
    """Audio that decoding finds unusable is set aside with its reason, and no other."""
    bad = make_bad_audio(tmp_path / "bad")
    good = make_corpus(tmp_path / "good", 2)
    utterances = [
        Utterance(name, "s", ("w",), file.path, where="text:1", rate=16000)
        for name, file in bad.items()
    ]
    data = DataSet((good.utterances[0], *utterances, good.utterances[1]))

    store = prepare_features(data, tmp_path / "store")
    assert store.ids == ["u0", "u1"]
    reasons = {s.utterance: s.reason for s in store.set_aside}
    assert set(reasons) == set(bad)
    for name, file in bad.items():
        assert reasons[name] in file.reasons, name
    left = data.without(store.set_aside)
    assert (left.seen, len(left.utterances), len(left.set_aside)) == (13, 2, 11)
    store.verify()


def test_header_that_promises_too_much_takes_no_memory(tmp_path):
    """A header that claims hours of audio is set aside without memory for hours."""
    path = tmp_path / "liar.wav"
    soundfile.write(path, make_speech(0.5), 16000)
    data = bytearray(path.read_bytes())
    data[40:44] = struct.pack("<I", 0xFFFFFFF0)
    path.write_bytes(data)

    tracemalloc.start()
    samples, _ = read_audio(path)  # libsndfile believes the file's size rather than its header
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(samples) in (8000, 8001)
    assert peak < 64 << 20


def test_corpus_is_never_whole_in_memory(tmp_path, monkeypatch):
    """Preparing 40 MB of frames takes less than 8 MB of memory."""
    random = np.random.default_rng(0)
    utterances = [
        Utterance(f"u{n}", "s", ("w",), Path("a.wav"), rate=16000, seconds=10.0) for n in range(250)
    ]

    def decode(utterance, reader, rate):
        return random.standard_normal((1000, MEL), np.float32)

    monkeypatch.setattr(prepare, "decode_utterance", decode)
    tracemalloc.start()
    store = prepare_features(DataSet(tuple(utterances)), tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert store.frames == 250_000
    assert peak < 8 << 20


def test_interrupted_preparation_leaves_nothing(tmp_path):
    """A preparation that stops in the middle leaves no store and no scratch file."""

    def stop(done: int, total: int, what: str) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_features(make_corpus(tmp_path / "audio"), tmp_path / "store", progress=stop)
    assert not list((tmp_path / "store").iterdir())
    with pytest.raises(UserError):
        FrameStore.open(tmp_path / "store")


def test_true_phones(tmp_path):
    """A frame has the phone at its middle; a phone or an utterance that is not known is -1."""
    path = tmp_path / "train.jsonl"
    lines = [
        {"utt": "u0", "phones": [["a", 0.02, 0.055], ["t", 0.055, 0.2], ["x", 0.2, 0.25]]},
        {"utt": "þ", "phones": []},
    ]
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    truth = TruePhones(path, ["SIL", "a", "t"])
    assert truth.frames("u0", 27).tolist() == [0] * 2 + [1] * 3 + [2] * 15 + [-1] * 5 + [0] * 2
    assert truth.frames("unknown", 2).tolist() == [-1, -1]

    data = make_corpus(tmp_path / "audio", 2)
    store = prepare_features(data, tmp_path / "store", truth=truth)
    assert store.true_phones[:6].tolist() == [0, 0, 1, 1, 1, 2]
    assert set(store.true_phones[slice(*store.span(1))]) == {-1}


def test_broken_phone_times_are_refused(tmp_path):
    """A line without an utterance is a UserError with its number; phones are required."""
    path = tmp_path / "train.jsonl"
    path.write_text('{"utt": "u0"}\n{"ut": 1}\n')
    with pytest.raises(UserError, match="jsonl:2"):
        TruePhones(path, ["SIL"])
    with pytest.raises(ValueError, match="phones"):
        TruePhones(path, [])
