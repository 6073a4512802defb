"""Lhotse manifests, read without Lhotse: the same utterances and samples as with it."""

import gzip
import json
import random
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import soundfile
from data_directories import count_reasons, mutilate

from workbench.corpus.audio import read_audio
from workbench.corpus.lhotse import read_lhotse
from workbench.corpus.set_names import SetNames
from workbench.settings import UserError


def write_noise(path: Path, seconds: float = 2.0, rate: int = 16000, channels: int = 1) -> Path:
    """Write an audio file with noise, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(len(path.name))
    noise = random.integers(-9999, 9999, (round(seconds * rate), channels))
    soundfile.write(path, noise.astype(np.int16), rate)
    return path


def write_manifest(path: Path, *lines: dict | str) -> None:
    """Write a manifest, compressed if its name ends in .gz."""
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    data = "".join(text + "\n" for text in texts).encode("utf-8", "surrogatepass")
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def make_recording(**changes) -> dict:
    """Return a recording manifest's line for a.wav."""
    line = {
        "id": "r",
        "sources": [{"type": "file", "channels": [0], "source": "a.wav"}],
        "sampling_rate": 16000,
        "num_samples": 32000,
        "duration": 2.0,
    }
    return {**line, **changes}


def make_supervision(**changes) -> dict:
    """Return a supervision manifest's line for half a second of it."""
    line = {
        "id": "u",
        "recording_id": "r",
        "start": 0.5,
        "duration": 0.5,
        "channel": 0,
        "text": "einn",
        "speaker": "s",
    }
    return {**line, **changes}


def make_cut(**changes) -> dict:
    """Return a cut manifest's line for all of a.wav."""
    line = {
        "id": "c",
        "start": 0,
        "duration": 2.0,
        "channel": 0,
        "recording": make_recording(),
        "type": "MonoCut",
    }
    return {**line, **changes}


@pytest.mark.parametrize("kind", ["supervisions", "cuts"])
@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz"])
def test_equal_to_lhotse(tmp_path, kind, ending):
    """Utterances and samples are those that Lhotse makes of the manifests that it wrote."""
    lhotse = pytest.importorskip("lhotse")
    chance = random.Random(0)
    recordings = []
    supervisions = []
    for name, rate in (("one", 16000), ("two", 8000)):
        path = write_noise(tmp_path / "audio" / f"{name}.flac", 3.0, rate)
        recordings.append(lhotse.Recording.from_file(path, recording_id=name))
        for n in range(3):
            start = chance.randrange(100) / 100
            length = 0.5 + chance.randrange(100) / 100
            segment = lhotse.SupervisionSegment(
                f"{name}-{n}", name, start, length, text=f"góðan dag {n}", speaker=f"s{n}"
            )
            supervisions.append(segment)

    recording_set = lhotse.RecordingSet.from_recordings(recordings)
    supervision_set = lhotse.SupervisionSet(supervisions)
    cuts = lhotse.CutSet.from_manifests(recording_set, supervision_set)
    if kind == "cuts":
        cuts.to_file(tmp_path / f"my_cuts_train-clean-5.{ending}")
    else:
        recording_set.to_file(tmp_path / f"my_recordings_train.{ending}")
        supervision_set.to_file(tmp_path / f"my_supervisions_train.{ending}")

    data = read_lhotse(tmp_path)["train"]
    trimmed = cuts.trim_to_supervisions(keep_overlapping=False)
    expected = {cut.supervisions[0].id: cut for cut in trimmed}
    assert not data.set_aside
    assert {u.id for u in data.utterances} == set(expected)
    for u in data.utterances:
        cut = expected[u.id]
        supervision = cut.supervisions[0]
        assert (" ".join(u.words), u.speaker) == (supervision.text, supervision.speaker)
        np.testing.assert_array_equal(read_audio(u.audio, u.start, u.end)[0], cut.load_audio()[0])


def test_names_of_splits(tmp_path):
    """Prefixes are no splits, several training parts are one, and dev becomes heldout."""
    write_noise(tmp_path / "a.wav")
    names = (
        "x_cuts_train-100",
        "x_cuts_train-360",
        "libri_cuts_dev-clean",
        "test_cuts",
        "cuts.other",
    )
    for n, name in enumerate(names):
        cut = make_cut(supervisions=[make_supervision(id=f"u{n}")])
        write_manifest(tmp_path / f"{name}.jsonl", cut)
    write_manifest(tmp_path / "unrelated.jsonl", {"a": 1})

    found = {name: [u.id for u in data.utterances] for name, data in read_lhotse(tmp_path).items()}
    assert found == {"train": ["u0", "u1"], "heldout": ["u2"], "test": ["u3"]}
    (note,) = read_lhotse(tmp_path)["train"].notes
    assert note == "set other is left out (cuts)"


