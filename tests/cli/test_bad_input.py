"""What people type and write wrongly, through the whole command line: one line that says it."""

import json
import shutil
from pathlib import Path

import pytest
from fake_runs import fake_run

from workbench.cli.exit_codes import FAILED, WRONG_USAGE
from workbench.cli.main import main
from workbench.settings import preset
from workbench.storage.home import data_folder

TRAIN = ["train", "tiny", "--preset", "tiny"]

# (setting as typed, what the message says)
SETTINGS = [
    ("batch=٣", "batch='٣': must be a whole number"),
    ("batch=1_0", "must be a whole number between 1 and 65536 frames"),
    ("batch=1e3", "must be a whole number"),
    ("batch=0", "must be between 1 and 65536"),
    ("batch=65536", "the training data of tiny have"),
    ("batch=", "must be a whole number"),
    ("epochs=0", "must be between 0.001 and 1000 epochs"),
    ("epochs=1_0", "must be a number"),
    ("epochs=nan", "must be a number"),
    ("epochs=inf", "must be a number"),
    ("epochs=1e999", "must be between"),
    ("learning_rate=fast", "must be a number between 0 and 100"),
    ("learning_rate=0x1p3", "must be a number"),
    ("hidden_units=" + "9" * 50, "must be a whole number"),
    ("seed=-1", "seed='-1': must be between 0 and 2147483647"),
    ("criterion=mmmi", "did you mean mmi?"),
    ("prefetch=maybe", "must be true or false"),
    ("machine=", "must be text that can be printed"),
    ("machine=a\x1b[31mb", "must be text that can be printed"),
    ("bacth=3", "did you mean batch?"),
    ("=3", "no such setting"),
    ("batch", "write --set FIELD=VALUE"),
]

PRICES = {kind: {"frame": 0.1} for kind in ("gradient", "forward", "decode", "evaluate")}
MACHINE = {"name": "m", "about": "", "prices": PRICES}

# (content of a file of a machine, what the message says)
MACHINES = [
    ("", "damaged"),
    ("hello", "damaged"),
    ([], "must be an object"),
    (3, "must be an object"),
    ({"about": "", "prices": PRICES}, "name is missing"),
    ({"name": "m", "about": ""}, "has no price for work of kind"),
    ({**MACHINE, "latency": float("nan")}, "latency must be a finite number, not NaN"),
    ({**MACHINE, "byte": float("inf")}, "byte must be a finite number"),
    ({**MACHINE, "latency": -1}, "latency=-1: between 0 and"),
    ({**MACHINE, "jitter": 1e9}, "jitter=1000000000.0: between 0 and 3"),
    ({**MACHINE, "latency": "fast"}, "latency must be a finite number"),
    ({**MACHINE, "latncy": 1}, "did you mean latency?"),
    ({**MACHINE, "straggler_share": 7}, "straggler_share=7: between 0 and 1"),
    ({**MACHINE, "straggler_factor": 0}, "straggler_factor must be above 0"),
    ({**MACHINE, "speed": "warp"}, "choose one of equal, uniform, lognormal"),
    ({**MACHINE, "pause": 9, "pause_every": 1}, "at least the pause itself"),
    ({**MACHINE, "prices": []}, "prices must be an object"),
    ({**MACHINE, "prices": {"gradient": {"frame": -1}}}, "a price of -1 seconds"),
    ({**MACHINE, "prices": {"gradient": {"x": 1}}}, "no such field: prices.gradient.x"),
]

SWEEP = {"corpus": "tiny", "preset": "tiny", "axes": {"batch": [32, 64]}}
DRAWN = {"corpus": "tiny", "preset": "tiny", "draws": 2}

