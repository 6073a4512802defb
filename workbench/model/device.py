"""The device that computes: a GPU if torch can use one, else the CPU. The variable WORKBENCH_DEVICE
decides otherwise.

WORKBENCH_DEVICE is auto (the default), cpu or cuda.
"""

import functools
import os

import torch

from workbench.settings import UserError

DEVICES = ("auto", "cpu", "cuda")


@functools.cache
def device() -> torch.device:
    """Return the device that computes, as tensors on it name it.

    Raises UserError if WORKBENCH_DEVICE asks for one that is not there.
    """
    wanted = os.environ.get("WORKBENCH_DEVICE", "auto")
    if wanted not in DEVICES:
        raise UserError(f"WORKBENCH_DEVICE={wanted}: choose one of {', '.join(DEVICES)}")
    usable = wanted != "cpu" and torch.cuda.is_available() and _torch_was_built_for_this_gpu()
    if wanted == "cuda" and not usable:
        raise UserError(f"WORKBENCH_DEVICE=cuda: torch {torch.__version__} can use no GPU here")
    return torch.device("cuda", torch.cuda.current_device()) if usable else torch.device("cpu")


def describe_device() -> str:
    """Return the device's name for the record of a run, and why a GPU is not used where there is
    one.
    """
    if device().type == "cuda":
        return f"cuda: {torch.cuda.get_device_name()}"
    if torch.cuda.is_available() and not _torch_was_built_for_this_gpu():
        return f"cpu; torch {torch.__version__} was not built for {torch.cuda.get_device_name()}"
    return "cpu"


def _torch_was_built_for_this_gpu() -> bool:
    """Return whether this torch has code that the GPU can run.

    Binaries ("sm") run on later GPUs of the same generation, intermediate code ("compute") on every
    later one.
    """
    capability = torch.cuda.get_device_capability()
    for architecture in torch.cuda.get_arch_list():
        kind, _, version = architecture.partition("_")
        digits = "".join(c for c in version if c.isdigit())
        built_for = divmod(int(digits), 10)
        same_generation = built_for[0] == capability[0]
        if built_for <= capability and (kind == "compute" or same_generation):
            return True

    return False
