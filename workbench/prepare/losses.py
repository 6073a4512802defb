"""What a corpus loses on its way: counted against the tolerance, and always listed."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from workbench.corpus.check import write_set_aside
from workbench.corpus.utterances import DataSet, SetAside
from workbench.settings import UserError
from workbench.storage.home import data_folder

SHOWN_FAULTS = 5

ADVICE = {
    "word not in lexicon": 'give the lexicon these words, or the word <unk> ("<unk> SPN"), which '
    "then stands for all that it lacks",
    "command refused": "give --allow-commands, if you trust these commands",
    "invalid UTF-8": "write the file again as UTF-8",
}
"""What to do about some reasons, besides allowing more."""


class Losses:
    """The utterances that a corpus has lost so far, by split.

    ``corpus``: its name, after which the list is called when too much is lost.
    """

    def __init__(self, corpus: str, tolerance: float):
        self.corpus = corpus
        self.tolerance = tolerance
        self.data: dict[str, DataSet] = {}  # the splits as far as they were read
        self.seen: dict[str, int] = {}
        self.aside: dict[str, list[SetAside]] = {}

    def take_split(self, split: str, dataset: DataSet) -> None:
        """Count what reading and checking a split set aside; in place of an earlier count."""
        self.data[split] = dataset
        self.seen[split] = dataset.seen
        self.aside[split] = list(dataset.set_aside)

    def add(self, split: str, more: Sequence[SetAside]) -> None:
        """Add what a later step set aside."""
        self.aside[split] += more

    def refuse(self) -> None:
        """Raise UserError if a split is empty or has lost more than is tolerated.

        The message has the counts and the first places; a file that it names has all of them.
        """
        told = self.refusal()
        if told:
            raise UserError(f"{told}; {self._write_list()} lists all of them")

    def refusal(self) -> str:
        """Return which splits are empty or have lost too much, and what to do; empty if none."""
        refused = [split for split in self.seen if self._too_many(split)]
        if not refused:
            return ""
        told = "; ".join(self._describe(split) for split in refused)
        return f"{told}. {self._advise(refused)}"

    def _write_list(self) -> Path:
        """Write all that was set aside to a file, and return its path."""
        listed = self.list_path
        listed.parent.mkdir(parents=True, exist_ok=True)
        write_set_aside(listed, [fault for aside in self.aside.values() for fault in aside])
        return listed

    def _advise(self, refused: Sequence[str]) -> str:
        """What to do about the splits that are refused; no tolerance makes an empty one usable."""
        reasons = {fault.reason for split in refused for fault in self.aside[split]}
        advice = [f"{reason}: {what}" for reason, what in ADVICE.items() if reason in reasons]
        if any(self._is_empty(split) for split in refused):
            return "; ".join([*advice, "A set must keep some utterances, whatever is tolerated"])
        return "; ".join([*advice, "--tolerance allows more"])

    @property
    def list_path(self) -> Path:
        """The file that lists what was set aside when preparation was refused."""
        return data_folder() / "logs" / f"{self.corpus}-set-aside.tsv"

    def _too_many(self, split: str) -> bool:
        lost = len(self.aside[split])
        return self._is_empty(split) or lost > max(1, self.tolerance * self.seen[split])

    def _is_empty(self, split: str) -> bool:
        return len(self.aside[split]) >= self.seen[split]

    def _describe(self, split: str) -> str:
        """For example "test: 12 of 12 utterances cannot be used (no text 12): test/text:1: …"."""
        aside = self.aside[split]
        seen = self.seen[split]
        if not seen:
            return f"{split}: no utterances"
        counts = Counter(fault.reason for fault in aside)
        reasons = ", ".join(f"{reason} {count}" for reason, count in counts.most_common())
        first = "; ".join(
            f"{fault.where}: {fault.utterance}: {fault.reason} {fault.detail}".strip()
            for fault in aside[:SHOWN_FAULTS]
        )
        share = f"{100 * len(aside) / seen:.0f} %, and {100 * self.tolerance:g} % are tolerated"
        lost = f"{split}: {len(aside)} of {seen} utterances cannot be used ({share})"
        return f"{lost}: {reasons}: {first}"
