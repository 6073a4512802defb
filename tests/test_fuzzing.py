"""Every reader takes or refuses inputs that are nearly right: the first of those that are fuzzed.

`tests/faults/fuzz_readers.py` goes on from here.
"""

import time
from pathlib import Path

import pytest

pytest.importorskip("distributed")

from fuzzing import Hang, Reader, deadline, fuzz, mutate, readers

INPUTS = 300
NAMES = [
    *("kaldi wav.scp", "kaldi segments", "kaldi text", "kaldi utt2spk", "lhotse", "lexicon"),
    *("arpa", "audio", "checkpoint", "record", "status", "rows", "table", "summary", "machine"),
    *("json", "message"),
]


def test_all_readers_are_named(tmp_path):
    """The list of this test is that of the readers."""
    assert {reader.name for reader in readers(tmp_path)} == set(NAMES)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_no_input_ends_in_another_error(tmp_path, name):
    """Each input is taken or refused by a documented error, at once and in bounded memory."""
    reader = next(reader for reader in readers(tmp_path) if reader.name == name)
    ends, faults = fuzz(reader, tmp_path, range(INPUTS))
    assert [str(fault) for fault in faults] == []
    assert ends.total() == INPUTS


def test_inputs_are_the_same_again_and_differ():
    """A number is enough to repeat an input."""
    examples = (b"one example", b"another one")
    made = [mutate(examples, number) for number in range(200)]
    assert made == [mutate(examples, number) for number in range(200)]
    assert len(set(made)) > 150


def breaks(folder: Path, data: bytes) -> object:
    """A reader with a fault."""
    if b"y" not in data:
        raise KeyError("y")
    return data


def test_a_fault_is_found(tmp_path):
    """A reader that raises something else is reported with the number of the input."""
    reader = Reader("broken", (b"xyz",), breaks)
    _, faults = fuzz(reader, tmp_path, range(100))
    assert faults
    with pytest.raises(KeyError):
        breaks(tmp_path, mutate(reader.examples, faults[0].number))


def sleep_in_spite_of_errors():
    """Never ends, whatever error is raised."""
    while True:
        try:
            time.sleep(1)
        except Exception:
            continue


def compute_for_ever():
    """Uses the processor, and never ends."""
    while True:
        pass


def test_a_reader_that_hangs_is_ended():
    """It does not matter which errors it catches, or whether it computes."""
    with pytest.raises(Hang), deadline(0.01):
        sleep_in_spite_of_errors()
    with pytest.raises(Hang), deadline(0.01):
        compute_for_ever()
