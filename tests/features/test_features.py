"""Features: equal to Kaldi's, the same for any number of processes, and nothing unusable gets in."""

import itertools
import json
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from workbench.corpus.audio import AudioReader, read_audio
from workbench.corpus.frames.store import FrameStore
from workbench.corpus.utterances import DataSet, Utterance
from workbench.features import Normalisation, features_of, prepare
from workbench.features.kaldi import kaldi_log_mel
from workbench.features.logmel import MEL, feature_rate, frame_count, log_mel
from workbench.features.phones import TruePhones
from workbench.features.prepare import choose_rate, chunks, prepare_features
from workbench.settings import UserError


def speechlike(seconds: float, rate: int = 16000, seed: int = 0) -> np.ndarray:
    """Noise under a slow envelope with gaps, float32 in (-1, 1)."""
    random = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    envelope = np.maximum(0.001, np.sin(2 * np.pi * 1.7 * t + seed)) * 0.1
    return (random.standard_normal(len(t)) * envelope).clip(-0.99, 0.99).astype(np.float32)


def corpus(folder: Path, count: int = 6, rate: int = 16000, kind: str = "flac") -> DataSet:
    """Utterances of different lengths, of two speakers, a file each."""
    folder.mkdir(parents=True, exist_ok=True)
    utterances = []
    for n in range(count):
        path = folder / f"u{n}.{kind}"
        soundfile.write(path, speechlike(0.3 + 0.17 * n, rate, n) * (1 + n), rate)
        seconds = soundfile.info(path).duration
        utterances.append(
            Utterance(
                f"u{n}", f"s{n % 2}", ("w",), path, where=f"text:{n}", rate=rate, seconds=seconds
            )
        )
    return DataSet(tuple(utterances))


@pytest.mark.parametrize("rate", [8000, 16000])
def test_equal_to_kaldi(rate):
    """Log-mel energies are those of kaldi-native-fbank to 1e-3, whatever the length (measured: 1e-4)."""
    for n in (
        1,
        rate // 200 - 1,
        rate // 200,
        rate // 40 - 1,
        rate // 40,
        rate // 10 + 7,
        rate * 12,
    ):
        samples = speechlike(n / rate, rate, n)
        ours, kaldis = log_mel(samples, rate), kaldi_log_mel(samples, rate)
        assert ours.dtype == np.float32
        assert ours.shape == kaldis.shape == (frame_count(n / rate), MEL)
        np.testing.assert_allclose(ours, kaldis, atol=1e-3)


@pytest.mark.parametrize(
    ("rate", "to"), [(44100, 16000), (22050, 16000), (48000, 16000), (11025, 8000)]
)
def test_other_rates(rate, to):
    """What was recorded at another rate gives nearly the features of the same sound recorded at the features' own."""
    random = np.random.default_rng(0)
    tones = [(f, random.uniform(0, 6.28)) for f in np.geomspace(60, 3300, 60)]
    ours, theirs = (
        log_mel(sum(0.01 * np.sin(2 * np.pi * f * np.arange(r) / r + p) for f, p in tones), r)
        for r in (rate, to)
    )
    assert feature_rate(rate) == to
    low = slice(0, 30 if to == 16000 else 38)  # bins that hold a tone
    np.testing.assert_allclose(ours[5:-5, low], theirs[5:-5, low], atol=0.05)
    with pytest.raises(ValueError, match="8000"):
        log_mel(np.zeros(100), 7999)


@pytest.mark.parametrize("by", ["utterance", "speaker"])
def test_normalisation(tmp_path, by):
    """The mean over each utterance or speaker is 0, and every mel bin of the training split has variance 1."""
    store = prepare_features(corpus(tmp_path / "audio"), tmp_path / "train", by)
    features = store.features.astype(np.float64)
    np.testing.assert_allclose(features.std(axis=0), 1, atol=2e-3)
    owner = np.repeat(store.ids if by == "utterance" else store.speakers, np.diff(store.offsets))
    for key in set(owner):
        np.testing.assert_allclose(features[owner == key].mean(axis=0), 0, atol=2e-3)
    if by == "speaker":
        assert abs(features[owner == "s0"][:30].mean()) > 0.1, (
            "utterances of a speaker differ in level here"
        )