def test_noise_beside_speech_is_left_out(tmp_path):
    """Recordings of noise have no supervisions; they do not spoil the folder, and are named."""
    write_noise(tmp_path / "a.wav")
    write_manifest(tmp_path / "x_recordings_train-clean-5.jsonl.gz", make_recording())
    write_manifest(
        tmp_path / "x_supervisions_train-clean-5.jsonl.gz", make_supervision(speaker="Anna Jóns")
    )
    write_manifest(tmp_path / "musan_recordings_noise.jsonl.gz", make_recording())

    splits = read_lhotse(tmp_path)
    assert list(splits) == ["train"]
    assert splits["train"].utterances[0].speaker == "Anna Jóns"
    assert splits["train"].notes == ("set noise is left out (recordings)",)


def test_sets_of_any_name_can_be_named(tmp_path):
    """Without a set called train the message lists those there are; a named one is taken."""
    write_noise(tmp_path / "a.wav")
    for name in ("XS", "DEV", "TRAIN-other"):
        cut = make_cut(supervisions=[make_supervision(id=f"u-{name}")])
        write_manifest(tmp_path / f"giga_cuts_{name}.jsonl", cut)
    found = read_lhotse(tmp_path, names=SetNames(train="XS"))
    assert {split: data.utterances[0].id for split, data in found.items()} == {
        "heldout": "u-DEV",
        "train": "u-XS",
    }

    (tmp_path / "giga_cuts_TRAIN-other.jsonl").unlink()
    with pytest.raises(UserError, match=r"no set is called train.*found: DEV, XS; .*--train NAME"):
        read_lhotse(tmp_path)
    with pytest.raises(UserError, match=r"no set is called XL; found: DEV, XS"):
        read_lhotse(tmp_path, names=SetNames(train="XL"))


def test_older_manifests_are_named(tmp_path):
    """Lhotse's .json manifests are not read; the message says how to convert them."""
    (tmp_path / "cuts_train.json").write_text("[]")
    with pytest.raises(UserError, match=r"lhotse copy cuts_train\.json cuts_train\.jsonl\.gz"):
        read_lhotse(tmp_path)


def test_a_cut_may_start_anywhere(tmp_path):
    """Times of supervisions count from the start of their cut; one without a speaker is its own."""
    write_noise(tmp_path / "a.wav")
    supervisions = [
        make_supervision(id="u1", start=0.25),
        make_supervision(id="u2", start=0.75, speaker=None),
    ]
    cut = {"id": "c", "start": 0.5, "recording": make_recording(), "supervisions": supervisions}
    write_manifest(tmp_path / "cuts_train.jsonl", cut)

    data = read_lhotse(tmp_path)["train"]
    assert [(u.id, u.start, u.end, u.speaker) for u in data.utterances] == [
        ("u1", 0.75, 1.25, "s"),
        ("u2", 1.25, 1.75, "u2"),
    ]
    assert data.utterances[0].where == "cuts_train.jsonl:1"


SOURCE = {"type": "file", "channels": [0], "source": "a.wav"}


@dataclass(frozen=True)
class CutFault:
    """Changes to a recording and to a supervision, for which the utterance is set aside."""

    reason: str
    recording: dict = field(default_factory=dict)
    supervision: dict = field(default_factory=dict)


FAULTS = {
    "no audio": CutFault("missing audio", {"sources": [{**SOURCE, "source": "none.wav"}]}),
    "command": CutFault(
        "command refused",
        {"sources": [{**SOURCE, "type": "command", "source": "cat a.wav"}]},
    ),
    "pipe": CutFault(
        "unsupported audio source", {"sources": [{**SOURCE, "source": "cat a.wav |"}]}
    ),
    "address": CutFault("unsupported audio source", {"sources": [{**SOURCE, "type": "url"}]}),
    "two sources": CutFault("unsupported audio source", {"sources": [SOURCE, SOURCE]}),
    "channel of no source": CutFault(
        "unsupported audio source",
        {"sources": [SOURCE, {**SOURCE, "channels": [1]}]},
        {"channel": [0, 1]},
    ),
    "no sources": CutFault("unsupported audio source", {"sources": None}),
    "surrogate": CutFault("missing audio", {"sources": [{**SOURCE, "source": "\ud800"}]}),
    "transformed": CutFault("unsupported transform", {"transforms": [{"name": "Speed"}]}),
    "third of two channels": CutFault(
        "unknown channel", {"sources": [{**SOURCE, "source": "stereo.wav"}]}, {"channel": 2}
    ),
    "unknown recording": CutFault("unknown recording", supervision={"recording_id": "x"}),
    "no text": CutFault("no text", supervision={"text": None}),
    "empty text": CutFault("empty text", supervision={"text": " "}),
    "surrogate in text": CutFault("invisible character in text", supervision={"text": "a\udc00"}),
    "no start": CutFault("bad segment times", supervision={"start": None}),
    "NaN": CutFault("bad segment times", supervision={"duration": float("nan")}),
    "true": CutFault("bad segment times", supervision={"start": True}),
    "backwards": CutFault("bad segment times", supervision={"duration": -0.1}),
    "outside": CutFault("segment outside audio", supervision={"start": 3}),
    "bad id": CutFault("bad id", supervision={"id": "u u"}),
    "bad speaker": CutFault("bad speaker id", supervision={"speaker": "a\nb"}),
}


