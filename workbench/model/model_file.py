"""A trained network on disk: its arrays by name as safetensors, and a manifest with what they are
and their SHA-256.

    DIR/model.safetensors    float32: hidden1.weight [units, inputs], hidden1.bias, ...,
                             output.weight, output.bias
    DIR/manifest.json        topology, metadata, size and digest of the file; written last: without
                             it there is no model

Nothing is ever unpickled, so a model file from a stranger can be opened.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from workbench.model.topology import Topology
from workbench.settings import UserError
from workbench.storage.files import write_file

FORMAT = 1
ARRAYS = "model.safetensors"
MANIFEST = "manifest.json"


class SavedModel(NamedTuple):
    """A model that was loaded: ``theta`` float32 [parameters], read-only, with the ``metadata``
    saved beside it.
    """

    theta: np.ndarray
    topology: Topology
    metadata: dict[str, Any]


@dataclass(frozen=True)
class _Manifest:
    """The content of MANIFEST; ``bytes`` and ``sha256`` are those of ARRAYS."""

    topology: Topology
    metadata: dict[str, Any]
    bytes: int
    sha256: str


def save_model(
    folder: Path, theta: np.ndarray, topology: Topology, metadata: Mapping[str, Any]
) -> None:
    """Write parameters float32 [parameters] and ``metadata`` (JSON) into ``folder``, replacing a
    model there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    manifest = folder / MANIFEST
    # A crash from here on leaves no model rather than the wrong one.
    manifest.unlink(missing_ok=True)

    views = topology.layout().views(np.ascontiguousarray(theta, np.float32))
    record = write_file(folder / ARRAYS, save(views, {"format": "np", "topology": str(topology)}))
    content = {
        "format": FORMAT,
        "topology": topology.to_dict(),
        "metadata": dict(metadata),
        "files": {ARRAYS: record},
    }
    write_file(manifest, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def load_model(folder: Path) -> SavedModel:
    """Return the model in ``folder``; raises UserError with the file's name if something is missing
    or damaged.
    """
    manifest = _read_manifest(folder / MANIFEST)
    path = folder / ARRAYS
    exists = path.exists()
    data = path.read_bytes() if exists else b""
    if len(data) != manifest.bytes:
        what = "damaged" if exists else "missing"
        raise UserError(f"{path}: {what}: {len(data)} bytes, not {manifest.bytes}")
    if hashlib.sha256(data).hexdigest() != manifest.sha256:
        raise UserError(f"{path}: damaged: its SHA-256 is not the one in {MANIFEST}")

    theta = _join_arrays(path, data, manifest.topology)
    return SavedModel(theta, manifest.topology, manifest.metadata)


def _read_manifest(path: Path) -> _Manifest:
    if not path.exists():
        raise UserError(f"{path.parent}: no model here (no {MANIFEST})")
    try:
        content = json.loads(path.read_text())
        known = content["format"] == FORMAT
        if known:
            record = content["files"][ARRAYS]
            topology = Topology(**content["topology"])
            return _Manifest(topology, content["metadata"], record["bytes"], record["sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: damaged: {error}") from None
    raise UserError(f"{path}: not the manifest of a model of format {FORMAT}")


def _join_arrays(path: Path, data: bytes, topology: Topology) -> np.ndarray:
    """Return the flat vector of the arrays in ``data``; raises UserError if one is missing or does
    not fit.
    """
    try:
        arrays = load(data)
    except SafetensorError as error:
        raise UserError(f"{path}: not a safetensors file: {error}") from None

    layout = topology.layout()
    theta = np.empty(layout.size, np.float32)
    for name, (where, shape) in layout.entries.items():
        array = arrays.get(name)
        if array is None or array.shape != shape or array.dtype != np.float32:
            what = "missing" if array is None else f"{array.dtype} {list(array.shape)}"
            raise UserError(f"{path}: {name} is {what}, not float32 {list(shape)} as in {topology}")
        theta[where] = array.reshape(-1)
    theta.flags.writeable = False
    return theta
