"""A trained network on disk: its arrays by name as safetensors, and a manifest with what they are and their SHA-256.

    DIR/model.safetensors    float32: hidden1.weight [units, inputs], hidden1.bias, ..., output.weight, output.bias
    DIR/manifest.json        topology, metadata, size and digest of the file; written last: without it there is no model

Nothing is ever unpickled: a model file that somebody sent can be opened.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from workbench.model.topology import Topology
from workbench.settings import UserError
from workbench.storage.files import write_file

FORMAT = 1
ARRAYS, MANIFEST = "model.safetensors", "manifest.json"


def save_model(
    folder: Path, theta: np.ndarray, topology: Topology, metadata: Mapping[str, Any]
) -> None:
    """Write parameters float32 [parameters] and ``metadata`` (JSON) into ``folder``, replacing a model there."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = folder / MANIFEST
    manifest.unlink(
        missing_ok=True
    )  # a crash from here on leaves no model rather than the wrong one
    views = topology.layout().views(np.ascontiguousarray(theta, np.float32))
    record = write_file(folder / ARRAYS, save(views, {"format": "np", "topology": str(topology)}))
    content = {
        "format": FORMAT,
        "topology": topology.to_dict(),
        "metadata": dict(metadata),
        "files": {ARRAYS: record},
    }
    write_file(manifest, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def load_model(folder: Path) -> tuple[np.ndarray, Topology, dict[str, Any]]:
    """(parameters, topology, metadata), the parameters float32 [parameters] and read-only.

    Whatever is missing or damaged is a UserError that names the file.
    """
    manifest = _manifest(folder / MANIFEST)
    path, record = folder / ARRAYS, manifest["files"][ARRAYS]
    data = path.read_bytes() if path.exists() else b""
    if len(data) != record["bytes"]:
        raise UserError(
            f"{path}: {'missing' if not path.exists() else 'damaged'}: {len(data)} bytes, not {record['bytes']}"
        )
    if hashlib.sha256(data).hexdigest() != record["sha256"]:
        raise UserError(f"{path}: damaged: its SHA-256 is not the one in {MANIFEST}")
    topology = Topology(**manifest["topology"])
    return _assemble(path, data, topology), topology, manifest["metadata"]


def _manifest(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise UserError(f"{path.parent}: no model here (no {MANIFEST})")
    try:
        manifest = json.loads(path.read_text())
        known = (
            manifest["format"] == FORMAT
            and {"topology", "metadata"} <= manifest.keys()
            and ARRAYS in manifest["files"]
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: damaged: {error}") from None
    if not known:
        raise UserError(f"{path}: not the manifest of a model of format {FORMAT}")
    return manifest


def _assemble(path: Path, data: bytes, topology: Topology) -> np.ndarray:
    try:
        arrays = load(data)
    except SafetensorError as error:
        raise UserError(f"{path}: not a safetensors file: {error}") from None
    layout = topology.layout()
    theta = np.empty(layout.size, np.float32)
    for name, (where, shape) in layout.entries.items():
        found = arrays.get(name)
        if found is None or found.shape != shape or found.dtype != np.float32:
            what = "missing" if found is None else f"{found.dtype} {list(found.shape)}"
            raise UserError(f"{path}: {name} is {what}, not float32 {list(shape)} as in {topology}")
        theta[where] = found.reshape(-1)
    theta.flags.writeable = False
    return theta
