"""The way from data to a report; every step finds what an earlier start has left, and goes on.

The steps: the corpus; choices by its amounts; for each seed cross entropy, then sequence training
from it, each at a learning rate that is found; all tested; the report. Scales and rates are found
with the first seed and shared by the others. Sequence training by several replicas has the rate of
one replica.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench import runs
from workbench.baseline.forecast import Forecast, Timer, foretell, foretell_again
from workbench.baseline.plan import Plan, TunedScale, keep_plan, known_plan, make_plan
from workbench.baseline.request import Request
from workbench.baseline.sections import choice_section, rate_section
from workbench.figures.tables import text_table
from workbench.prepare.corpus import Corpus
from workbench.prepare.describe import describe
from workbench.prepare.pipeline import Preparation, prepare
from workbench.progress import Progress, duration_text, no_progress
from workbench.rates import find_rate
from workbench.recognise import evaluate, example
from workbench.reports.improvements import verdict_sentences
from workbench.reports.report import Extras, write_report
from workbench.settings import Settings, UserError, parse_fields
from workbench.storage.example import read_example
from workbench.storage.rate_search import RateSearch
from workbench.storage.run import Run, RunState

ACOUSTIC_SCALES = (0.05, 0.1, 0.15, 0.2, 0.3)
HOURS_KEPT = 0.9
"""Share of the hours that were given which trainings are planned to take."""

SECONDS_PER_HOUR = 3600

Out = Callable[[str], None]
MakeTable = Callable[[Sequence[Run]], str]
Follow = Callable[[str], None]
"""Called with the name, without its digest, of a run that begins or goes on."""


def follow_nothing(name: str) -> None:
    """Do nothing; a `Follow`."""


@dataclass(frozen=True)
class Baseline:
    """A baseline that is done: its corpus, runs, searches and report."""

    corpus: Corpus
    plan: Plan
    runs: tuple[Run, ...]  # of each seed cross entropy and then sequence training
    searches: tuple[RateSearch, ...]
    report: Path


class Stopped(KeyboardInterrupt):
    """A baseline was asked to stop; what was done is kept."""


def make_baseline(
    request: Request,
    *,
    jobs: int = 2,
    progress: Progress | None = None,
    out: Out = print,
    make_table: MakeTable = text_table,
    follow: Follow = follow_nothing,
) -> Baseline:
    """Make what is missing of a baseline and return it.

    ``jobs``: processes that synthesise speech. ``out`` is given lines for a person to read, among
    them what ``make_table`` makes of the runs. Raises `Stopped` if a run was asked to stop,
    UserError for data or settings that cannot be used.
    """
    report = progress or no_progress
    corpus = _corpus(request, jobs, report)
    out(describe(corpus))
    job = _Job(request, corpus, report, out, make_table, follow)
    return job.run()


def _corpus(request: Request, jobs: int, progress: Progress) -> Corpus:
    """The corpus, prepared if it is missing."""
    if request.source is None:
        return Corpus.open(request.name)
    how = parse_fields(Preparation, request.preparation)
    return prepare(request.name, request.source, how, jobs, progress)


class _Job:
    """A baseline under way."""

    def __init__(
        self,
        request: Request,
        corpus: Corpus,
        progress: Progress,
        out: Out,
        make_table: MakeTable,
        follow: Follow,
    ):
        self.request = request
        self.corpus = corpus
        self.progress = progress
        self.out = out
        self.make_table = make_table
        self.follow = follow
        self.timer = Timer()
        self.forecast: Forecast | None = None
        self.searches: dict[str, RateSearch] = {}  # by criterion
        self.plan = known_plan(request, corpus) or self._new_plan()

    def run(self) -> Baseline:
        """Train, test and report what is missing."""
        self._say_choices()
        first = self.request.seeds[0]
        trained: list[Run] = []
        for seed in self.request.seeds:
            ce = self._trained("ce", self._settings(False, seed, None), seed, None)
            if seed == first:
                self._choose_scales(ce)
            trained.append(self._tested(ce))
            settings = self._settings(True, seed, ce)
            for replicas in self.request.replicas:
                trained.append(self._after(ce, settings, seed, replicas))

        return self._reported(trained)

    def _after(self, ce: Run, settings: Settings, seed: int, replicas: int) -> Run:
        """The tested run of sequence training from cross entropy by so many replicas."""
        if replicas > 1:
            settings = settings.replace(replicas=replicas, clock="cost")
        kind = self.request.criterion
        return self._tested(self._trained(kind, settings, seed, ce, replicas))

    # --- the plan

    def _new_plan(self) -> Plan:
        """New choices, shortened to the hours that were given, and kept."""
        plan = make_plan(self.request, self.corpus)
        self.forecast = foretell(self.corpus, plan)
        count = len(self.request.seeds)
        sequences = count * len(self.request.replicas)
        seconds = self.forecast.seconds(count, sequences)
        self.out(
            f"all of it takes about {duration_text(seconds)} on this computer as busy as it is"
        )

        limit = HOURS_KEPT * SECONDS_PER_HOUR * self.request.hours
        if 0 < limit < seconds:
            plan = plan.shortened(limit / seconds)
            least = foretell(self.corpus, plan).seconds(count, sequences)
            if least * HOURS_KEPT > limit:
                raise UserError(
                    f"hours={self.request.hours:g}: the least that makes sense takes about "
                    f"{duration_text(least)}; give more hours, a smaller network or fewer seeds"
                )
        keep_plan(self.request.name, plan)
        return plan

    def _say_choices(self) -> None:
        """Print every choice with its reason."""
        for title, choices in (("cross entropy", self.plan.frame), ("then", self.plan.sequence)):
            self.out(f"{title}:")
            for choice in choices:
                self.out(f"  {choice.name}={choice.value}  ({choice.reason})")

    def _settings(self, sequence: bool, seed: int, init: Run | None) -> Settings:
        """The settings of one training, with the rate that was given or is found."""
        settings = self.plan.sequence_settings if sequence else self.plan.frame_settings
        if self.plan.finds_rate(sequence):
            search = self._search(settings, init)
            settings = settings.replace(learning_rate=search.found)
        return settings.replace(seed=seed)

    def _search(self, settings: Settings, init: Run | None) -> RateSearch:
        """The search for the rate of a training; it is said once what was found."""
        criterion = settings.criterion.name
        if criterion not in self.searches:
            search = find_rate(self.corpus, settings, init, self.progress)
            self.searches[criterion] = search
            self.out(f"{criterion}: {search}")
        return self.searches[criterion]

    def _choose_scales(self, ce: Run) -> None:
        """Measure scales on held-out data, unless the plan has them."""
        if not self.plan.scales:
            found = evaluate.tune(ce, ACOUSTIC_SCALES, (1.0,), self.progress)
            rows = found[["acoustic_scale", "prior_scale", "wer"]].itertuples(index=False)
            self.plan = self.plan.with_scales([TunedScale(*map(float, row)) for row in rows])
            keep_plan(self.request.name, self.plan)

        for scale in self.plan.scales:
            self.out(f"  acoustic scale {scale.acoustic_scale:g}: {scale.wer:.1%} held-out errors")

    # --- training and testing

    def _trained(
        self, kind: str, settings: Settings, seed: int, init: Run | None, replicas: int = 1
    ) -> Run:
        """The run of a seed, trained or resumed if it is not done."""
        name = run_name(kind, self.request, seed, replicas)
        known = runs.find_same_run(self.corpus, settings, name, init)
        if known is None or known.status().state != RunState.DONE:
            self._say_time(f"training {name}", seed, init, replicas)
            self.follow(name)
        run = runs.train_or_resume(
            known, self.corpus, settings, name=name, init=init, progress=self.progress
        )
        if run.status().state == RunState.STOPPED:
            raise Stopped(f"{run.name} was stopped; the same command goes on with it")
        return run

    def _tested(self, run: Run) -> Run:
        """The run, tested if it was not."""
        return run if run.summary.tested else evaluate.test(run, self.progress)

    def _say_time(self, what: str, seed: int, init: Run | None, replicas: int) -> None:
        """Print what begins, and how long the rest takes as far as that can be foretold by now."""
        if self.forecast is None:
            self.forecast = foretell(self.corpus, self.plan)
        if init is not None and not self.forecast.refined:
            self.forecast = foretell_again(self.corpus, self.plan, init, self.forecast)

        seeds = len(self.request.seeds) - self.request.seeds.index(seed)
        each = len(self.request.replicas)
        done = 0 if init is None else self.request.replicas.index(replicas)
        seconds = self.forecast.seconds(seeds - (init is not None), seeds * each - done)
        taken = duration_text(self.timer.seconds)
        self.out(f"[{taken}] {what}; about {duration_text(seconds)} left")

    # --- the report

    def _reported(self, trained: list[Run]) -> Baseline:
        """The baseline with its report; the table and the verdicts are printed."""
        after = trained[1]
        if read_example(after) is None:
            try:
                example.write_example(after, [trained[0]])
            except UserError as reason:  # minutes of speech may have no lattice worth drawing
                self.out(f"no example: {reason}")

        searches = tuple(self.searches.values())
        sections = (choice_section(self.plan), *map(rate_section, searches))
        title = f"Baseline: {self.corpus.name}"
        page = write_report(trained, title=title, extras=Extras(sections=sections))
        self.out("\n" + self.make_table(trained) + "\n" + "\n".join(verdict_sentences(trained)))
        self.out(f"\nreport: {page}\ntime: {duration_text(self.timer.seconds)}")
        return Baseline(self.corpus, self.plan, tuple(trained), searches, page)


def run_name(kind: str, request: Request, seed: int, replicas: int = 1) -> str:
    """Return the name of a run without its digest; the first seed and one replica are not named."""
    suffix = "" if seed == request.seeds[0] else f"-seed{seed}"
    if replicas > 1:
        suffix = f"-{replicas}r{suffix}"
    return f"{kind}-{request.name}{suffix}"