# (content of a sweep.json, what the message says)
SWEEPS = [
    ("", "damaged"),
    ([], "must be an object"),
    (3, "must be an object"),
    (None, "must be an object"),
    ({"axes": {}}, "corpus is missing"),
    ({**SWEEP, "corpus": 3}, "corpus must be text"),
    ({**SWEEP, "corpus": "nope"}, "no such corpus"),
    ({**SWEEP, "preset": "huge"}, "no such preset"),
    ({**SWEEP, "axes": []}, "axes must be an object"),
    ({**SWEEP, "axes": {"batch": None}}, "must be a whole number"),
    ({**SWEEP, "axes": {"batch": [True]}}, "must be a whole number"),
    ({**SWEEP, "axes": {"batch": []}}, "no values"),
    ({**SWEEP, "axes": {"batch": {"low": 1, "high": 2}}}, "a range needs draws"),
    ({**SWEEP, "axes": {"seed": [1]}}, "an axis of their own"),
    ({**SWEEP, "axes": {"batch": list(range(1, 20_000))}}, "at most 10000"),
    ({**SWEEP, "draws": 10**9}, "draws must be a whole number between 0 and 10000"),
    ({**SWEEP, "draws": "many"}, "draws must be"),
    ({**SWEEP, "draws": -1}, "draws must be"),
    ({**SWEEP, "draws": True}, "draws must be"),
    ({**DRAWN, "axes": {"momentum": {"low": 0, "high": 0.5, "log": True}}}, "has no logarithm"),
    ({**DRAWN, "axes": {"momentum": {"low": 0, "high": 1e999}}}, "momentum=inf"),
    ({**DRAWN, "axes": {"batch": {"low": 9, "high": 2}}}, "low=9 is above high=2"),
    ({**DRAWN, "axes": {"batch": {"low": 9}}}, "a range is low, high"),
    ({**DRAWN, "axes": {"batch": {"low": 1, "high": 2, "log": 3}}}, "log=3: must be true or"),
    ({**DRAWN, "axes": {"criterion": {"low": "ce", "high": "mmi"}}}, "list the values"),
    ({**SWEEP, "seeds": [10**30]}, "must be a whole number between 0 and 2147483647"),
    ({**SWEEP, "seeds": [-1]}, "must be between 0 and 2147483647"),
    ({**SWEEP, "seeds": "012"}, "seeds must be a list"),
    ({**SWEEP, "seeds": [None]}, "must be a whole number"),
    ({**SWEEP, "seeds": []}, "no seeds"),
    ({**SWEEP, "test": "yes"}, "test must be true or false"),
    ({**SWEEP, "settings": ["a"]}, "settings must be an object"),
    ({**SWEEP, "settings": {"epochs": [1]}}, "must be a number"),
    ({**SWEEP, "points": 3}, "points must be a list"),
    ({**SWEEP, "points": [3]}, r"points[0] must be an object"),
    ({**SWEEP, "start": [1]}, "start must be an object"),
    ({**SWEEP, "axis": {}}, "did you mean axes?"),
    ({**SWEEP, "name": "../x"}, "cannot name a sweep"),
    ({**SWEEP, "init": 3}, "init must be the name of a run"),
    ({**SWEEP, "init": "nope"}, "no such run"),
    ({**SWEEP, "question": 3}, "question must be text"),
]

ADDRESSES = [
    "",
    "lokal",
    "tcp://",
    "tcp://host",
    "tcp://:1",
    "tcp://h:x",
    "tcp://h:99999",
    "tls://",
]
ADDRESSES += ["http://h:1", "tcp://h:0", "tcp://h:1/x", "tcp://a b:1"]

