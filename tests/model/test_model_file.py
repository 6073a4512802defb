"""A model on disk: what was saved comes back, damage is found and named, and one language starts
from another.
"""

import hashlib
import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from workbench.model import network
from workbench.model.model_file import ARRAYS, MANIFEST, load_model, save_model
from workbench.model.network import Topology
from workbench.settings import UserError

SMALL = Topology(7, (6, 5), 9)
METADATA = {"settings": {"criterion": "mmi", "seed": 3}, "language": "íslenska"}


@pytest.fixture
def saved(tmp_path):
    """A folder with a model of random parameters, and those."""
    theta = np.random.default_rng(0).standard_normal(SMALL.size).astype(np.float32)
    save_model(tmp_path / "model", theta, SMALL, METADATA)
    return tmp_path / "model", theta


def test_what_was_saved_comes_back(saved):
    """Bits, topology and metadata survive; parameters from a disk are read-only."""
    folder, theta = saved
    found, topology, metadata = load_model(folder)
    assert found.tobytes() == theta.tobytes()
    assert (topology, metadata) == (SMALL, METADATA)
    assert not found.flags.writeable
    assert sorted(p.name for p in folder.iterdir()) == [MANIFEST, ARRAYS]


def test_others_can_read_it(saved):
    """The file is plain safetensors with arrays by name and shape."""
    folder, theta = saved
    arrays = load_file(folder / ARRAYS)
    assert {name: a.shape for name, a in arrays.items()} == {
        n: s for n, (_, s) in SMALL.layout().entries.items()
    }
    assert np.array_equal(arrays["output.bias"], theta[-9:])


def test_a_second_model_replaces_the_first(saved):
    """Saving again leaves the new model, whole."""
    folder, _ = saved
    other = Topology(7, (4,), 3)
    save_model(folder, np.ones(other.size, np.float32), other, {})
    assert load_model(folder)[1] == other


@pytest.mark.parametrize("place", [0, 100, -1])
def test_a_flipped_bit_is_found(saved, place):
    """One wrong bit anywhere in the arrays is an error that names the file."""
    folder, _ = saved
    data = bytearray((folder / ARRAYS).read_bytes())
    data[place] ^= 1
    (folder / ARRAYS).write_bytes(data)
    with pytest.raises(UserError, match=rf"{ARRAYS}: damaged: its SHA-256"):
        load_model(folder)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: (f / MANIFEST).unlink(), "no model here"),
        (lambda f: (f / MANIFEST).write_text("{"), f"{MANIFEST}: damaged"),
        (lambda f: (f / MANIFEST).write_text("[]"), f"{MANIFEST}: damaged"),
        (
            lambda f: (f / MANIFEST).write_text('{"format": 99, "files": {}}'),
            "not the manifest of a model of format 1",
        ),
        (lambda f: (f / ARRAYS).unlink(), f"{ARRAYS}: missing"),
        (lambda f: (f / ARRAYS).write_bytes((f / ARRAYS).read_bytes()[:-5]), f"{ARRAYS}: damaged"),
    ],
)
def test_other_damage_is_named(saved, damage, words):
    """Missing and torn files are errors in one line that names the file."""
    folder, _ = saved
    damage(folder)
    with pytest.raises(UserError, match=words) as raised:
        load_model(folder)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x80\x04pickle", "not a safetensors file"),
        (None, r"hidden1.weight is float32 \[6, 7\], not float32 \[5, 7\]"),
    ],
)
def test_arrays_that_are_not_the_model_are_refused(saved, data, words):
    """A file with a fitting digest that is no safetensors file, or of another topology, is refused
    by name.
    """
    folder, _ = saved
    manifest = json.loads((folder / MANIFEST).read_text())
    if data is None:
        manifest["topology"]["hidden"] = [5, 5]
    else:
        (folder / ARRAYS).write_bytes(data)
        manifest["files"][ARRAYS] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=words):
        load_model(folder)


def test_a_crash_while_saving_leaves_no_wrong_model(saved, monkeypatch):
    """A failure half-way leaves no model, rather than new arrays under an old manifest."""
    folder, theta = saved

    def crash(path, data):
        raise OSError("disk full")

    monkeypatch.setattr("workbench.model.model_file.write_file", crash)
    with pytest.raises(OSError, match="disk full"):
        save_model(folder, theta, SMALL, {})
    with pytest.raises(UserError, match="no model here"):
        load_model(folder)


def test_one_language_starts_from_another(saved):
    """Hidden layers of a saved model start a network with other states, whose own output layer
    begins as if alone.
    """
    folder, theta = saved
    source, english, _ = load_model(folder)
    icelandic = Topology(7, (6, 5), 12)
    fresh = network.initial(icelandic, 1)
    begun = network.transfer(fresh, icelandic, source, english)
    hidden = network.trained_slice(icelandic, "last").start
    assert np.array_equal(begun[:hidden], theta[:hidden])
    assert np.array_equal(begun[hidden:], fresh[hidden:])
    x = np.random.default_rng(1).standard_normal((3, 7)).astype(np.float32)
    assert np.allclose(network.log_posteriors(begun, icelandic, x), -np.log(12), atol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e38, -2e6])
def test_a_broken_model_is_refused(tmp_path, value):
    """A number that nothing can be computed with is named with its array, whatever asks for the
    model: training, a test, tuning or decoding.
    """
    theta = np.zeros(SMALL.size, np.float32)
    theta[-3:-1] = value
    save_model(tmp_path, theta, SMALL, METADATA)
    with pytest.raises(UserError, match=r"2 of 9 numbers of output.bias .* this model is broken"):
        load_model(tmp_path)
