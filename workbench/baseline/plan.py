"""What was chosen for a baseline, kept in a file so that an interrupted one goes on with it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from workbench.baseline.choices import (
    ChosenSetting,
    CorpusSize,
    frame_choices,
    network_choices,
    sequence_choices,
    settings_by,
    with_given,
)
from workbench.baseline.request import Request
from workbench.prepare.corpus import Corpus
from workbench.runs import corpus_digest
from workbench.settings import Settings, Value
from workbench.storage.files import write_json
from workbench.storage.home import data_folder
from workbench.storage.records import read_record

NETWORK = ("hidden_layers", "hidden_units")
LEAST_EPOCHS = {"frame": 2.0, "sequence": 0.5}
"""Epochs that a limit of time leaves at least."""


@dataclass(frozen=True)
class TunedScale:
    """An acoustic scale that was tried, and the held-out error rate of the unigram with it."""

    acoustic_scale: float
    prior_scale: float
    wer: float


@dataclass(frozen=True)
class Plan:
    """The choices of a baseline, and the scales that were measured with its first model.

    ``question`` and ``corpus`` (its digest) are what the choices were made for.
    """

    question: dict[str, object]
    corpus: str
    frame: tuple[ChosenSetting, ...]
    sequence: tuple[ChosenSetting, ...]
    scales: tuple[TunedScale, ...] = ()  # the best first

    def __post_init__(self) -> None:
        for name in ("frame", "sequence", "scales"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @property
    def frame_settings(self) -> Settings:
        """The settings of cross entropy; its rate has the default unless it was given."""
        return settings_by(self.frame, "ce")

    @property
    def sequence_settings(self) -> Settings:
        """The settings of sequence training, with the scales that were measured."""
        criterion = str(_value(self.sequence, "criterion"))
        return settings_by(self.sequence, criterion)

    def finds_rate(self, sequence: bool) -> bool:
        """Whether the learning rate is to be found, since none was given."""
        return finds_rate(self.sequence if sequence else self.frame)

    def with_scales(self, scales: Sequence[TunedScale]) -> "Plan":
        """The plan with measured scales, the best first; a scale that was given stays."""
        best = scales[0]
        found = [
            ChosenSetting(
                "acoustic_scale", best.acoustic_scale, "fewest held-out errors of cross entropy"
            ),
            ChosenSetting(
                "prior_scale", best.prior_scale, "fewest held-out errors of cross entropy"
            ),
        ]
        named = {choice.name for choice in self.sequence}
        new = [choice for choice in found if choice.name not in named]
        return replace(self, sequence=(*self.sequence, *new), scales=tuple(scales))

    def shortened(self, share: float) -> "Plan":
        """The plan with ``share`` of its epochs; UserError if too little would be left."""
        frame = _shortened(self.frame, share, LEAST_EPOCHS["frame"])
        sequence = _shortened(self.sequence, share, LEAST_EPOCHS["sequence"])
        return replace(self, frame=frame, sequence=sequence)


def make_plan(request: Request, corpus: Corpus) -> Plan:
    """Return new choices for a corpus."""
    frame, sequence = choose(request, CorpusSize.of(corpus))
    return Plan(request.question, corpus_digest(corpus), tuple(frame), tuple(sequence))


def choose(request: Request, size: CorpusSize) -> tuple[list[ChosenSetting], list[ChosenSetting]]:
    """Return the settings of cross entropy and those of sequence training, the given included."""
    network = with_given(network_choices(size), _network_of(request))
    frame_given = {**request.both, **request.frame}
    sequence_given = {**request.both, **request.sequence}
    return (
        with_given(frame_choices(size), {**frame_given, **_network_of(request)}),
        with_given(sequence_choices(size, network, request.criterion), sequence_given),
    )


def finds_rate(choices: Sequence[ChosenSetting]) -> bool:
    """Whether the learning rate of a training is to be found, since none was given."""
    return all(choice.name != "learning_rate" for choice in choices)


def _network_of(request: Request) -> dict[str, Value]:
    """The size of the network, where it was given for cross entropy or for both."""
    given = {**request.both, **request.frame}
    return {name: given[name] for name in NETWORK if name in given}


def plan_file(name: str) -> Path:
    """Return the file of the plan for the baseline ``name``."""
    return data_folder() / "baselines" / f"{name}.json"


def known_plan(request: Request, corpus: Corpus) -> Plan | None:
    """Return the plan that was kept for the same question and corpus; None if there is none."""
    path = plan_file(request.name)
    if not path.exists():
        return None
    plan = read_record(Plan, path)
    same = plan.question == request.question and plan.corpus == corpus_digest(corpus)
    return plan if same else None


def keep_plan(name: str, plan: Plan) -> None:
    """Write a plan to its file."""
    path = plan_file(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, asdict(plan))


def _value(choices: Sequence[ChosenSetting], name: str) -> Value:
    """The value that was chosen for a setting."""
    return next(choice.value for choice in choices if choice.name == name)


def _shortened(
    choices: Sequence[ChosenSetting], share: float, least: float
) -> tuple[ChosenSetting, ...]:
    """The choices with fewer epochs, unless these were given."""
    shorter = []
    for choice in choices:
        if choice.name == "epochs" and choice.reason != "as given":
            epochs = max(least, round(20 * share * float(choice.value)) / 20)
            reason = f"{share:.0%} of {choice.value:g}, to keep within the hours that were given"
            shorter.append(replace(choice, value=epochs, reason=reason))
        else:
            shorter.append(choice)
    return tuple(shorter)