def test_new_audio_is_made_like_the_training_data(tmp_path):
    """Held-out splits and single files take rate and scale of the training split, not their own."""
    train = prepare_features(corpus(tmp_path / "a"), tmp_path / "train")
    data = corpus(tmp_path / "b", 3, 44100, "wav")
    store = prepare_features(
        data, tmp_path / "test", scale=train.about["scale"], rate=train.about["rate"]
    )
    assert store.about == train.about
    single = features_of(*read_audio(data.utterances[1].audio), train.about)
    np.testing.assert_array_equal(single.astype(np.float16), store.features[slice(*store.span(1))])
    with pytest.raises(UserError, match="8000 Hz"):
        features_of(np.zeros(8000), 8000, train.about)
    with pytest.raises(ValueError, match="rate"):
        prepare_features(data, tmp_path / "test", scale=train.about["scale"])
    for about in (
        {},
        {**train.about, "scale": [1.0]},
        {**train.about, "rate": 44100},
        {**train.about, "scale": 3},
    ):
        with pytest.raises(UserError):
            Normalisation.of(about)


def test_number_of_processes_changes_no_bit(tmp_path, monkeypatch):
    """Two processes make the store that one makes, files and digests, and progress ends at the number of utterances."""
    monkeypatch.setattr(prepare, "WORTH_PROCESSES", 0.0)
    monkeypatch.setattr(prepare, "CHUNK", 2)
    pools, told, pool = [], [], prepare.ProcessPoolExecutor
    monkeypatch.setattr(
        prepare, "ProcessPoolExecutor", lambda *a: pools.append(pool(*a)) or pools[-1]
    )
    data = corpus(tmp_path / "audio", 7)
    one = prepare_features(data, tmp_path / "one" / "train")
    assert not pools
    two = prepare_features(
        data, tmp_path / "two" / "train", jobs=2, progress=lambda *what: told.append(what)
    )
    assert len(pools) == 1
    assert (one.folder / "manifest.json").read_text() == (two.folder / "manifest.json").read_text()
    assert told[-1] == (7, 7, "features")


def test_segments_are_the_samples_of_their_recording(tmp_path):
    """Segments of one recording, in any order, are exactly its samples from start to end."""
    whole = (speechlike(8.0) * 32768).round() / 32768
    for kind in ("flac", "wav"):
        path = tmp_path / f"long.{kind}"
        soundfile.write(path, whole, 16000)
        with AudioReader() as reader:
            for start, end in [
                (0.0, 1.0),
                (1.0, 1.5),
                (4.25, 6.0),
                (2.0, 3.0),
                (7.5, None),
                (0.1, 0.2),
            ]:
                samples, rate = reader.read(path, start, end)
                last = len(whole) if end is None else round(end * rate)
                np.testing.assert_array_equal(
                    samples, whole[round(start * rate) : last].astype(np.float32)
                )


def test_channels_are_averaged(tmp_path):
    """Stereo becomes mono as the mean of the channels."""
    soundfile.write(
        tmp_path / "a.wav", np.stack([np.full(800, 0.5), np.full(800, 0.25)], axis=1), 16000
    )
    np.testing.assert_array_equal(
        read_audio(tmp_path / "a.wav")[0], np.full(800, 0.375, np.float32)
    )


def test_chunks_keep_recordings_together():
    """Chunks hold all utterances in order, and a recording is not cut between two of them."""
    names = [f"r{n // 9}" for n in range(400)]
    parts = list(
        chunks([Utterance(str(n), "s", ("w",), Path(name)) for n, name in enumerate(names)])
    )
    assert [int(u.id) for part in parts for u in part] == list(range(400))
    assert all(a[-1].audio != b[0].audio for a, b in itertools.pairwise(parts))
    assert len(parts) == 6


def test_rate_of_a_corpus():
    """Features are 8 kHz where most audio is telephone speech; then nothing is set aside for it."""
    make = [
        Utterance("a", "s", ("w",), Path("a"), rate=rate, seconds=s)
        for rate, s in ((8000, 5), (44100, 4), (100, 9))
    ]
    assert choose_rate(make) == 8000
    assert choose_rate(make[1:]) == 16000
    assert choose_rate([]) == 16000


