"""Inputs that are nearly right, for every reader of files and for messages between processes.

An input is made from an example by a few changes: bits, pieces that are lost, doubled or from
another example, and words that have broken readers before. A reader must take it or refuse it by
one of the errors that it documents, within `SECONDS`, and in bounded memory. Input ``number`` is
the same in every run.
"""

import json
import random
import resource
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import numpy as np
from data_directories import make_tone

from workbench.corpus.audio import AudioError, read_audio, read_header
from workbench.corpus.kaldi import read_kaldi
from workbench.corpus.lhotse import read_lhotse
from workbench.engine.dask.protocol import ProtocolError, Session
from workbench.engine.machines import load_machine, read_machine, write_machine
from workbench.language.arpa import read_arpa
from workbench.language.lexicon import read_lexicon
from workbench.settings import Settings, UserError
from workbench.storage.checkpoints import latest_checkpoint, write_checkpoint
from workbench.storage.files import read_json
from workbench.storage.records import read_record
from workbench.storage.rows import EndRow, PushRow, Row
from workbench.storage.run import CorpusIdentity, Run, RunRecord, RunStatus
from workbench.training import Checkpoint, pack, unpack_checkpoint
from workbench.training.server_state import ServerState

SECONDS = 2.0  # of processor time that a reader may take for one input
BUSY_MACHINE = 30  # times as long may pass, since others compute as well
MEGABYTES = 200  # by which the process may grow
MOST_BYTES = 1 << 16  # of an input

