"""Utterances decoded ahead are those decoded in turn, however the decoder's parameters change."""

from concurrent.futures import Future
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from devices import use_cpu, use_device

from workbench import runs
from workbench.prepare.corpus import Corpus
from workbench.runs import decode_ahead, posteriors
from workbench.runs.decode_ahead import DecodeAhead
from workbench.runs.posteriors import with_posteriors
from workbench.runs.task import Task
from workbench.settings import preset
from workbench.storage.rows import EvaluateRow

ORDER = [4, 2, 9, 4, 7, 1, 1, 3]


def begun(blocks: list[list[int]]):
    """A way to begin to decode that notes the blocks; what is decoded names its parameters."""

    def begin(theta, utterances):
        blocks.append(list(utterances))
        futures = []
        for utterance in utterances:
            future: Future = Future()
            future.set_result((float(theta[0]), utterance))
            futures.append(future)
        return futures

    return begin


@pytest.mark.parametrize("versions", [[0] * 8, list(range(8)), [0, 0, 1, 1, 1, 2, 2, 2]])
def test_each_utterance_has_the_parameters_it_was_asked_with(versions, monkeypatch):
    """Also where they change before all that was begun is used, and an utterance comes twice."""
    monkeypatch.setattr(decode_ahead, "BLOCKS_OF_PROCESSORS", 100)
    blocks: list[list[int]] = []
    ahead = DecodeAhead(iter(ORDER), 3, begun(blocks))
    thetas = [np.full(1, version, np.float32) for version in range(8)]
    for version, utterance in zip(versions, ORDER, strict=True):
        assert ahead.decode(thetas[version], utterance) == (version, utterance)
    if versions == [0] * 8:
        assert blocks == [[4, 2, 9], [4, 7, 1], [1, 3]]


@pytest.mark.parametrize("same", [1, 2])
def test_no_utterance_is_decoded_twice_where_more_are_kept_than_begun(monkeypatch, same):
    """The last block of a version ends where the decoder fetches, also if it fetches the same."""
    monkeypatch.setattr(decode_ahead, "BLOCKS_OF_PROCESSORS", 1)
    monkeypatch.setattr(decode_ahead.os, "cpu_count", lambda: 4)
    blocks: list[list[int]] = []
    order = list(range(18))
    ahead = DecodeAhead(iter(order), 6, begun(blocks))
    thetas = [np.full(1, version, np.float32) for version in range(3)]
    for utterance in order:
        version = utterance // (6 * same)
        assert ahead.decode(thetas[version], utterance) == (version, utterance)
    assert list(chain(*blocks)) == order
    assert [len(block) for block in blocks] == [4, 2, 4, 2, 4, 2]


def test_another_order_is_an_error():
    """The result would belong to another utterance."""
    ahead = DecodeAhead(iter(ORDER), 3, begun([]))
    with pytest.raises(RuntimeError, match="utterance 2 was asked for before 4"):
        ahead.decode(np.zeros(1, np.float32), 2)


@pytest.fixture(scope="module")
def corpus(tiny_home: Path) -> Corpus:
    """The tiny corpus."""
    return Corpus.open("tiny")


@pytest.mark.slow
@pytest.mark.parametrize("use", [use_cpu, use_device])
def test_a_run_that_decodes_ahead_is_the_same_run(corpus: Corpus, monkeypatch, use):
    """Row for row and bit for bit, on the CPU; on a device up to the products of larger batches."""
    use(monkeypatch)
    settings = preset(
        "tiny",
        criterion="mmi",
        epochs=0.6,
        batch=16,
        replicas=2,
        clock="cost",
        decoder_fetch="utterances",
        decoder_utterances=3,
    )
    ahead = runs.train(corpus, settings, name=f"ahead-{use.__name__}")
    monkeypatch.setattr(Task, "decode_in_order", lambda self, order: self.decode)
    in_turn = runs.train(corpus, settings, name=f"in-turn-{use.__name__}")
    assert ahead.summary.updates == in_turn.summary.updates
    if use is use_cpu:
        assert ahead.summary.parameters_digest == in_turn.summary.parameters_digest
        assert ahead.summary.rows_digest == in_turn.summary.rows_digest
    curve = in_turn.table(EvaluateRow).mmi.tolist()
    assert ahead.table(EvaluateRow).mmi.tolist() == pytest.approx(curve, abs=1e-3)


@pytest.mark.parametrize("clock", ["measured", "wall"])
def test_clocks_that_time_each_decode_are_not_helped(corpus: Corpus, clock):
    """On the measured clock a decode takes its own time; on a cluster a decoder has one thread."""
    settings = preset("tiny", criterion="mmi", decoder_fetch="utterances", decoder_utterances=3)
    task = Task(corpus, settings.replace(clock=clock))
    assert task.decode_in_order(iter([1, 2])) == task.decode
    assert Task(corpus, settings).decode_in_order(iter([1, 2])) != task.decode


class Scored:
    """A scorer whose posteriors are the numbers of the utterances."""

    def __init__(self, on_device: bool):
        self.on_device = on_device
        self.blocks: list[list[int]] = []

    def utterance_posteriors(self, theta, store, utterances):
        self.blocks.append(list(utterances))
        return [np.full((1, 1), utterance) for utterance in utterances]


@pytest.mark.parametrize("on_device", [False, True])
def test_results_come_in_order(corpus: Corpus, monkeypatch, on_device):
    """Whether utterances share a forward pass or not."""
    store = corpus.split("train")
    monkeypatch.setattr(posteriors, "BLOCK_FRAMES", 400)
    scored = Scored(on_device)
    order = [5, 1, 2, 0, 3, 11, 12, 20, 21, 22, 23, 24]
    theta = np.zeros(1, np.float32)
    found = list(
        with_posteriors(scored, theta, store, order, lambda u, logp: (u, int(logp[0, 0])), 2)
    )
    assert found == [(u, u) for u in order]
    if on_device:
        assert list(chain(*scored.blocks)) == order
        assert max(map(len, scored.blocks)) > 1