def bad_audio(folder: Path) -> dict[str, tuple[Path, str]]:
    """Audio that headers do not give away, by what is wrong with it, and the reason it is to be set aside for."""
    folder.mkdir()
    good = speechlike(1.0)

    def write(
        name: str, samples: np.ndarray, rate: int = 16000, kind: str = "wav", **options
    ) -> Path:
        soundfile.write(folder / f"{name}.{kind}", samples, rate, **options)
        return folder / f"{name}.{kind}"

    nan, infinite = good.copy(), good.copy()
    nan[777], infinite[5] = np.nan, -np.inf
    cut = write("cut", good, kind="flac")
    cut.write_bytes(cut.read_bytes()[:9000])
    broken = write("broken", good, kind="flac")
    data = bytearray(broken.read_bytes())
    data[4000:4100] = bytes(100)
    broken.write_bytes(data)
    vanished = folder / "vanished.wav"
    return {
        "zeros": (write("zeros", np.zeros(16000)), "silent audio"),
        "constant": (write("constant", np.full(16000, 0.5)), "silent audio"),
        "nan": (write("nan", nan, subtype="FLOAT"), "audio not finite"),
        "infinite": (write("infinite", infinite, subtype="FLOAT"), "audio not finite"),
        "huge": (write("huge", good * 1e30, subtype="FLOAT"), "audio out of range"),
        "few": (write("few", good[:70]), "too short for a frame"),
        "empty": (write("empty", good[:0]), "empty audio"),
        "slow": (write("slow", good, 8000), "sample rate too low"),
        "cut": (cut, "unreadable audio|truncated audio"),
        "broken": (broken, "unreadable audio|truncated audio"),
        "vanished": (vanished, "missing audio"),
    }


def test_unusable_audio_is_set_aside_with_its_reason(tmp_path):
    """What only decoding finds is set aside under its reason, and everything else is in the store."""
    bad, good = bad_audio(tmp_path / "bad"), corpus(tmp_path / "good", 2)
    utterances = [
        Utterance(name, "s", ("w",), path, where="text:1", rate=16000)
        for name, (path, _) in bad.items()
    ]
    data = DataSet((good.utterances[0], *utterances, good.utterances[1]))
    store = prepare_features(data, tmp_path / "store")
    assert store.ids == ["u0", "u1"]
    reasons = {s.utterance: s.reason for s in store.set_aside}
    assert {
        name: reasons[name] in reason.split("|") for name, (_, reason) in bad.items()
    } == dict.fromkeys(bad, True)
    left = data.without(store.set_aside)
    assert (left.seen, len(left.utterances), len(left.set_aside)) == (13, 2, 11)
    store.verify()


def test_header_that_promises_too_much_takes_no_memory(tmp_path):
    """A header that claims hours of audio is set aside without memory for hours."""
    path = tmp_path / "liar.wav"
    soundfile.write(path, speechlike(0.5), 16000)
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
    utterances = [
        Utterance(f"u{n}", "s", ("w",), Path("a.wav"), rate=16000, seconds=10.0) for n in range(250)
    ]

    def extract(utterances, rate, jobs):
        return (
            np.random.default_rng(n).standard_normal((1000, MEL), np.float32)
            for n, _ in enumerate(utterances)
        )

    monkeypatch.setattr(prepare, "extract", extract)
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
        prepare_features(corpus(tmp_path / "audio"), tmp_path / "store", progress=stop)
    assert not list((tmp_path / "store").iterdir())
    with pytest.raises(UserError):
        FrameStore.open(tmp_path / "store")


def test_true_phones(tmp_path):
    """A frame has the phone that is said at its middle; what the lexicon or the file lacks is -1."""
    path = tmp_path / "train.jsonl"
    lines = [
        {"utt": "u0", "phones": [["a", 0.02, 0.055], ["t", 0.055, 0.2], ["x", 0.2, 0.25]]},
        {"utt": "þ", "phones": []},
    ]
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    truth = TruePhones(path, ["SIL", "a", "t"])
    assert truth.frames("u0", 27).tolist() == [0] * 2 + [1] * 3 + [2] * 15 + [-1] * 5 + [0] * 2
    assert truth.frames("unknown", 2).tolist() == [-1, -1]
    data = corpus(tmp_path / "audio", 2)
    store = prepare_features(data, tmp_path / "store", true_phones=path, phones=["SIL", "a", "t"])
    assert store.true_phones[:6].tolist() == [0, 0, 1, 1, 1, 2]
    assert set(store.true_phones[slice(*store.span(1))]) == {-1}
    path.write_text('{"utt": "u0"}\n{"ut": 1}\n')
    with pytest.raises(UserError, match="jsonl:2"):
        TruePhones(path, ["SIL"])
    with pytest.raises(ValueError, match="phones"):
        TruePhones(path, [])
