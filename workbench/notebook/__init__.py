"""The public interface of notebooks: ``import workbench.notebook as wb``."""

from workbench.figures import compare as _compare
from workbench.figures import curves as _curves
from workbench.figures import staleness as _staleness
from workbench.figures import tables as _tables
from workbench.figures.curves import draw_bands, draw_shares
from workbench.figures.example import draw_lattice, draw_occupancies, draw_spectrogram
from workbench.figures.noise import draw_noise
from workbench.figures.rates import draw_rates
from workbench.figures.sweep_plots import draw_effects, draw_scatter
from workbench.figures.sweep_squares import draw_matrix
from workbench.figures.timeline import draw_queues, draw_timeline, draw_usage
from workbench.notebook import given as _given
from workbench.notebook.automata import from_k2, to_k2
from workbench.notebook.baseline import baseline
from workbench.notebook.calls import (
    check_data,
    define_machine,
    example,
    find_rate,
    group_table,
    open_runs,
    prepare,
    prepare_kaldi,
    rate_table,
    report,
    result_table,
    results,
    sweep,
    tested,
    train,
    verdict_table,
)
from workbench.notebook.clock import check_clock, clock_runs, clock_table
from workbench.notebook.drift import describe_drift, draw_drift
from workbench.notebook.given import pairwise
from workbench.notebook.laboratory import Laboratory, laboratory
from workbench.notebook.live import LiveView, attach
from workbench.notebook.noise import gradient_noise, noise_table
from workbench.notebook.panels.compare import compare_panel
from workbench.notebook.panels.run import run_panel
from workbench.notebook.panels.runs import runs_panel
from workbench.notebook.panels.staleness import draw_exploration, staleness_panel
from workbench.notebook.panels.sweep import sweep_panel
from workbench.notebook.panels.utterance import utterance_panel
from workbench.notebook.study import study
from workbench.prepare.corpus import Corpus
from workbench.prepare.describe import describe
from workbench.prepare.reading import Source
from workbench.recognise.evaluate import decode, test, tune
from workbench.runs.toy import Exploration, explore, explore_on
from workbench.runs.train import resume
from workbench.settings import Settings, UserError, preset
from workbench.storage.example import read_example
from workbench.storage.run import Run, all_runs, find_run
from workbench.sweeping import (
    Results,
    Sweep,
    estimate_sweep,
    find_sweep,
    plan_cells,
    read_recipe,
    recipe_questions,
)

draw_curves = _given.taking_runs(_curves.draw_curves)
draw_word_errors = _given.taking_runs(_curves.draw_word_errors)
draw_staleness = _given.taking_runs(_staleness.draw_staleness)
staleness_table = _given.table_of_runs(_staleness.staleness_table)
settings_difference = _given.table_of_runs(_compare.settings_difference)
run_frame = _given.table_of_runs(_tables.run_frame)