# (command line, exit code, what the message says)
COMMANDS = [
    (["train", "nope"], FAILED, "no such corpus"),
    (["train", "a\0b"], FAILED, "no such corpus"),
    (["train", "x" * 400], FAILED, "no such corpus"),
    (["train"], FAILED, "name a corpus"),
    ([*TRAIN, "--name", "../../esc"], FAILED, "cannot name a run"),
    ([*TRAIN, "--name", "a b", "--detach"], FAILED, "cannot name a run"),
    ([*TRAIN, "--init", "nope"], FAILED, "no such run"),
    (["train", "--resume", "nope"], FAILED, "no such run"),
    (["train", "tiny", "--preset", "huge"], WRONG_USAGE, "invalid choice"),
    (["sweep", "tiny", "--recipe", "../x"], FAILED, "no such recipe"),
    (["sweep", "tiny", "--recipe", "../starts"], FAILED, "no such recipe"),
    (["sweep", "tiny", "--recipe", "e1-shuffling", "--size", "x"], FAILED, "no such size"),
    (["sweep", "tiny", "--jobs", "0"], WRONG_USAGE, "must be a whole number between 1 and"),
    (["sweep", "tiny", "--jobs", "1_0"], WRONG_USAGE, "must be a whole number between 1 and"),
    (["sweep", "tiny", "--seeds", "1e3"], FAILED, "seed='1e3'"),
    (["sweep", "tiny"], FAILED, "nothing varies"),
    (["sweep", "tiny", "--axis", "batch"], FAILED, "write --axis FIELD=VALUE"),
    (["sweep", "tiny", "--axis", "bacth=1"], FAILED, "did you mean batch?"),
    (["sweep", "tiny", "--file", "/"], FAILED, "damaged"),
    (["sweep", "tiny", "--file", "/nope"], FAILED, "no such file"),
    (["sweep", "--name", "../x"], FAILED, "no such sweep"),
    (["report", "nope"], FAILED, "no such run or sweep; known: fake"),
    (["report", "fakke"], FAILED, "no such run or sweep; did you mean fake?"),
    (["report", "fake", "nope"], FAILED, "no such run; known: fake"),
    (["report", "fake", "--out", "/proc/x/y.html"], FAILED, "the report cannot be written"),
    (["report", "fake", "--out", "/dev/null/y.html"], FAILED, "the report cannot be written"),
    (["report", "fake", "--out", "x" * 300], FAILED, "choose a shorter name"),
    (["align", "fake", "--name", "../../x"], FAILED, "cannot name a corpus"),
    (["prepare", "../x", "--synthetic", "is"], FAILED, "cannot name a corpus"),
    (["prepare", "x", "--synthetic", "is", "--states", "1_0"], FAILED, "must be a whole number"),
    (["test", "nope"], FAILED, "no such run"),
    (["attach", "\x1b[2J"], FAILED, "no such run"),
    (["stop", "nope"], FAILED, "no such run"),
    (["trian"], WRONG_USAGE, "did you mean train?"),
]


@pytest.fixture(scope="module")
def home(tiny_home: Path) -> Path:
    """A data folder with the corpus ``tiny`` and a run ``fake`` that was not really trained."""
    fake_run("fake", preset("tiny"), corpus="tiny")
    return tiny_home


