"""Where the parameters and the frames of a run lie: on the device that computes, or on the host.

On the CPU there is no choice. With a GPU, what crosses the bus at every batch decides the speed, so
everything that a batch needs stays there: parameters are published as they lie on the device, and
windows are gathered from the frames there. Where that is impossible, the run works from the host's
memory, slower, and its record says why.
"""

from dataclasses import dataclass

import torch

from workbench.corpus.frames.store import FrameStore
from workbench.model.device_frames import DeviceFrames
from workbench.model.kernels import Kernel
from workbench.settings import Settings

SHARE = 0.5
"""The share of a device's free memory that the frames of one split may take."""

DEVICE = "device"
HOST = "host"
WORKERS = "workers"


@dataclass(frozen=True)
class Place:
    """Where something lies, `DEVICE`, `HOST` or `WORKERS`, and why or how much of it."""

    where: str
    reason: str


@dataclass(frozen=True)
class Residence:
    """Where the parameters of a run and its training data lie."""

    parameters: Place
    frames: Place


FRAMES_OF_WORKERS = Place(WORKERS, "each worker copies the frames to its device if they fit")


def place_of_parameters(settings: Settings, kernel: Kernel) -> Place:
    """Return where the parameter servers of a run keep their parameters."""
    if not kernel.own_memory:
        return Place(HOST, "the processor computes")
    if settings.clock.kind == "wall":
        return Place(HOST, "the processes of a cluster exchange arrays of the host")

    updates = settings.updates
    asynchrony = settings.asynchrony
    if updates.optimizer != "sgd":
        return Place(HOST, f"optimizer={updates.optimizer} is computed in numpy")
    if asynchrony.delay_compensation:
        return Place(HOST, "delay_compensation is computed in numpy")
    if asynchrony.synchronous:
        return Place(HOST, "synchronous updates are summed in numpy")
    if asynchrony.wire != "float32":
        return Place(HOST, f"wire={asynchrony.wire} rounds on the host")
    return Place(DEVICE, "updates are plain")


@dataclass(frozen=True, eq=False)
class PlacedFrames:
    """The frames of one split: ``on_device``, or None and the reason."""

    place: Place
    on_device: DeviceFrames | None = None


def place_frames(store: FrameStore, kernel: Kernel) -> PlacedFrames:
    """Copy the frames of a split to the device if they fit into its free memory."""
    if not kernel.own_memory:
        return PlacedFrames(Place(HOST, "the processor computes"))

    needed = DeviceFrames.bytes_of(store)
    free = free_bytes(kernel.device)
    size = f"{needed / 1e9:.2f} GB of frames, {free / 1e9:.2f} GB free on the device"
    if needed > SHARE * free:
        return PlacedFrames(Place(HOST, size))

    frames = DeviceFrames.of(store, kernel.device)
    if frames is None:
        return PlacedFrames(Place(HOST, "a stored feature is NaN or infinite"))
    return PlacedFrames(Place(DEVICE, size), frames)


def free_bytes(device: torch.device) -> int:
    """Return the free memory of a GPU, with what torch keeps there to use it again."""
    free, _ = torch.cuda.mem_get_info(device)
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(free) + unused
