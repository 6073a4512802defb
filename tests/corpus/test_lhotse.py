"""Lhotse manifests, read without Lhotse: the same utterances and samples that Lhotse itself finds."""

import gzip
import json
import random
from pathlib import Path

import numpy as np
import pytest
import soundfile

from workbench.corpus.audio import read_audio
from workbench.corpus.lhotse import read_lhotse
from workbench.corpus.utterances import summary
from workbench.settings import UserError


def audio(path: Path, seconds: float = 2.0, rate: int = 16000, channels: int = 1) -> Path:
    """A file with noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(path.name)).integers(
        -9999, 9999, (round(seconds * rate), channels)
    )
    soundfile.write(path, noise.astype(np.int16), rate)
    return path


def write(path: Path, *lines: dict | str) -> None:
    """A manifest, compressed if its name says so."""
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    with gzip.open(path, "wb") if path.suffix == ".gz" else open(path, "wb") as file:
        file.write(text.encode("utf-8", "surrogatepass"))


def recording(**changes) -> dict:
    """A recording manifest's line for a.wav."""
    sources = [{"type": "file", "channels": [0], "source": "a.wav"}]
    return {
        "id": "r",
        "sources": sources,
        "sampling_rate": 16000,
        "num_samples": 32000,
        "duration": 2.0,
        **changes,
    }


def supervision(**changes) -> dict:
    """A supervision manifest's line for half a second of it."""
    told = {
        "id": "u",
        "recording_id": "r",
        "start": 0.5,
        "duration": 0.5,
        "channel": 0,
        "text": "einn",
        "speaker": "s",
    }
    return {**told, **changes}


@pytest.mark.parametrize("kind", ["supervisions", "cuts"])
@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz"])
def test_equal_to_lhotse(tmp_path, kind, ending):
    """Utterances and their samples are those that Lhotse makes of the manifests that it wrote."""
    lhotse = pytest.importorskip("lhotse")
    chance, recordings, supervisions = random.Random(0), [], []
    for name, rate in (("one", 16000), ("two", 8000)):
        path = audio(tmp_path / "audio" / f"{name}.flac", 3.0, rate)
        recordings.append(lhotse.Recording.from_file(path, recording_id=name))
        for n in range(3):
            start, length = chance.randrange(100) / 100, 0.5 + chance.randrange(100) / 100
            words = {"text": f"góðan dag {n}", "speaker": f"s{n}"}
            supervisions.append(
                lhotse.SupervisionSegment(f"{name}-{n}", name, start, length, **words)
            )
    recordings, supervisions = (
        lhotse.RecordingSet.from_recordings(recordings),
        lhotse.SupervisionSet(supervisions),
    )
    cuts = lhotse.CutSet.from_manifests(recordings, supervisions)
    if kind == "cuts":
        cuts.to_file(tmp_path / f"my_cuts_train-clean-5.{ending}")
    else:
        recordings.to_file(tmp_path / f"my_recordings_train.{ending}")
        supervisions.to_file(tmp_path / f"my_supervisions_train.{ending}")
    data = read_lhotse(tmp_path)["train"]
    wanted = {
        cut.supervisions[0].id: cut for cut in cuts.trim_to_supervisions(keep_overlapping=False)
    }
    assert not data.set_aside
    assert {u.id for u in data.utterances} == set(wanted)
    for u in data.utterances:
        cut = wanted[u.id]
        assert (" ".join(u.words), u.speaker) == (
            cut.supervisions[0].text,
            cut.supervisions[0].speaker,
        )
        np.testing.assert_array_equal(read_audio(u.audio, u.start, u.end)[0], cut.load_audio()[0])


def test_names_of_splits(tmp_path):
    """Prefixes are no splits, several training parts are one, and dev and test have their places."""
    audio(tmp_path / "a.wav")
    cut = {
        "id": "c",
        "start": 0,
        "duration": 2.0,
        "channel": 0,
        "recording": recording(),
        "type": "MonoCut",
    }
    names = (
        "x_cuts_train-100",
        "x_cuts_train-360",
        "libri_cuts_dev-clean",
        "test_cuts",
        "cuts.other",
    )
    for n, name in enumerate(names):
        write(tmp_path / f"{name}.jsonl", {**cut, "supervisions": [supervision(id=f"u{n}")]})
    write(tmp_path / "unrelated.jsonl", {"a": 1})
    found = {name: [u.id for u in data.utterances] for name, data in read_lhotse(tmp_path).items()}
    assert found == {"train": ["u0", "u1"], "heldout": ["u2"], "test": ["u3"], "other": ["u4"]}


def test_a_cut_may_start_anywhere(tmp_path):
    """Times of the supervisions of a cut count from its start; one without a speaker is its own."""
    audio(tmp_path / "a.wav")
    several = [supervision(id="u1", start=0.25), supervision(id="u2", start=0.75, speaker=None)]
    write(
        tmp_path / "cuts_train.jsonl",
        {"id": "c", "start": 0.5, "recording": recording(), "supervisions": several},
    )
    data = read_lhotse(tmp_path)["train"]
    assert [(u.id, u.start, u.end, u.speaker) for u in data.utterances] == [
        ("u1", 0.75, 1.25, "s"),
        ("u2", 1.25, 1.75, "u2"),
    ]
    assert data.utterances[0].where == "cuts_train.jsonl:1"


