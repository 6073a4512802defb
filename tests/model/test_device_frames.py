"""The frames of a split on the device: the windows and targets of the store, bit for bit."""

from pathlib import Path

import numpy as np
import pytest
from devices import on_device

from workbench.corpus.frames.store import FrameStore
from workbench.model import device_frames
from workbench.model.device_frames import DeviceFrames
from workbench.model.kernels import Kernel
from workbench.prepare.corpus import Corpus

__all__ = ["on_device"]


@pytest.fixture(scope="module")
def store(prepared_tiny: Path) -> FrameStore:
    """The training data of the tiny corpus."""
    return Corpus(prepared_tiny).split("train")


@pytest.mark.parametrize("chunk", [1, 500, 1 << 20])
def test_windows_and_targets_are_those_of_the_store(
    on_device: Kernel, store: FrameStore, monkeypatch, chunk
):
    """All of them, also at the edges of utterances; however many frames are copied at a time."""
    monkeypatch.setattr(device_frames, "CHUNK", chunk)
    frames = DeviceFrames.of(store, on_device.device)
    assert frames is not None
    positions = np.random.default_rng(0).permutation(store.frames)
    places = frames.places(positions)
    windows = frames.windows(places).float().cpu().numpy()
    assert np.array_equal(windows, store.windows(positions))
    assert store.alignment is not None
    assert np.array_equal(frames.targets(places).cpu().numpy(), store.alignment[positions])


def test_no_frames_are_no_windows(on_device: Kernel, store: FrameStore):
    """A batch may be empty."""
    frames = DeviceFrames.of(store, on_device.device)
    assert frames is not None
    assert frames.windows(frames.places(np.zeros(0, np.int64))).shape == (0, 1040)


@pytest.mark.parametrize("position", [-1, "frames"])
def test_frames_that_do_not_exist_are_refused(on_device: Kernel, store: FrameStore, position):
    """An index outside would read another utterance, or stop the device."""
    frames = DeviceFrames.of(store, on_device.device)
    assert frames is not None
    outside = store.frames if position == "frames" else position
    with pytest.raises(IndexError, match="frames must lie in"):
        frames.places(np.array([0, outside]))


def test_a_number_that_is_not_finite_keeps_frames_on_the_host(
    on_device: Kernel, store: FrameStore, monkeypatch
):
    """There the store names the utterance when a batch asks for the frame."""
    features = np.array(store.features)
    features[123, 4] = np.nan
    monkeypatch.setattr(store, "features", features)
    assert DeviceFrames.of(store, on_device.device) is None


def test_the_size_is_foretold(on_device: Kernel, store: FrameStore):
    """It decides whether the frames are copied at all."""
    frames = DeviceFrames.of(store, on_device.device)
    assert frames is not None and frames.alignment is not None
    stored = frames.runs.untyped_storage().nbytes() + frames.alignment.nbytes
    assert DeviceFrames.bytes_of(store) == stored