WORDS = [
    *(b"nan", b"-inf", b"1e999", b"-1", b"0", b"1_0", b"99999999999999999999", b"4294967295"),
    *(b"null", b"true", b"{}", b"[]", b'""', b'"', b"\\u0000", b"\\", b"\n", b"\r\n", b"\t", b" "),
    *(b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", "٣".encode(), "\u202e".encode(), b"\xed\xa0\x80"),
    *(b"\\data\\", b"\\end\\", b"ngram 1=", b"<s>", b"</s>", b"<unk>", b"../../etc", b"/dev/zero"),
    *(b"[" * 3000, b"{" * 3000, b"a" * 5000, b"%s%n", b"__proto__", b"NaN", b"1e308"),
]


class Hang(BaseException):
    """A reader takes too long; no handler of errors may catch this."""


@dataclass(frozen=True)
class Reader:
    """What is fuzzed: examples, and how one is read in a folder."""

    name: str
    examples: tuple[bytes, ...]
    read: Callable[[Path, bytes], object]
    refusals: tuple[type[Exception], ...] = (UserError,)


@dataclass(frozen=True)
class FaultyInput:
    """An input that was neither taken nor refused as it should be."""

    reader: str
    number: int
    problem: str

    def __str__(self) -> str:
        return f"{self.reader}, input {self.number}: {self.problem}"


def mutate(examples: tuple[bytes, ...], number: int) -> bytes:
    """Return input ``number`` that is made from the examples."""
    draw = random.Random(number)
    data = bytearray(draw.choice(examples))
    for _ in range(draw.choice([1, 1, 1, 2, 3, 6])):
        place = draw.randrange(len(data) + 1)
        end = min(len(data), place + int(draw.expovariate(0.1)) + 1)
        change = draw.randrange(7)
        if change == 0 and data:
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        elif change == 1:
            del data[place:end]
        elif change == 2:
            data[place:place] = data[place:end] * draw.choice([1, 2, 50])
        elif change == 3:
            data[place:end] = draw.choice(WORDS)
        elif change == 4:
            other = draw.choice(examples)
            data[place:] = other[draw.randrange(len(other) + 1) :]
        elif change == 5:
            data[place:place] = draw.randbytes(draw.randrange(1, 9))
        else:
            del data[place:]
    return bytes(data[:MOST_BYTES])


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise Hang if the block computes for longer, or does nothing for far longer."""

    def give_up(number: int, frame: FrameType | None) -> None:
        raise Hang

    timers = (
        (signal.ITIMER_PROF, signal.SIGPROF, seconds),
        (signal.ITIMER_REAL, signal.SIGALRM, BUSY_MACHINE * seconds),
    )
    before = {number: signal.signal(number, give_up) for _, number, _ in timers}
    for timer, _, limit in timers:
        signal.setitimer(timer, limit)
    try:
        yield
    finally:
        for timer, number, _ in timers:
            signal.setitimer(timer, 0)
            signal.signal(number, before[number])


def megabytes() -> float:
    """Return the most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def fuzz(
    reader: Reader, folder: Path, numbers: range, seconds: float = SECONDS
) -> tuple[Counter, list[FaultyInput]]:
    """Read the inputs of these numbers; returns how many were taken and refused, and the faults."""
    ends: Counter = Counter()
    faults: list[FaultyInput] = []
    reader.read(folder, reader.examples[0])  # imports, and caches
    before = megabytes()
    for number in numbers:
        data = mutate(reader.examples, number)
        try:
            with deadline(seconds):
                reader.read(folder, data)
            ends["taken"] += 1
        except reader.refusals:
            ends["refused"] += 1
        except (Exception, Hang) as error:
            faults.append(
                FaultyInput(reader.name, number, f"{type(error).__name__}: {error!s:.120}")
            )
        if megabytes() > before + MEGABYTES:
            faults.append(
                FaultyInput(reader.name, number, f"{megabytes() - before:.0f} MB more memory")
            )
            before = megabytes()
    return ends, faults


# --- readers


def in_file(name: str, read: Callable[[Path], object]) -> Callable[[Path, bytes], object]:
    """Return what writes an input to a file of this name and reads it."""

    def write_and_read(folder: Path, data: bytes) -> object:
        path = folder / name
        path.write_bytes(data)
        return read(path)

    return write_and_read


def kaldi_table(table: str) -> Callable[[Path, bytes], object]:
    """Return what reads a Kaldi directory one of whose tables is the input."""

    def read(folder: Path, data: bytes) -> object:
        root = folder / "kaldi"
        if not root.exists():
            root.mkdir()
            make_tone(folder / "audio" / "a.wav", 0.2, 8000)
        for name, content in KALDI.items():
            (root / name).write_bytes(data if name == table else content)
        return read_kaldi(root)

    return read


KALDI = {
    "wav.scp": b"a audio/a.wav\nb audio/a.wav\n",
    "segments": b"a-1 a 0.00 0.10\na-2 a 0.05 0.20\nb-1 b 0 -1\n",
    "text": "a-1 einn tveir\na-2 þrír\nb-1 fimm\n".encode(),
    "utt2spk": b"a-1 s1\na-2 s1\nb-1 s2\n",
}


def lhotse(folder: Path, data: bytes) -> object:
    """Read a folder of Lhotse manifests whose lines are the input."""
    root = folder / "lhotse"
    if not root.exists():
        root.mkdir()
        make_tone(root / "a.wav", 0.5, 16000)
    recordings, _, supervisions = data.partition(b"\n--\n")
    (root / "recordings_train.jsonl").write_bytes(recordings)
    (root / "supervisions_train.jsonl").write_bytes(supervisions)
    return read_lhotse(root)


def lhotse_example() -> bytes:
    """Both manifests of one recording."""
    recording = {
        "id": "r",
        "sources": [{"type": "file", "channels": [0], "source": "a.wav"}],
        "sampling_rate": 16000,
        "num_samples": 8000,
        "duration": 0.5,
    }
    supervision = {
        "id": "s",
        "recording_id": "r",
        "start": 0.1,
        "duration": 0.3,
        "channel": 0,
        "text": "einn",
        "speaker": "s1",
    }
    lines = (json.dumps(recording), "--", json.dumps(supervision), "")
    return "\n".join(lines).encode()


def audio(folder: Path, data: bytes) -> object:
    """Read the header of an audio file, and its samples."""
    path = folder / "x.audio"
    path.write_bytes(data)
    read_header(path)
    return read_audio(path, 0.0, 0.1)


def audio_examples(folder: Path) -> tuple[bytes, ...]:
    """Short files in several formats."""
    kinds = [("wav", {}), ("flac", {}), ("ogg", {}), ("wav", {"subtype": "FLOAT"})]
    kinds += [("wav", {"subtype": "ULAW"}), ("au", {}), ("aiff", {})]
    return tuple(
        make_tone(folder / f"{number}.{ending}", 0.05, 8000, **options).read_bytes()
        for number, (ending, options) in enumerate(kinds)
    )


def checkpoint_example() -> Checkpoint:
    """A small checkpoint."""
    servers = {"server 0": ServerState(np.arange(6, dtype=np.float32))}
    return Checkpoint(3, {}, {}, 17, servers, {"rows-a.jsonl": 5})


def saved_checkpoint(folder: Path, data: bytes) -> object:
    """Load the newest checkpoint of a run, one of whose files is the input; another is whole."""
    if not (folder / "checkpoints").exists():
        write_checkpoint(folder, 1, pack(checkpoint_example()))
    newest = write_checkpoint(folder, 2, pack(checkpoint_example()))
    which = ("manifest.json", "state.json", "arrays.safetensors")[len(data) % 3]
    (newest / which).write_bytes(data)
    return unpack_checkpoint(latest_checkpoint(folder).files)


def run_file(name: str, read: Callable[[Run], object]) -> Callable[[Path, bytes], object]:
    """Return what reads a file of a run."""

    def write_and_read(folder: Path, data: bytes) -> object:
        (folder / name).write_bytes(data)
        return read(Run(folder))

    return write_and_read


def row_examples() -> tuple[bytes, ...]:
    """Lines of rows."""
    push = PushRow(
        process="replica 0",
        replica=0,
        step=1,
        status="applied",
        batch=8,
        version=3,
        versions=(3, 3),
        inner_versions=(2, 3),
        staleness_inner=0.5,
        inner_seconds=0.25,
        skew=1,
        frames=8,
        idle_seconds=0.0,
    )
    rows: list[Row] = [push, EndRow(process="evaluator", updates=4)]
    return ("".join(json.dumps(row.to_dict()) + "\n" for row in rows).encode(),)


def settings_file(path: Path) -> Settings:
    """Read settings as the record of a run has them."""
    record = read_record(RunRecord, path)
    return Settings.of(**record.settings)


def message(folder: Path, data: bytes) -> object:
    """Decode a message between processes, as a connection does."""
    reading = Session(False).decode()
    part = next(reading)
    try:
        while True:
            if len(part) > len(data):
                raise EOFError
            part[:] = data[: len(part)]
            data = data[len(part) :]
            part = reading.send(())
    except StopIteration as end:
        return end.value


def message_examples() -> tuple[bytes, ...]:
    """Messages with and without arrays."""
    values = [
        {"x": np.arange(6, dtype=np.float32), "n": (1, "two", None)},
        ["text", np.arange(3), 1.5],
        checkpoint_example(),
    ]
    return tuple(
        first + b"".join(array.tobytes() for array in arrays)
        for first, _, arrays in (Session(False).encode(value) for value in values)
    )


ARPA = """\\data\\
ngram 1=4
ngram 2=2

\\1-grams:
-0.7\t<s>\t-0.3
-0.7\t</s>
-0.5\teinn\t-0.2
-0.9\ttveir

\\2-grams:
-0.3\t<s> einn
-0.4\teinn </s>

\\end\\
"""
LEXICA = (b"einn 0.5 e i n\ntveir 0.5 t v e i r\n", b"<SIL> SIL\neinn(2) e i n\nfimm\tf i m\n")
ANSWERS_OF_A_HOST = (ProtocolError, TypeError, EOFError, ValueError, UserError)


def readers(folder: Path) -> list[Reader]:
    """Return all readers; ``folder`` is for examples that are files."""
    record = RunRecord(Settings().to_dict(), CorpusIdentity("c", "d")).to_dict()
    summary = json.dumps({"test_wer": 0.1, "updates": 3}).encode()
    found = [Reader(f"kaldi {name}", (KALDI[name],), kaldi_table(name)) for name in KALDI]
    write_machine(load_machine("paper"), folder / "machine.json")
    machine = (folder / "machine.json").read_bytes()
    packed = tuple(pack(checkpoint_example()).values())
    found += [
        Reader("lexicon", LEXICA, in_file("lexicon.txt", read_lexicon)),
        Reader("arpa", (ARPA.encode(),), in_file("a.arpa", lambda p: read_arpa(p, ["einn"]))),
        Reader("lhotse", (lhotse_example(),), lhotse),
        Reader("audio", audio_examples(folder), audio, (AudioError,)),
        Reader("checkpoint", packed, saved_checkpoint),
        Reader("record", (json.dumps(record).encode(),), in_file("r.json", settings_file)),
        Reader(
            "status",
            (b'{"state": "running", "pid": 1, "host": "h", "heartbeat": 1.5, "error": ""}',),
            in_file("s.json", lambda path: read_record(RunStatus, path)),
        ),
        Reader("rows", row_examples(), run_file("rows-a.jsonl", lambda r: list(r.rows(Row)))),
        Reader("table", row_examples(), run_file("rows-a.jsonl", lambda r: r.table())),
        Reader("summary", (summary,), run_file("summary.json", lambda r: r.summary)),
        Reader("machine", (machine,), in_file("m.json", read_machine)),
        Reader("json", (machine, summary), in_file("j.json", read_json)),
        Reader("message", message_examples(), message, ANSWERS_OF_A_HOST),
    ]
    return found
