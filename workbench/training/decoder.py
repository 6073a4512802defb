"""The decoder: outer gradients of one replica's utterances, with parameters of its own (paper section 3)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.batches import UtteranceOrder
from workbench.engine.effects import CLOSED, Close, Emit, Now, Process, Put, Rest, Work
from workbench.settings import Settings
from workbench.training.client import Conversation
from workbench.training.messages import Outer, Parameters
from workbench.training.shards import Shards


@dataclass(frozen=True, eq=False)
class DecoderState:
    """Enough to go on; ``parameters`` only if they will be used again."""

    position: int = 0  # in the order of utterances
    decoded: int = 0  # utterances since the last fetch
    parameters: Parameters | None = None
    instant: int = -1  # of the common fetch that they are from
    finished: bool = False


def decoder(
    name: str,
    shards: Shards,
    settings: Settings,
    order: UtteranceOrder,
    decode: Callable[[np.ndarray, int], Any],
    frames: Sequence[int] | np.ndarray,
    channel: str,
    state: DecoderState | None = None,
) -> Process:
    """Decode the utterances in ``order`` and put them on ``channel`` as ``Outer``; returns a DecoderState.

    ``decode(theta, utterance)`` gives workbench.sequence's Decoded; ``frames[u]`` is the length of utterance ``u``.
    It fetches as ``decoder_fetch`` says, at the start of an utterance and as late as possible, i.e. when the channel
    has taken the one before.
    """
    state = state or DecoderState()
    position, since, at, last = state.position, state.decoded, state.parameters, state.instant
    server, queue, waited = Conversation(shards, settings), 0, 0.0
    if state.finished:
        return state

    def here() -> DecoderState:
        return DecoderState(position, since, None if always(settings) else at, last)

    for utterance in order.start(position):
        if (yield Rest()):
            return here()
        now = yield Now()
        if due(settings, at, since, last, now):
            common = instant(settings, now)
            fetched = yield from server.fetch(instant=common)
            if fetched is None:
                return here()
            at, since, last = fetched, 0, -1 if common is None else common
        assert at is not None  # fetched before the first utterance
        if at.ended:
            break
        started = yield Now()
        decoded = yield Work(decode, (at.theta, utterance), int(frames[utterance]), "decode")
        yield Emit(row(name, decoded, at, started, queue, waited))
        before = yield Now()
        queue = yield Put(channel, Outer(decoded, at.versions, at.seconds))
        if queue is CLOSED:
            break
        waited = (yield Now()) - before
        position, since = position + 1, since + 1
    yield Close(channel)
    return DecoderState(position, finished=True)


def always(settings: Settings) -> bool:
    """Whether each utterance is decoded with newly fetched parameters."""
    by = settings.asynchrony.decoder_fetch
    once = by == "utterances" and settings.asynchrony.decoder_utterances == 1
    return (
        by == "utterance"
        or once
        or (by in ("seconds", "synchronous") and settings.asynchrony.decoder_seconds == 0)
    )


def due(settings: Settings, at: Parameters | None, since: int, last: int, now: float) -> bool:
    """Whether to fetch before the next utterance: ``at`` is ``since`` utterances old, of common fetch ``last``."""
    if at is None or always(settings):
        return True
    if settings.asynchrony.decoder_fetch == "utterances":
        return since >= settings.asynchrony.decoder_utterances
    if settings.asynchrony.decoder_fetch == "seconds":
        return now - at.seconds >= settings.asynchrony.decoder_seconds
    return now // settings.asynchrony.decoder_seconds > last


def instant(settings: Settings, seconds: float) -> int | None:
    """The number of the last common fetch of all decoders before ``seconds``; None if each fetches for itself."""
    if (
        settings.asynchrony.decoder_fetch != "synchronous"
        or settings.asynchrony.decoder_seconds == 0
    ):
        return None
    return int(seconds // settings.asynchrony.decoder_seconds)


def row(
    name: str, decoded: Any, at: Parameters, started: float, queue: float, waited: float
) -> dict[str, Any]:
    """What is known of one utterance when it has been decoded; queue and wait are those of the one before."""
    numbers = {name: finite(getattr(decoded, name)) for name in ("value", "num", "den", "beam")}
    counts = {
        name: int(getattr(decoded, name))
        for name in ("utterance", "frames", "rejected", "cancelled")
    }
    return {
        "kind": "decode",
        "decoder": name,
        **counts,
        "kept": len(decoded.kept),
        **numbers,
        "reason": decoded.reason,
        "version": at.versions[0],
        "versions": list(at.versions),
        "age_seconds": started - at.seconds,
        "queue": int(queue),
        "put_seconds": waited,
    }


def finite(number: float) -> float | None:
    """``number`` for JSON: None if it is none."""
    return float(number) if math.isfinite(number) else None