@pytest.mark.parametrize("name", FAULTS)
def test_bad_input_is_set_aside(tmp_path, name):
    """Each fault sets aside the utterance it concerns, with reason and place, and no other."""
    fault = FAULTS[name]
    write_noise(tmp_path / "a.wav")
    write_noise(tmp_path / "stereo.wav", channels=2)
    write_manifest(
        tmp_path / "recordings_train.jsonl.gz",
        make_recording(**fault.recording),
        make_recording(id="good"),
    )
    write_manifest(
        tmp_path / "supervisions_train.jsonl.gz",
        make_supervision(**fault.supervision),
        make_supervision(id="v", recording_id="good"),
    )

    data = read_lhotse(tmp_path)["train"]
    (set_aside,) = data.set_aside
    assert set_aside.reason == fault.reason
    assert set_aside.where == "supervisions_train.jsonl.gz:1"
    assert [u.id for u in data.utterances] == ["v"]


def test_broken_lines_are_set_aside(tmp_path):
    """A line that is not a JSON object, or a cut that mixes, is set aside; the others are read."""
    write_noise(tmp_path / "a.wav")
    broken = {
        "{": "bad manifest line",
        "[]": "bad manifest line",
        "[" * 100_000: "bad manifest line",
        "\ud800": "bad manifest line",
        json.dumps(make_cut(id="m", type="MixedCut")): "unsupported cut",
        json.dumps(make_cut(supervisions=[])): "no text",
        json.dumps(
            make_cut(recording=None, supervisions=[make_supervision(id="x")])
        ): "missing audio",
        json.dumps(make_cut(supervisions=[3])): "no text",
    }
    good = make_cut(problem="a key that Lhotse does not know", supervisions=[make_supervision()])
    write_manifest(tmp_path / "cuts_train.jsonl", *broken, "", good)

    data = read_lhotse(tmp_path)["train"]
    assert [u.id for u in data.utterances] == ["u"]
    assert [s.reason for s in data.set_aside] == list(broken.values())
    assert data.seen == 9
    assert count_reasons(data)["bad manifest line"] == 4


def test_unusable_folders_are_user_errors(tmp_path):
    """No manifests, half of a pair, or a manifest cut short are refused with their names."""
    with pytest.raises(UserError, match="no Lhotse manifests"):
        read_lhotse(tmp_path)
    with pytest.raises(UserError, match="no Lhotse manifests"):
        read_lhotse(tmp_path / "nowhere")

    write_manifest(tmp_path / "recordings_train.jsonl", make_recording())
    with pytest.raises(UserError, match="train needs cuts"):
        read_lhotse(tmp_path)

    path = tmp_path / "supervisions_train.jsonl.gz"
    write_manifest(path, *[make_supervision(id=f"u{n}") for n in range(100)])
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(UserError, match=r"supervisions_train\.jsonl\.gz"):
        read_lhotse(tmp_path)
    path.write_bytes(b"not compressed")
    with pytest.raises(UserError, match=r"supervisions_train\.jsonl\.gz"):
        read_lhotse(tmp_path)


def test_fuzzed_manifests_never_crash(tmp_path):
    """1,000 mutilated manifests: each ends in a data set that loses nothing."""
    write_noise(tmp_path / "a.wav")
    good = json.dumps(make_cut(start=0.5, supervisions=[make_supervision()])).encode()
    pieces = [b"", b"\n", b"null", b"[]", b"\xff", b"1e999", b'"', b"-"]

    chance = random.Random(0)
    outcomes = set()
    for _ in range(1000):
        (tmp_path / "cuts_train.jsonl").write_bytes(mutilate(good, chance, pieces))
        found = read_lhotse(tmp_path)["train"]
        outcomes.update(s.reason for s in found.set_aside)
        outcomes.update("usable" for _ in found.utterances)
    assert {"usable", "bad manifest line"} < outcomes


