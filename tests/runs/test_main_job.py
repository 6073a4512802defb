"""The main job on the tiny synthetic corpus: train, stop, resume, test, decode, report."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from workbench import runs
from workbench.batches import FrameOrder, subsets
from workbench.cli import main
from workbench.figures.tables import RUN_COLUMNS
from workbench.metrics.verdicts import VerdictOutcome
from workbench.model.network import SparseRows, ce_gradient, gradient, initial
from workbench.prepare.corpus import Corpus
from workbench.recognise import example
from workbench.recognise.recogniser import Recogniser
from workbench.runs.task import Task
from workbench.settings import UserError, preset
from workbench.storage.files import read_json
from workbench.storage.rows import DecodeRow, EvaluateRow, RateRow
from workbench.storage.run import RunState, find_run
from workbench.storage.transcripts import read_transcripts

pytestmark = pytest.mark.slow

SMALL = dict(
    hidden_layers=1, hidden_units=24, learning_rate=0.03, checkpoint_every=0.5, evaluate_every=1.0
)


@pytest.fixture(scope="module")
def corpus(tiny_home: Path) -> Corpus:
    """The tiny corpus."""
    return Corpus.open("tiny")


@pytest.fixture(scope="module")
def ce(corpus):
    """A run of cross entropy."""
    return runs.train(corpus, preset("tiny", **SMALL, epochs=6.0), name="ce")


@pytest.fixture(scope="module")
def mmi(corpus, ce):
    """A run of MMI that started from it."""
    settings = preset(
        "tiny", **{**SMALL, "criterion": "mmi", "epochs": 2.0, "batch": 16, "learning_rate": 0.002}
    )
    return runs.train(corpus, settings, name="mmi", init=ce)


def test_one_replica_is_plain_sgd_bit_for_bit(corpus, ce):
    """Cross entropy by one replica on the free clock equals plain SGD, to the last bit."""
    task = Task(corpus, ce.settings)
    s = ce.settings
    store = task.train
    theta = initial(task.topology, s.seed)
    (utterances,) = subsets(len(store), 1, s.seed)
    order = FrameOrder(
        s.batches.shuffling,
        np.asarray(store.offsets),
        utterances,
        s.batches.size,
        s.batches.epochs,
        s.seed,
    )
    decays = {r.updates: r.decays for r in ce.rows(RateRow)}
    rate = np.float32(s.updates.learning_rate)
    for n, positions in enumerate(order.batches()):
        if n in decays:
            rate = np.float32(s.updates.learning_rate / s.updates.decay_factor ** decays[n])
        targets = np.asarray(store.alignment[positions])
        g, _, _ = ce_gradient(theta, task.topology, store.windows(positions), targets)
        theta = theta + rate * (g / np.float32(s.batches.size))
    trained, _, _ = runs.load_model(ce.folder / "model")
    assert np.array_equal(theta, trained)


def test_gradient_of_mmi_by_finite_differences_through_the_network(corpus, ce):
    """∇F_MMI = Σ o ∇ log p: along random directions the criterion moves by the gradient."""
    settings = ce.settings.replace(
        criterion="mmi",
        rejection=0.0,
        cancellation=0.0,
        beam=100.0,
        lattice_beam=40.0,
        max_active=100_000,
    )
    task = Task(corpus, settings)
    theta, _, _ = runs.load_model(ce.folder / "model")
    utterance = int(np.argmin(task.train.seconds))
    windows = task.train.utterance_windows(utterance)

    def decoded(at):
        return task.decode_split(task.train, utterance, task.log_posteriors(at, windows), settings)

    here = decoded(theta)
    assert here.reason is None
    assert len(here.kept) == here.frames
    outer = SparseRows(here.indptr, here.states, here.values)
    g = gradient(theta, task.topology, windows, outer).astype(float)
    rng = np.random.default_rng(0)
    for _ in range(3):
        direction = 0.1 * g / np.linalg.norm(g) + 0.02 * rng.standard_normal(len(g)) / np.sqrt(
            len(g)
        )
        direction = direction.astype(np.float32)
        ahead = decoded(theta + direction).value
        behind = decoded(theta - direction).value
        assert (ahead - behind) / 2 == pytest.approx(float(g @ direction), rel=0.05)


def test_a_killed_run_resumes_to_the_same_bits(corpus, ce, mmi):
    """A run that is killed and resumed has the rows and parameters of one never killed."""

    class Killed(Exception):
        pass

    def kill(done, total, what):
        if done > 0.7 * total:
            raise Killed

    settings = mmi.settings.replace(seed=mmi.settings.seed)
    with pytest.raises(Killed):
        runs.train(corpus, settings, name="killed", init=ce, progress=kill)
    killed = find_run("killed")
    assert killed.status().state == RunState.FAILED
    assert killed.checkpoints()
    resumed = runs.resume(killed)
    assert resumed.rows_digest() == mmi.rows_digest()
    assert resumed.summary.parameters_digest == mmi.summary.parameters_digest
    with pytest.raises(UserError, match="done"):
        runs.resume(killed)


def test_a_stopped_run_goes_on(corpus):
    """A run that is asked to stop is returned as stopped; resumed, it sees every frame once."""
    settings = preset("tiny", **SMALL, epochs=3.0)
    asked = iter([False] * 30 + [True] * 1_000_000)
    stopped = runs.train(corpus, settings, name="stopped", stop=lambda: next(asked))
    assert stopped.status().state == RunState.STOPPED
    stopped.write_summary(replace(stopped.summary, test_wer=0.5))
    resumed = runs.resume(stopped)
    frames = Task(corpus, settings).train.frames
    assert resumed.status().state == RunState.DONE
    assert resumed.summary.frames_seen == 3 * frames
    assert not resumed.summary.tested  # the test was of other parameters


def test_a_run_on_a_corpus_elsewhere_goes_on(corpus, tmp_path):
    """A corpus that is not under data/corpora is found again by the run that is resumed."""
    elsewhere = Corpus(shutil.copytree(corpus.folder, tmp_path / "mine"))
    settings = preset("tiny", **SMALL, epochs=1.0)
    asked = iter([False] * 5 + [True] * 1_000_000)
    stopped = runs.train(elsewhere, settings, name="elsewhere", stop=lambda: next(asked))
    assert stopped.status().state == RunState.STOPPED
    assert runs.find_same_run(elsewhere, settings, "elsewhere") == stopped
    assert runs.find_same_run(corpus, settings, "elsewhere") is None
    resumed = runs.resume(stopped)
    assert resumed.status().state == RunState.DONE
    assert runs.trained_model(resumed)[0].corpus == elsewhere


def test_frames_are_accounted_for(mmi):
    """Each frame of an utterance that was not set aside is kept, rejected or cancelled."""
    rows = mmi.table(DecodeRow)
    used = rows[rows.kept + rows.rejected + rows.cancelled > 0]
    assert (used.frames == used.kept + used.rejected + used.cancelled).all()
    assert len(used) > 0
    assert mmi.summary.frames_seen == rows.frames.sum()
    assert mmi.summary.utterances_set_aside == rows.reason.notna().sum()


def test_learning_happened(ce, mmi):
    """Cross entropy raises the held-out log posterior; MMI starts where it ended."""
    table = ce.table(EvaluateRow)
    assert table.ce.iloc[-1] > table.ce.iloc[0] + 1.0
    assert mmi.table(EvaluateRow).ce.iloc[0] == pytest.approx(table.ce.iloc[-1])
    assert (mmi.table(EvaluateRow).mmi <= 1e-6).all()


def test_graph_and_rescoring_say_the_same(ce):
    """Searching the n-gram's graph gives the words of exact rescoring, at two scales."""
    graph = replace(Recogniser.of(ce, "graph"), lm_scale=1.2)
    rescoring = replace(Recogniser.of(ce, "rescoring"), lm_scale=1.2)
    store = graph.task.heldout
    by_graph = graph.transcripts(store, range(len(store)), [1.2, 0.8])
    by_rescoring = rescoring.transcripts(store, range(len(store)), [1.2, 0.8])
    same = []
    assert by_graph.no_path == by_rescoring.no_path == 0
    for one, other in zip(by_graph.words, by_rescoring.words, strict=True):
        same += [a == b for a, b in zip(one, other, strict=True)]
    # The graph also reaches a listed word by backing off, see `workbench.hmm.graphs.ngram`.
    assert np.mean(same) >= 0.95
    assert graph.task.corpus.ngram_graph.graph.states > graph.task.corpus.denominator.states