SOURCES = [{"type": "file", "channels": [0], "source": "a.wav"}]
BAD = {
    "no audio": (recording(sources=[{**SOURCES[0], "source": "none.wav"}]), {}, "missing audio"),
    "command": (
        recording(sources=[{**SOURCES[0], "type": "command", "source": "cat a.wav"}]),
        {},
        "unsupported audio source",
    ),
    "pipe": (
        recording(sources=[{**SOURCES[0], "source": "cat a.wav |"}]),
        {},
        "unsupported audio source",
    ),
    "address": (recording(sources=[{**SOURCES[0], "type": "url"}]), {}, "unsupported audio source"),
    "two sources": (recording(sources=SOURCES * 2), {}, "unsupported audio source"),
    "no sources": (recording(sources=None), {}, "unsupported audio source"),
    "surrogate": (recording(sources=[{**SOURCES[0], "source": "\ud800"}]), {}, "missing audio"),
    "transformed": (recording(transforms=[{"name": "Speed"}]), {}, "unsupported transform"),
    "one of two channels": (
        recording(sources=[{**SOURCES[0], "source": "stereo.wav"}]),
        {},
        "unsupported channel",
    ),
    "unknown recording": (recording(), {"recording_id": "x"}, "unknown recording"),
    "no text": (recording(), {"text": None}, "no text"),
    "empty text": (recording(), {"text": " "}, "empty text"),
    "surrogate in text": (recording(), {"text": "a\udc00"}, "invisible character in text"),
    "no start": (recording(), {"start": None}, "bad segment times"),
    "NaN": (recording(), {"duration": float("nan")}, "bad segment times"),
    "true": (recording(), {"start": True}, "bad segment times"),
    "backwards": (recording(), {"duration": -0.1}, "bad segment times"),
    "outside": (recording(), {"start": 3}, "segment outside audio"),
    "bad id": (recording(), {"id": "../u"}, "bad id"),
    "bad speaker": (recording(), {"speaker": "a b"}, "bad speaker id"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_set_aside(tmp_path, name):
    """Each kind of bad input sets aside the utterance it concerns with its reason and place, and no other."""
    line, changes, reason = BAD[name]
    audio(tmp_path / "a.wav")
    audio(tmp_path / "stereo.wav", channels=2)
    write(tmp_path / "recordings_train.jsonl.gz", line, recording(id="good"))
    told = supervision(id="v", recording_id="good")
    write(tmp_path / "supervisions_train.jsonl.gz", {**supervision(), **changes}, told)
    data = read_lhotse(tmp_path)["train"]
    assert [(s.reason, s.where) for s in data.set_aside] == [
        (reason, "supervisions_train.jsonl.gz:1")
    ]
    assert [u.id for u in data.utterances] == ["v"]


def test_broken_lines_are_set_aside(tmp_path):
    """A line that is no JSON object, or a cut that mixes, is set aside; the others are read."""
    audio(tmp_path / "a.wav")
    cut = {"id": "c", "start": 0, "duration": 2.0, "recording": recording(), "type": "MonoCut"}
    lines = [
        "{",
        "[]",
        "[" * 100_000,
        "\ud800",
        {**cut, "id": "m", "type": "MixedCut"},
        {**cut, "supervisions": []},
    ]
    lines += [
        {**cut, "recording": None, "supervisions": [supervision(id="x")]},
        {**cut, "supervisions": [3]},
    ]
    write(tmp_path / "cuts_train.jsonl", *lines, "", {**cut, "supervisions": [supervision()]})
    data = read_lhotse(tmp_path)["train"]
    assert [u.id for u in data.utterances] == ["u"]
    assert [s.reason for s in data.set_aside] == [
        "bad manifest line",
        "bad manifest line",
        "bad manifest line",
        "bad manifest line",
        "unsupported cut",
        "no text",
        "missing audio",
        "no text",
    ]
    counts = summary(data)
    assert (counts.seen, counts.usable, counts.set_aside) == (9, 1, 8)


def test_unusable_folders_are_user_errors(tmp_path):
    """No manifests, half of a pair, or a manifest that is cut short are refused with their names."""
    with pytest.raises(UserError, match="no Lhotse manifests"):
        read_lhotse(tmp_path)
    with pytest.raises(UserError, match="no Lhotse manifests"):
        read_lhotse(tmp_path / "nowhere")
    write(tmp_path / "recordings_train.jsonl", recording())
    with pytest.raises(UserError, match="train needs cuts"):
        read_lhotse(tmp_path)
    path = tmp_path / "supervisions_train.jsonl.gz"
    write(path, *[supervision(id=f"u{n}") for n in range(100)])
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(UserError, match=r"supervisions_train\.jsonl\.gz"):
        read_lhotse(tmp_path)
    path.write_bytes(b"not compressed")
    with pytest.raises(UserError, match=r"supervisions_train\.jsonl\.gz"):
        read_lhotse(tmp_path)


def test_fuzzed_manifests_never_crash(tmp_path):
    """1,000 mutilated manifests: each ends in a data set that loses nothing."""
    audio(tmp_path / "a.wav")
    cut = {
        "id": "c",
        "start": 0.5,
        "duration": 2.0,
        "recording": recording(),
        "supervisions": [supervision()],
    }
    path, chance, outcomes = tmp_path / "cuts_train.jsonl", random.Random(0), set()
    good = json.dumps(cut).encode()
    for _ in range(1000):
        data = bytearray(good)
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(data))
            data[at : at + chance.randrange(3)] = chance.choice(
                [b"", b"\n", b"null", b"[]", b"\xff", b"1e999", b'"', b"-"]
            )
        path.write_bytes(data)
        found = read_lhotse(tmp_path)["train"]
        outcomes.update(s.reason for s in found.set_aside)
        outcomes.update("usable" for _ in found.utterances)
    assert {"usable", "bad manifest line"} < outcomes