def test_a_supervision_chooses_its_channel(tmp_path):
    """Speech on one channel of a stereo file is common: that channel is read, and no other."""
    write_noise(tmp_path / "stereo.wav", channels=2)
    source = {**SOURCE, "source": "stereo.wav"}
    write_manifest(tmp_path / "recordings_train.jsonl.gz", make_recording(sources=[source]))
    write_manifest(tmp_path / "supervisions_train.jsonl.gz", make_supervision(channel=1))
    (utterance,) = read_lhotse(tmp_path)["train"].utterances
    assert utterance.channel == 1


def test_commands_run_if_they_are_allowed(tmp_path):
    """A source that is a command is refused with the option that allows it, and then run."""
    write_noise(tmp_path / "a.wav")
    source = {**SOURCE, "type": "command", "source": f"cat {tmp_path / 'a.wav'}"}
    write_manifest(tmp_path / "recordings_train.jsonl.gz", make_recording(sources=[source]))
    write_manifest(tmp_path / "supervisions_train.jsonl.gz", make_supervision())
    (refused,) = read_lhotse(tmp_path)["train"].set_aside
    assert "--allow-commands" in refused.detail

    (utterance,) = read_lhotse(tmp_path, allow_commands=True)["train"].utterances
    np.testing.assert_array_equal(read_audio(utterance.audio)[0], read_audio(tmp_path / "a.wav")[0])


def test_a_recording_may_be_several_files(tmp_path):
    """The file that has the channel of a supervision is read, at the channel's place in it."""
    write_noise(tmp_path / "a.wav")
    write_noise(tmp_path / "stereo.wav", channels=2)
    sources = [SOURCE, {"type": "file", "channels": [2, 1], "source": "stereo.wav"}]
    write_manifest(tmp_path / "recordings_train.jsonl.gz", make_recording(sources=sources))
    supervisions = [make_supervision(id=f"u{channel}", channel=channel) for channel in (0, 1, 2)]
    write_manifest(tmp_path / "supervisions_train.jsonl.gz", *supervisions)
    read = [(u.audio.name, u.channel) for u in read_lhotse(tmp_path)["train"].utterances]
    assert read == [("a.wav", None), ("stereo.wav", 1), ("stereo.wav", 0)]


def test_what_a_second_file_repeats_is_read_once(tmp_path):
    """Shards beside the whole lose nothing; an id with another text is still a contradiction."""
    write_noise(tmp_path / "a.wav")
    cuts = [make_cut(id=f"c{n}", supervisions=[make_supervision(id=f"u{n}")]) for n in range(3)]
    write_manifest(tmp_path / "cuts_train.jsonl", *cuts)
    write_manifest(tmp_path / "cuts_train.00.jsonl", *cuts[:2])
    train = read_lhotse(tmp_path)["train"]
    assert sorted(u.id for u in train.utterances) == ["u0", "u1", "u2"]
    assert not train.set_aside
    assert train.notes == ("2 utterances are in several files, and are read once",)

    other = make_cut(id="c2", supervisions=[make_supervision(id="u2", text="annad")])
    write_manifest(tmp_path / "cuts_train.01.jsonl", other)
    assert count_reasons(read_lhotse(tmp_path)["train"]) == {"duplicate id": 2}


def test_copies_at_another_speed_are_left_out(tmp_path):
    """Perturbed copies lose nothing where the utterance itself is there; alone they do."""
    write_noise(tmp_path / "a.wav")
    fast = make_recording(transforms=[{"name": "Speed", "kwargs": {"factor": 0.9}}])
    cuts = [
        make_cut(id="c", supervisions=[make_supervision()]),
        make_cut(id="c_sp0.9", recording=fast, supervisions=[make_supervision(id="u_sp0.9")]),
        make_cut(id="d_sp0.9", recording=fast, supervisions=[make_supervision(id="v_sp0.9")]),
    ]
    write_manifest(tmp_path / "cuts_train.jsonl", *cuts)
    train = read_lhotse(tmp_path)["train"]
    assert [u.id for u in train.utterances] == ["u"]
    assert [s.utterance for s in train.set_aside] == ["v_sp0.9"]
    assert train.notes == ("1 copies at another speed or volume are left out",)
