"""The paper's experiment at its size, as one campaign that can be stopped and resumed anywhere.

Sixty hours of synthetic Icelandic voice search, cross entropy, and from its model MMI by one
replica and by fifty, all tested. It is a baseline with two sequence trainings; at a smaller size
it is a rehearsal of it. What it takes is foretold from speeds that were measured.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from workbench.baseline.choices import CorpusSize, settings_by
from workbench.baseline.plan import choose, finds_rate
from workbench.baseline.request import Changes, Request
from workbench.corpus.synthesis.difficulty import SIZES
from workbench.prepare.reading import Source
from workbench.rates.search import SHARE
from workbench.recognise.evaluate import ACOUSTIC_FACTORS, HELDOUT_MOST
from workbench.settings import UserError
from workbench.settings.frame import FRAMES_PER_SECOND

REPLICAS = (1, 50)
"""Replicas of the two sequence trainings; 50 are the paper's."""

SPEECH_HOURS = {"tiny": 0.02, "smoke": 0.16, "demo": 2.0, "default": 5.1, "paper": 60.1}
"""Hours of training speech of each synthetic corpus."""

FORETOLD = ("epochs", "learning_rate")
"""Settings that a forecast takes into account; the speeds are those of the paper's others."""

PAPER_HOURS = 60.0
SECONDS_PER_HOUR = 3600


@dataclass(frozen=True)
class MachineSpeeds:
    """Frames per second at the paper's network and graph, and where the figures come from.

    ``preparing``: frames of speech that are synthesised, aligned and stored. ``cross_entropy``: by
    one replica. ``sequence``: by one replica and its decoder, cancelled frames included;
    ``sequence_many``: by fifty. ``testing``: with the n-gram.
    """

    name: str
    source: str
    preparing: float
    cross_entropy: float
    sequence: float
    sequence_many: float
    testing: float


TWO_CORES = MachineSpeeds(
    name="2 cores",
    source="AMD EPYC with AVX-512: preparing, cross entropy and parts of a decode were measured "
    "(data/results/RESULTS.md, tests/benchmarks/BENCHMARKS.md)",
    preparing=20_000,
    cross_entropy=2_270,
    sequence=5_000,
    sequence_many=6_500,
    testing=11_000,
)
ONE_GPU = MachineSpeeds(
    name="1 GPU, 16 cores",
    source="an estimate from parts: cross entropy on an H100 whose gradients still went through "
    "the host, lattices of one core times their number; tests/device.sh measures it",
    preparing=160_000,
    cross_entropy=36_000,
    sequence=22_000,
    sequence_many=40_000,
    testing=150_000,
)
MACHINES = (TWO_CORES, ONE_GPU)

Speed = Callable[[MachineSpeeds], float]
preparing: Speed = attrgetter("preparing")
cross_entropy: Speed = attrgetter("cross_entropy")
sequence: Speed = attrgetter("sequence")
sequence_many: Speed = attrgetter("sequence_many")
testing: Speed = attrgetter("testing")


@dataclass(frozen=True)
class Stage:
    """A part of the campaign, the frames that it visits, and the speed that limits it."""

    name: str
    frames: float
    speed: "Speed"

    def seconds(self, machine: MachineSpeeds) -> float:
        """Return how long it takes there."""
        return self.frames / self.speed(machine)


def size_for(hours: float) -> str:
    """Return the smallest synthetic corpus with so many hours of training speech.

    Raises UserError if there is none.
    """
    for size, speech in SPEECH_HOURS.items():
        if 0 < hours <= speech:
            return size
    raise UserError(f"hours={hours:g}: more than 0, at most {PAPER_HOURS:g} hours of speech")


def paper_request(
    size: str,
    replicas: Sequence[int] = REPLICAS,
    both: Changes | None = None,
    frame: Changes | None = None,
    after: Changes | None = None,
) -> Request:
    """Return what the campaign asks for on a synthetic corpus of this size."""
    return Request(
        name="paper" if size == "paper" else f"paper-{size}",
        source=Source(synthetic="is", size=size),
        both=both or {},
        frame=frame or {},
        sequence=after or {},
        replicas=tuple(replicas),
    )


def stages_of(size: str, request: Request) -> list[Stage]:
    """Return the stages of the campaign with the frames that each visits.

    Amounts are those of the size; a baseline's choices and what the request gives decide the
    epochs, and whether learning rates are found.
    """
    utterances = SIZES[size].utterances
    frames = SPEECH_HOURS[size] * SECONDS_PER_HOUR * FRAMES_PER_SECOND
    each = frames / utterances.train
    heldout = each * utterances.heldout
    test = each * utterances.test

    corpus = CorpusSize(round(frames), round(heldout), utterances.heldout)
    frame_chosen, sequence_chosen = choose(request, corpus)
    frame_epochs = settings_by(frame_chosen, "ce").batches.epochs
    sequence_epochs = settings_by(sequence_chosen, "mmi").batches.epochs
    choosing = each * min(HELDOUT_MOST, utterances.heldout) * len(ACOUSTIC_FACTORS)

    stages = [Stage("speech, features, alignment", frames + heldout + test, preparing)]
    if finds_rate(frame_chosen):
        visited = SHARE * frame_epochs * frames
        stages.append(Stage("rate of cross entropy", visited, cross_entropy))
    name = f"cross entropy, {frame_epochs:g} epochs"
    stages.append(Stage(name, frame_epochs * frames, cross_entropy))
    if finds_rate(sequence_chosen):
        stages.append(Stage("rate of MMI", SHARE * sequence_epochs * frames, sequence))
    for count in request.replicas:
        name = f"MMI, {sequence_epochs:g} epochs, {count} replica{'s' if count > 1 else ''}"
        speed = sequence if count == 1 else sequence_many
        stages.append(Stage(name, sequence_epochs * frames, speed))
    tests = 1 + len(request.replicas)
    stages.append(Stage(f"{tests} tests", tests * (test + choosing), testing))
    return stages


def not_foretold(request: Request) -> list[str]:
    """Return the settings that were given and of which the speeds of `MACHINES` know nothing."""
    given = {*request.both, *request.frame, *request.sequence}
    return sorted(given.difference(FORETOLD))