def test_diverged_runs_say_so(corpus):
    """A learning rate far too large ends the run as diverged, with a line that says what to try."""
    with pytest.raises(UserError, match="learning_rate"):
        runs.train(
            corpus, preset("tiny", **{**SMALL, "learning_rate": 100.0, "epochs": 3.0}), name="wild"
        )
    assert find_run("wild").status().state == RunState.DIVERGED


@pytest.mark.parametrize(
    "changes",
    [
        {"trained": "last"},
        {"trained": "last-without-silence"},
        {"criterion": "smbr"},
        {"criterion": "mpe"},
        {"criterion": "bmmi", "boost": 0.5},
        {"auxiliary": "proximal"},
        {"auxiliary": "fresh", "epochs": 0.1},  # it decodes anew for each update
        {"auxiliary": "reweighted"},
        {"auxiliary": "reweighted", "smoothing": 0.1},
        {"smoothing": 0.1},
        {"denominator": "none-realigned"},
        {"denominator": "none-fixed"},
        {"shuffling": "none"},
        {
            "replicas": 3,
            "shards": 2,
            "clock": "cost",
            "decoder_fetch": "synchronous",
            "decoder_seconds": 5.0,
        },
    ],
)
def test_every_kind_of_sequence_training_runs(corpus, ce, changes):
    """Criteria, auxiliary functions, controls, trained slices and asynchrony all train."""
    settings = preset(
        "tiny", **{**SMALL, "epochs": 0.5, "learning_rate": 0.001, "criterion": "mmi", **changes}
    )
    run = runs.train(corpus, settings, name="-".join(map(str, changes.values())), init=ce)
    assert run.status().state == RunState.DONE
    assert run.summary.updates > 0
    before, after = (runs.load_model(r.folder / "model")[0] for r in (ce, run))
    changed = np.flatnonzero(before != after)
    assert len(changed)
    if settings.updates.trained != "all":
        output = Task(corpus, settings).topology.layout().entries["output.weight"][0]
        assert changed.min() >= output.start