def refused(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> int:
    """Run a command that must fail with one line that has ``message``; returns the exit code.

    Warnings may come before it.
    """
    before = {path for path in data_folder().rglob("*") if path.is_dir()}
    try:
        code = main(words)
    except SystemExit as ended:
        code = int(ended.code or 0)
    lines = capsys.readouterr().err.rstrip("\n").split("\n")
    said = [line for line in lines if not line.startswith("warning: ")]
    assert message in said[-1] or (words == ["trian"] and message in said[0])
    assert "Traceback" not in "".join(said)
    assert len(said) == 1 or code == WRONG_USAGE
    assert all(line.isprintable() for line in said)
    assert {path for path in data_folder().rglob("*") if path.is_dir()} == before
    return code


@pytest.mark.parametrize("typed, message", SETTINGS)
def test_settings(typed: str, message: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong value of a setting is named with what it may be."""
    assert refused([*TRAIN, "--set", typed], message, capsys) == FAILED


@pytest.mark.parametrize("content, message", MACHINES)
def test_files_of_machines(
    content: object, message: str, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is no machine is named, with the field that is wrong."""
    path = tmp_path / "machine.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    words = [*TRAIN, "--name", "m", "--set", "clock=cost", f"machine={path}"]
    if "no price" in message:  # known only when the work is to be done: the run is kept as failed
        assert main(words) == FAILED
        assert message in capsys.readouterr().err
    else:
        assert refused(words, message, capsys) == FAILED


@pytest.mark.parametrize("content, message", SWEEPS)
def test_files_of_sweeps(
    content: object, message: str, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is no sweep is named, with the field that is wrong."""
    path = tmp_path / "s.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    assert refused(["sweep", "--file", str(path), "--dry-run"], message, capsys) == FAILED


@pytest.mark.parametrize("address", ADDRESSES)
def test_addresses_of_clusters(
    address: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An address without scheme, host or port is answered before anything is asked there."""
    assert refused([*TRAIN, "--cluster", address], "tcp://host:port", capsys) == FAILED


@pytest.mark.parametrize("words, code, message", COMMANDS)
def test_commands(
    words: list[str], code: int, message: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong names, paths and options end with one line and the documented code."""
    assert refused(words, message, capsys) == code


def test_a_network_that_does_not_fit(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What needs more memory than any machine of today is refused with both sizes."""
    from workbench.prepare.corpus import Corpus
    from workbench.runs.limits import check_limits
    from workbench.runs.task import Task
    from workbench.settings import UserError

    large = preset("tiny", hidden_units=8192, hidden_layers=16)
    with pytest.raises(UserError, match=r"needs at least 28\.\d GB to train, and 8\.0 GB are free"):
        check_limits(Task(Corpus.open("tiny"), large), memory=8 * 10**9)
    check_limits(Task(Corpus.open("tiny"), large), memory=10**12)


def test_too_few_utterances_for_the_slots_are_said(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before a run begins, a warning says that the slots will not be used as intended."""
    assert main([*TRAIN, "--init", "nope", "--set", "replicas=4", "batch=64"]) == FAILED
    said = capsys.readouterr().err
    assert "warning: batch=64 replicas=4: a replica has" in said


@pytest.mark.parametrize("text", ["{}", "[]", "3", "", "null", '{"settings": []}', '{"corpus": 3}'])
@pytest.mark.parametrize("command", [["report"], ["table"], ["train", "--resume"]])
def test_a_damaged_record_of_a_run(
    text: str, command: list[str], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run whose settings.json is no record is named by every command."""
    path = home / "runs" / "damaged" / "settings.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    try:
        assert refused([*command, "damaged"], "damaged/settings.json", capsys) == FAILED
    finally:
        shutil.rmtree(path.parent)


FILES = ["lexiconp.txt", "states.npz", "priors.npy", "denominator.safetensors", "lm-1.arpa"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("harm", ["cut", "empty", "missing", "flipped"])
def test_a_damaged_corpus(
    name: str,
    recorded: bool,
    harm: str,
    home: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Every damaged file is named with what to do, with digests in corpus.json and without."""
    if harm == "flipped" and not recorded:
        return  # without a digest, one changed bit of a number cannot be found
    folder = tmp_path / "corpora" / "tiny"
    shutil.copytree(home / "corpora" / "tiny", folder)
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    if not recorded:
        info = json.loads((folder / "corpus.json").read_text())
        del info["files"]
        (folder / "corpus.json").write_text(json.dumps(info))

    path = folder / name
    data = bytearray(path.read_bytes())
    path.unlink()
    if harm == "flipped":
        data[len(data) // 2] ^= 1
    if harm != "missing":
        path.write_bytes({"cut": data[: len(data) // 3], "empty": b""}.get(harm, data))

    words = ["train", "tiny", "--preset", "tiny", "--criterion", "mmi"]
    assert main([*words, "--set", "epochs=0.1"]) == FAILED
    said = capsys.readouterr().err
    assert f"corpora/tiny/{name}:" in said
    assert "prepare the corpus again" in said
