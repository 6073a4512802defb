"""The frame store: what is written is read back, and a torn store is never opened."""

import os
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.corpus.audio import AudioError
from workbench.corpus.frames.manifest import StoreManifest
from workbench.corpus.frames.store import FrameStore, FrameStoreWriter, write_alignment
from workbench.corpus.frames.window import (
    LEFT,
    MEL,
    RIGHT,
    WINDOW,
    gather_windows,
    utterance_windows,
    window_index,
)
from workbench.corpus.utterances import SetAside, Utterance
from workbench.settings import UserError


def make(folder: Path, lengths=(3, 30, 1, 57), seed=0, phones=False) -> list[np.ndarray]:
    """A store of random frames; the features that went in."""
    random = np.random.default_rng(seed)
    features = [random.standard_normal((n, MEL), dtype=np.float32) for n in lengths]
    with FrameStoreWriter(folder, {"seed": seed}) as writer:
        for n, x in enumerate(features):
            utterance = Utterance(
                id=f"u{n}",
                speaker=f"s{n % 2}",
                words=("góðan", f"w{n}"),
                audio=folder / "a.flac",
                start=n / 2,
                end=n / 2 + 1,
                where="text:1",
                rate=16000,
            )
            writer.add(utterance, x, np.full(len(x), n) if phones and n != 1 else None)
        writer.set_aside(SetAside("gone", "silent audio", "text:9", "all zero"))
    return features


def naive_window(features: np.ndarray, t: int) -> np.ndarray:
    """The window at frame ``t`` of one utterance, frame by frame."""
    last = len(features) - 1
    rows = [features[min(max(t + k, 0), last)] for k in range(-LEFT, RIGHT + 1)]
    return np.concatenate(rows).astype(np.float16).astype(np.float32)


def test_round_trip(tmp_path):
    """Everything that goes into a store comes out of it, the features to half precision."""
    features = make(tmp_path / "s", phones=True)
    store = FrameStore.open(tmp_path / "s")
    assert (len(store), store.frames, store.about) == (4, 91, {"seed": 0})
    assert store.ids == ["u0", "u1", "u2", "u3"]
    assert store.speakers == ["s0", "s1", "s0", "s1"]
    assert store.words[3] == ("góðan", "w3")
    assert store.offsets.tolist() == [0, 3, 33, 34, 91]
    assert store.span(1) == (3, 33)
    np.testing.assert_allclose(store.seconds, [0.03, 0.3, 0.01, 0.57])
    np.testing.assert_array_equal(store.features, np.concatenate(features).astype(np.float16))
    assert store.true_phones.tolist() == [0] * 3 + [-1] * 30 + [2] + [3] * 57
    assert store.set_aside == (SetAside("gone", "silent audio", "text:9", "all zero"),)
    second = store.utterances[1]
    assert (second.start, second.end, second.rate) == (0.5, 1.5, 16000)
    assert (second.where, second.seconds) == ("utterances.jsonl:2", 0.3)
    assert store.alignment is None
    store.verify()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=8), st.data())
def test_windows_equal_the_naive_ones(lengths, data):
    """A window is the 20 frames before, the frame, and the 5 after; edge frames are repeated."""
    random = np.random.default_rng(sum(lengths))
    parts = [random.standard_normal((n, MEL)).astype(np.float16) for n in lengths]
    offsets = np.cumsum([0, *lengths])
    frames = np.array(
        data.draw(st.lists(st.integers(0, int(offsets[-1]) - 1), min_size=1, max_size=30))
    )
    which = np.searchsorted(offsets, frames, side="right") - 1
    wanted = np.stack(
        [naive_window(parts[u], t - offsets[u]) for u, t in zip(which, frames, strict=True)]
    )
    features = np.concatenate(parts)
    np.testing.assert_array_equal(gather_windows(features, offsets, frames), wanted)
    index = window_index(frames, offsets[which], offsets[which + 1])
    np.testing.assert_array_equal(features[index].reshape(-1, WINDOW).astype(np.float32), wanted)


