"""What notebooks import: ``import workbench.notebook as wb``, and every call of a cell is one name of this door."""

from workbench.corpora import Corpus
from workbench.notebook.calls import (
    example,
    group_table,
    open_runs,
    prepare,
    prepare_kaldi,
    report,
    results,
    significance_table,
    sweep,
    tested,
    train,
)
from workbench.notebook.laboratory import Laboratory, laboratory
from workbench.preparation import describe
from workbench.recognition import decode, test, tune
from workbench.runs import resume
from workbench.settings import Settings, UserError, preset
from workbench.store import Run, all_runs, find_run
from workbench.sweeping import Results, Sweep, estimate, find_sweep, plan, recipe, recipes
from workbench.toy import Exploration, explore, explore_on
from workbench.views.compare import pairwise, settings_difference
from workbench.views.curves import draw_bands, draw_curves, draw_shares, draw_word_errors
from workbench.views.example import draw_lattice, draw_occupancies, draw_spectrogram, read_example
from workbench.views.live import LiveView, attach
from workbench.views.panel_compare import compare_panel
from workbench.views.panel_run import run_panel
from workbench.views.panel_staleness import draw_exploration, staleness_panel
from workbench.views.panel_sweep import sweep_panel
from workbench.views.panel_utterance import utterance_panel
from workbench.views.staleness import draw_staleness, staleness_table
from workbench.views.sweep_matrix import draw_matrix
from workbench.views.sweep_plots import draw_effects, draw_scatter
from workbench.views.tables import run_frame
from workbench.views.timeline import draw_queues, draw_timeline, draw_usage