def test_test_table_report_and_transcripts(corpus, ce, mmi, capsys, tmp_path):
    """`test`, `table --json`, `decode` and `report` give every number they promise."""
    for run in (ce, mmi):
        assert main.main(["test", run.name]) == 0
    capsys.readouterr()
    assert main.main(["table", ce.name, mmi.name, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [set(RUN_COLUMNS) <= set(r) for r in rows] == [True, True]
    assert 0 <= rows[1]["test_wer_low"] <= rows[1]["test_wer"] <= rows[1]["test_wer_high"]
    assert rows[0]["p_value"] is None
    assert 0 < rows[1]["p_value"] <= 1
    assert rows[1]["test_speakers"] == len(set(corpus.split("test").speakers)) > 2
    assert rows[1]["outcome"] in list(VerdictOutcome)
    example.write_example(mmi, [ce])
    page = tmp_path / "report.html"
    assert main.main(["report", ce.name, mmi.name, "--out", str(page)]) == 0
    text = page.read_text()
    assert "Cross" not in text.split("<title>")[0]
    assert text.count("data:image/png") >= 6
    assert not re.findall(r'(?:src|href)="(?!data:|#)', text)
    store = corpus.split("test")
    import soundfile

    # The tiny network leaves no path for some utterances, which `decode` refuses.
    hypotheses = read_transcripts(mmi.folder).hypotheses
    number = next(number for number, name in enumerate(store.ids) if hypotheses[name])
    samples, rate = store.audio(number)
    soundfile.write(tmp_path / "one.wav", samples, rate)
    capsys.readouterr()
    assert main.main(["decode", mmi.name, str(tmp_path / "one.wav")]) == 0
    said = capsys.readouterr().out.strip().split("\t")[1].split()
    assert tuple(said) == hypotheses[store.ids[number]]


def test_a_network_aligns_a_corpus_anew(corpus, ce, capsys):
    """The new corpus has the network's alignment and priors; the old one is unchanged."""
    old = runs.corpus_digest(corpus)
    assert main.main(["align", ce.name, "--name", "tiny-2"]) == 0
    new = Corpus.open("tiny-2")
    assert runs.corpus_digest(corpus) == old != runs.corpus_digest(new)
    before, after = (np.asarray(c.split("train").alignment) for c in (corpus, new))
    assert 0.3 < np.mean(before == after) < 1.0
    silence = new.states.silence
    assert np.exp(new.log_prior)[silence].sum() == pytest.approx(
        np.isin(after, silence).mean(), abs=0.01
    )
    run = runs.train(new, preset("tiny", **{**SMALL, "epochs": 0.5}), name="again", init=ce)
    assert run.status().state == RunState.DONE
    assert main.main(["align", ce.name, "--name", "tiny-2"]) == 1


def test_errors_are_one_line_and_exit_codes_mean_something(tiny_home, capsys, tmp_path):
    """1 with one line that says why; 2 for wrong usage."""
    for command in (
        ["train", "nowhere"],
        ["table", "nothing"],
        ["prepare", "x", "--kaldi", str(tmp_path / "none")],
        ["train", "tiny", "--set", "batch=0"],
        ["train", "tiny", "--set", "colour=red"],
    ):
        assert main.main(command) == 1
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
    with pytest.raises(SystemExit) as wrong:
        main.main(["train", "--preset", "gigantic"])
    assert wrong.value.code == 2


SHORT = ["epochs=0.25", "evaluate_every=0.25", "batch=64", "evaluate_utterances=20"]


def test_real_digits_by_the_same_commands(tiny_home, shared_digits, capsys):
    """A real corpus in Kaldi's form is prepared, trained and tested; words are recognised."""
    assert main.main(["prepare", "digits", "--kaldi", str(shared_digits), "--states", "150"]) == 0
    assert main.main(["train", "digits", "--name", "untuned", "--set", *SHORT]) == 0
    untuned = find_run("untuned")
    assert untuned.status().state == RunState.DONE
    assert untuned.summary.heldout_wer < 0.95  # the usual rate diverges here, and was halved

    options = [
        "--preset",
        "tiny",
        "--set",
        "epochs=3",
        "hidden_units=64",
        "learning_rate=0.1",
        "evaluate_every=3",
        "evaluate_utterances=20",
    ]
    assert main.main(["train", "digits", *options, "--name", "digits-ce"]) == 0
    assert main.main(["test", "digits-ce"]) == 0
    summary = find_run("digits-ce").summary
    assert summary.test_wer < 0.4  # chance is about 0.9; the voices of the test are not in training
    corpus = read_json(tiny_home / "corpora" / "digits" / "corpus.json")
    assert all(not split["set_aside"] for split in corpus["splits"].values())