def test_every_half_precision_number_is_widened_exactly():
    """The gather gives numpy's float32 for each of the 63,488 finite float16 values."""
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)]
    features = np.resize(halves, (1600, MEL))
    windows = gather_windows(features, np.array([0, 1600]), np.arange(1600))
    centre = windows[:, LEFT * MEL : (LEFT + 1) * MEL]
    np.testing.assert_array_equal(
        centre.view(np.uint32), features.astype(np.float32).view(np.uint32)
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("frame", [0, 20, 89])
def test_a_stored_number_that_is_not_finite_is_named(tmp_path, value, frame):
    """No window holds it as a value: reading the utterance ends in a line that names the utterance.

    Frames of other utterances are read as before.
    """
    make(tmp_path)
    spoilt = np.memmap(tmp_path / "features.f16", np.float16, "r+").reshape(-1, 40)
    spoilt[frame, 7] = value
    spoilt.flush()
    store = FrameStore.open(tmp_path)
    bad = int(np.searchsorted(store.offsets, frame, side="right")) - 1
    for u in range(len(store)):
        if u != bad:
            assert np.isfinite(store.utterance_windows(u)).all()
            continue
        with pytest.raises(UserError, match=f"utterance {store.ids[u]}: .* NaN or infinite"):
            store.utterance_windows(u)


def test_windows_of_an_utterance_and_of_a_batch(tmp_path):
    """Whole utterances, batches in a given array, and audio in no store give the same windows."""
    features = make(tmp_path / "s")
    store = FrameStore.open(tmp_path / "s")
    whole = store.utterance_windows(3)
    np.testing.assert_array_equal(whole, [naive_window(features[3], t) for t in range(57)])
    np.testing.assert_array_equal(whole, utterance_windows(features[3].astype(np.float16)))
    out = np.full((2, WINDOW), np.nan, np.float32)
    assert store.windows(np.array([34, 90]), out) is out
    np.testing.assert_array_equal(out, whole[[0, 56]])
    assert store.windows(np.empty(0, np.int64)).shape == (0, WINDOW)
    for frame in (-1, 91, 1 << 40):
        with pytest.raises(IndexError):
            store.windows(np.array([0, frame]))
    with pytest.raises(ValueError, match="out must be"):
        store.windows(np.array([0]), np.empty((2, WINDOW), np.float32))


FILES = [
    "features.f16",
    "offsets.npy",
    "utterances.jsonl",
    "set_aside.jsonl",
    "true_phones.npy",
    "manifest.json",
]


@pytest.mark.parametrize("name", [*FILES, "alignment"])
@pytest.mark.parametrize("how", ["missing", "shorter", "longer"])
def test_torn_store_is_refused(tmp_path, name, how):
    """A file that is missing, too short or too long is a UserError that names it."""
    make(tmp_path, phones=True)
    write_alignment(tmp_path, np.zeros(91, int))
    path = next(tmp_path.glob(f"{name}*"))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] if how == "shorter" else data + b"}")
    if how == "missing":
        path.unlink()
    with pytest.raises(UserError, match=path.name):
        FrameStore.open(tmp_path)


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"format": "workbench frames 1"}']
)
def test_wrong_manifest_is_refused(tmp_path, text):
    """A manifest that is anything but ours is a UserError."""
    make(tmp_path)
    (tmp_path / "manifest.json").write_bytes(text)
    with pytest.raises(UserError, match=r"manifest\.json"):
        FrameStore.open(tmp_path)


@pytest.mark.parametrize("name", FILES[:-1])
def test_verify_finds_a_flipped_bit(tmp_path, name):
    """One flipped bit anywhere passes the check of sizes, but not that of digests."""
    make(tmp_path, phones=True)
    data = bytearray((tmp_path / name).read_bytes())
    data[len(data) - 3] ^= 1
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=name):
        FrameStore.open(tmp_path).verify()


def test_a_failing_writer_leaves_the_old_store(tmp_path):
    """A writer whose block raises leaves no temporary files, and the former store."""
    make(tmp_path, seed=1)
    before = sorted(tmp_path.iterdir())
    utterance = Utterance("u", "s", ("w",), tmp_path / "a.wav")

    def fail() -> None:
        with FrameStoreWriter(tmp_path) as writer:
            writer.add(utterance, np.zeros((5, MEL)))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert sorted(tmp_path.iterdir()) == before
    assert FrameStore.open(tmp_path).about == {"seed": 1}


@pytest.mark.parametrize("commits", range(6))
def test_killed_while_replacing(tmp_path, monkeypatch, commits):
    """If writing stops after any number of files, the store is refused, not mixed."""
    make(tmp_path, seed=1)

    rename = os.replace
    left = iter(range(commits))

    def replace(*paths):
        if next(left, None) is None:
            raise KeyboardInterrupt
        rename(*paths)

    monkeypatch.setattr(os, "replace", replace)
    if commits < 5:
        with pytest.raises(KeyboardInterrupt):
            make(tmp_path, seed=2)
        with pytest.raises(UserError, match=r"manifest\.json"):
            FrameStore.open(tmp_path)
    else:
        make(tmp_path, seed=2)
        assert FrameStore.open(tmp_path).about == {"seed": 2}


