"""The decoder: outer gradients of one replica's utterances (paper, section 3)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.batches import UtteranceOrder
from workbench.engine.effects import CLOSED, Close, Emit, Now, Process, Put, Rest, Steps, Work
from workbench.sequence.decoded import Decoded
from workbench.settings import AsynchronySettings, Settings
from workbench.storage.rows import DecodeRow
from workbench.training.client import ParameterClient
from workbench.training.drift import draw_origin
from workbench.training.messages import Decode, DecodedUtterance, FetchedParameters
from workbench.training.shards import Shards


@dataclass(frozen=True, eq=False)
class DecoderState:
    """The state from which a decoder can be resumed."""

    position: int = 0  # in the order of utterances
    decoded: int = 0  # utterances since the last fetch
    parameters: FetchedParameters | None = None  # only if they will be used again
    instant: int = -1  # number of the common fetch that they are from
    finished: bool = False


def decoder(
    name: str,
    shards: Shards,
    settings: Settings,
    order: UtteranceOrder,
    decode: Decode,
    frames: Sequence[int] | np.ndarray,
    channel: str,
    state: DecoderState | None = None,
) -> Process:
    """Decode the utterances in ``order`` and put them on ``channel``; return a DecoderState.

    ``frames[u]`` is the length of utterance ``u``. The decoder fetches as the setting
    ``decoder_fetch`` demands, at the start of an utterance and as late as possible, that is when
    the channel has taken the utterance before.
    """
    state = state or DecoderState()
    if state.finished:
        return state
    fetching = Fetching(ParameterClient(shards, settings.asynchrony), settings.asynchrony, state)
    position = state.position
    queue = 0
    waited = 0.0

    for utterance in order.start(position):
        if (yield Rest()):
            return fetching.state(position)
        at = yield from fetching.parameters()
        if at is None:
            return fetching.state(position)
        if at.ended:
            break

        started = yield Now()
        work = Work(decode, (at.theta, utterance), int(frames[utterance]), "decode")
        decoded = yield work
        yield Emit(decode_row(name, decoded, at, started, queue, waited))

        before = yield Now()
        origin = draw_origin(settings, name, position, decoded, at)
        queue = yield Put(channel, DecodedUtterance(decoded, at.versions, at.seconds, origin))
        if queue is CLOSED:
            break
        waited = (yield Now()) - before
        position += 1
        fetching.since += 1

    yield Close(channel)
    return DecoderState(position, finished=True)


class Fetching:
    """A decoder's parameters, and when they are fetched."""

    def __init__(
        self, server: ParameterClient, asynchrony: AsynchronySettings, state: DecoderState
    ):
        self.server = server
        self.asynchrony = asynchrony
        self.at = state.parameters
        self.since = state.decoded  # utterances decoded since the last fetch
        self.instant = state.instant

    def state(self, position: int) -> DecoderState:
        """Return the state to be saved."""
        used_again = not always_fetches(self.asynchrony)
        return DecoderState(position, self.since, self.at if used_again else None, self.instant)

    def parameters(self) -> Steps[FetchedParameters | None]:
        """Return the parameters for the next utterance; None if the run is coming to rest."""
        now = yield Now()
        if self.at is not None and not self._due(self.at, now):
            return self.at

        instant = common_instant(self.asynchrony, now)
        if instant is None:
            fetched = yield from self.server.fetch()
        else:
            fetched = yield from self.server.fetch_instant(instant)

        if fetched is not None:
            self.at = fetched
            self.since = 0
            self.instant = -1 if instant is None else instant

        return fetched

    def _due(self, at: FetchedParameters, now: float) -> bool:
        """Return whether the parameters ``at`` are too old for the next utterance."""
        if always_fetches(self.asynchrony):
            return True
        if self.asynchrony.decoder_fetch == "utterances":
            return self.since >= self.asynchrony.decoder_utterances
        if self.asynchrony.decoder_fetch == "seconds":
            return now - at.seconds >= self.asynchrony.decoder_seconds
        return now // self.asynchrony.decoder_seconds > self.instant


def always_fetches(asynchrony: AsynchronySettings) -> bool:
    """Return whether each utterance is decoded with newly fetched parameters."""
    policy = asynchrony.decoder_fetch
    if policy == "utterances":
        return asynchrony.decoder_utterances == 1
    if policy in ("seconds", "synchronous"):
        return asynchrony.decoder_seconds == 0
    return True


def common_instant(asynchrony: AsynchronySettings, seconds: float) -> int | None:
    """Return the number of the decoders' last common fetch; None if each fetches for itself."""
    if asynchrony.decoder_fetch != "synchronous" or asynchrony.decoder_seconds == 0:
        return None
    return int(seconds // asynchrony.decoder_seconds)


def decode_row(
    name: str,
    decoded: Decoded,
    at: FetchedParameters,
    started: float,
    queue: float,
    waited: float,
) -> DecodeRow:
    """Return the row of a decoded utterance; queue and wait are of the one before."""
    return DecodeRow(
        decoder=name,
        utterance=int(decoded.utterance),
        frames=int(decoded.frames),
        rejected=int(decoded.rejected),
        cancelled=int(decoded.cancelled),
        kept=len(decoded.kept),
        value=finite_or_none(decoded.value),
        num=finite_or_none(decoded.num),
        den=finite_or_none(decoded.den),
        beam=finite_or_none(decoded.beam),
        reason=decoded.reason,
        version=at.versions[0],
        versions=tuple(at.versions),
        age_seconds=started - at.seconds,
        queue=int(queue),
        put_seconds=waited,
    )


def finite_or_none(number: float) -> float | None:
    """Return ``number``, or None if it is not finite (JSON has no NaN)."""
    return float(number) if math.isfinite(number) else None
