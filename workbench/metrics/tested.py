"""Tested runs, and the comparison of their word errors on the same test set."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from workbench.metrics.significance import Comparison, Unit, compare_errors
from workbench.metrics.words import WordErrors, total_errors, word_errors
from workbench.settings import UserError
from workbench.storage.run import Run
from workbench.storage.transcripts import Transcripts, has_transcripts, read_transcripts

FIRST_TESTS = "rescoring 14:9:6000"
"""The search of tests that were made before tests recorded their search."""


class NotComparable(UserError):
    """Two tests measured different things; the message says which."""


@dataclass(frozen=True)
class TestedRun:
    """What the test of a run left behind.

    ``search`` and ``language`` describe how the words were searched for; ``language`` identifies
    lexicon and language models, and is empty for tests made before it was kept.
    """

    __test__ = False  # for pytest: this class tests nothing

    name: str
    transcripts: Transcripts
    search: str
    language: str
    rows_digest: str

    @classmethod
    def of(cls, run: Run) -> "TestedRun":
        """Return the test of a run; UserError if it was not tested."""
        if not has_transcripts(run.folder):
            raise UserError(f"{run.name}: not tested; `workbench test {run.name}` does it")
        summary = run.summary
        return cls(
            name=run.name,
            transcripts=read_transcripts(run.folder),
            search=summary.test_search or FIRST_TESTS,
            language=summary.test_language or "",
            rows_digest=summary.rows_digest or "",
        )

    @cached_property
    def utterances(self) -> list[str]:
        """The ids of the test utterances, sorted."""
        return sorted(self.transcripts.references)

    @cached_property
    def errors(self) -> list[WordErrors]:
        """The errors of each of the `utterances`."""
        references = self.transcripts.references
        hypotheses = self.transcripts.hypotheses
        return [word_errors(references[u], hypotheses[u]) for u in self.utterances]

    @property
    def speakers(self) -> list[str] | None:
        """The speaker of each of the `utterances`; None where nobody knows them."""
        known = self.transcripts.speakers
        return None if known is None else [known[u] for u in self.utterances]


def compare_runs(a: Sequence[Run], b: Sequence[Run]) -> Comparison:
    """Compare two groups of runs; see `compare_tested`."""
    return compare_tested([TestedRun.of(run) for run in a], [TestedRun.of(run) for run in b])


def compare_tested(a: Sequence[TestedRun], b: Sequence[TestedRun]) -> Comparison:
    """Compare two groups of tests, e.g. over seeds: the errors of each group are added up.

    Raises NotComparable unless all were made on the same utterances with the same reference words,
    by the same search and language models.
    """
    first = a[0]
    for other in (*a[1:], *b):
        require_same_test(first, other)

    comparison = compare_errors(_errors_over_runs(a), _errors_over_runs(b), first.speakers)
    if not _same_training(a, b):
        return comparison
    return replace(comparison, identical=True)


def require_same_test(a: TestedRun, b: TestedRun) -> None:
    """Raise NotComparable that says in what the tests of two runs differ, if they do."""
    both = f"{a.name} and {b.name}"
    if a.transcripts.references.keys() != b.transcripts.references.keys():
        shared = len(a.transcripts.references.keys() & b.transcripts.references.keys())
        raise NotComparable(
            f"{both} were tested on different utterances: {len(a.utterances)} and "
            f"{len(b.utterances)}, of which {shared} are the same"
        )
    for utterance, words in a.transcripts.references.items():
        if b.transcripts.references[utterance] != words:
            raise NotComparable(f"{both} were tested with different words for {utterance}")
    if a.search != b.search:
        raise NotComparable(
            f"{both} were tested by different searches, {a.search} and {b.search}; "
            "test them again with the same --search"
        )
    if a.language != b.language and a.language and b.language:
        raise NotComparable(f"{both} were tested with different lexica or language models")


def comparison_with_parent(run: Run) -> Comparison | None:
    """Return the comparison that the test of a run made with the run that it started from.

    None if there is none, or if the test was made before comparisons were kept.
    """
    kept = run.summary.comparison
    if not kept:
        return None
    make: Callable[..., Comparison] = Comparison
    return make(**{**kept, "unit": Unit(str(kept["unit"]))})


def _errors_over_runs(tests: Sequence[TestedRun]) -> list[WordErrors]:
    """The errors of each test utterance, added up over runs."""
    return [total_errors(errors) for errors in zip(*(t.errors for t in tests), strict=True)]


def _same_training(a: Sequence[TestedRun], b: Sequence[TestedRun]) -> bool:
    """Whether the runs of both groups recorded the very same rows, one by one."""
    pairs = zip(a, b, strict=True)
    return all(one.rows_digest and one.rows_digest == other.rows_digest for one, other in pairs)