@pytest.mark.parametrize(
    "bad",
    [np.zeros((0, MEL)), np.zeros((3, 39)), np.full((3, MEL), np.nan), np.full((3, MEL), 1e6)],
)
def test_writer_takes_only_finite_frames(tmp_path, bad):
    """Other shapes, no frames, and values that are not finite in half precision are refused."""
    with (
        pytest.raises(ValueError, match="u: features"),
        np.errstate(over="ignore"),
        FrameStoreWriter(tmp_path) as writer,
    ):
        writer.add(Utterance("u", "s", ("w",), tmp_path / "a.wav"), bad)


def test_alignment(tmp_path):
    """An alignment is kept in the smallest type; the newest replaces the others."""
    make(tmp_path)
    write_alignment(tmp_path, np.arange(-1, 90))
    first = FrameStore.open(tmp_path)
    assert first.alignment.dtype == np.int16
    write_alignment(tmp_path, np.arange(91) + 40_000)
    second = FrameStore.open(tmp_path)
    assert second.alignment.dtype == np.int32
    assert first.alignment.tolist() == list(range(-1, 90)), "an open store keeps what it opened"
    assert second.alignment.tolist() == list(range(40_000, 40_091))
    assert len(list(tmp_path.glob("alignment*"))) == 1
    second.verify()
    for wrong in (np.zeros(90, int), np.zeros(91), np.full(91, -2), np.full(91, 2**31)):
        with pytest.raises(ValueError, match="alignment"):
            write_alignment(tmp_path, wrong)


def test_alignment_is_all_or_nothing(tmp_path, monkeypatch):
    """Killed between the alignment and the manifest, the store still has its former alignment."""
    make(tmp_path)
    write_alignment(tmp_path, np.full(91, 1))

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(StoreManifest, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            write_alignment(tmp_path, np.full(91, 2))
    assert set(FrameStore.open(tmp_path).alignment) == {1}
    write_alignment(tmp_path, np.full(91, 2))
    assert set(FrameStore.open(tmp_path).alignment) == {2}


def test_store_without_utterances(tmp_path):
    """A store may be empty."""
    with FrameStoreWriter(tmp_path):
        pass
    store = FrameStore.open(tmp_path)
    assert (len(store), store.frames, store.ids) == (0, 0, [])
    assert store.windows(np.empty(0, int)).shape == (0, WINDOW)
    write_alignment(tmp_path, np.empty(0, int))
    assert len(FrameStore.open(tmp_path).alignment) == 0


def test_audio_is_found_after_a_move_and_changes_are_noticed(tmp_path):
    """Audio beside the store moves with it; audio that is not what was prepared is an error."""
    corpus = tmp_path / "corpus"
    random = np.random.default_rng(0)
    (corpus / "audio").mkdir(parents=True)
    audio = corpus / "audio" / "a.flac"
    samples = (random.integers(-9999, 9999, 16000) / 32768).astype(np.float32)
    soundfile.write(audio, samples, 16000)
    with FrameStoreWriter(corpus / "train") as writer:
        writer.add(Utterance("u", "s", ("w",), audio, 0.25, 0.75), np.ones((50, MEL)))
    corpus.rename(tmp_path / "moved")
    store = FrameStore.open(tmp_path / "moved" / "train")
    found, rate = store.audio(0)
    assert rate == 16000
    np.testing.assert_array_equal(found, samples[4000:12000])
    soundfile.write(tmp_path / "moved" / "audio" / "a.flac", samples[:6000], 16000)
    with pytest.raises(AudioError, match="changed audio"):
        FrameStore.open(tmp_path / "moved" / "train").audio(0)


def test_blocks_hold_as_many_frames_as_fit(prepared_tiny):
    """An utterance that is longer than a block is a block of its own."""
    store = FrameStore.open(prepared_tiny / "train")
    lengths = np.diff(store.offsets)
    blocks = list(store.blocks(range(len(store)), int(lengths.max()) - 1))
    assert list(chain(*blocks)) == list(range(len(store)))
    longest = int(lengths.argmax())
    assert [longest] in blocks
    for block in blocks:
        assert len(block) == 1 or lengths[block].sum() < lengths.max()
