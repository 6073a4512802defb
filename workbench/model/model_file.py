"""A trained network on disk: its arrays, and a manifest with topology and metadata.

    DIR/model.safetensors    float32: hidden1.weight [units, inputs], hidden1.bias, ...,
                             output.weight, output.bias
    DIR/manifest.json        topology, metadata, size and digest of the file; written last

Nothing is ever unpickled, so a model file from a stranger can be opened.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from workbench.model.topology import Topology
from workbench.settings import UserError
from workbench.storage.files import make_private_folder, write_file
from workbench.storage.manifest import MANIFEST, read_manifest, write_manifest

FORMAT = 1
ARRAYS = "model.safetensors"
LARGEST_PARAMETER = 1e6
"""Largest magnitude of a parameter. Those of trained networks are below a hundred."""


class SavedModel(NamedTuple):
    """A model that was read: parameters float32 [parameters], read-only."""

    theta: np.ndarray
    topology: Topology
    metadata: dict[str, Any]


def save_model(
    folder: Path, theta: np.ndarray, topology: Topology, metadata: Mapping[str, Any]
) -> None:
    """Write parameters float32 [parameters] and ``metadata`` (JSON), replacing a model."""
    make_private_folder(folder)
    # A crash from here on leaves no model rather than the wrong one.
    (folder / MANIFEST).unlink(missing_ok=True)

    views = topology.layout().views(np.ascontiguousarray(theta, np.float32))
    record = write_file(folder / ARRAYS, save(views, {"format": "np", "topology": str(topology)}))
    fields = {
        "format": FORMAT,
        "topology": topology.to_dict(),
        "metadata": dict(metadata),
        "files": {ARRAYS: record},
    }
    write_manifest(folder, fields)


def load_model(folder: Path) -> SavedModel:
    """Return the model in ``folder``.

    Raises UserError that names the file if it is missing or damaged, or if parameters are NaN,
    infinite or beyond `LARGEST_PARAMETER`: nothing can be computed from such a model.
    """
    if not (folder / MANIFEST).exists():
        raise UserError(f"{folder}: no model here (no {MANIFEST})")
    manifest = read_manifest(folder)
    fields = manifest.fields
    known = fields.get("format") == FORMAT and {"topology", "metadata"} <= fields.keys()
    if not known or ARRAYS not in manifest.files:
        raise manifest.problem(MANIFEST, f"not the manifest of a model of format {FORMAT}")

    topology = Topology(**fields["topology"])
    theta = _assemble(folder / ARRAYS, manifest.read_file(ARRAYS), topology)
    return SavedModel(theta, topology, fields["metadata"])


def _assemble(path: Path, data: bytes, topology: Topology) -> np.ndarray:
    """Return the parameters float32 [parameters] from the bytes of a safetensors file."""
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
        _check_parameters(path, name, found)
        theta[where] = found.reshape(-1)
    theta.flags.writeable = False
    return theta


def _check_parameters(path: Path, name: str, values: np.ndarray) -> None:
    """Raise UserError if some of ``values`` are NaN, infinite or too large to compute with."""
    broken = int((~(np.abs(values) <= LARGEST_PARAMETER)).sum())
    if broken:
        raise UserError(
            f"{path}: {broken} of {values.size} numbers of {name} are NaN, infinite or beyond "
            f"{LARGEST_PARAMETER:,.0f}: this model is broken; train it again"
        )
