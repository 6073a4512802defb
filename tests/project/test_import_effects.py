"""Importing the package changes nothing in the user's process: no threads, no environment, no
style, no cluster.
"""

import os
import subprocess
import sys

import pytest
from sources import ROOT

pytestmark = pytest.mark.slow

PROGRAM = """
import os
import torch
torch.set_num_threads(3)
{before}
environment = dict(os.environ)
import {modules}
assert torch.get_num_threads() == 3, "threads of torch"
names = os.environ.keys() | environment.keys()
changed = {{k for k in names if os.environ.get(k) != environment.get(k)}}
assert not changed, changed
{after}
import sys
loaded = {slow} & set(sys.modules)
assert not loaded, loaded
"""

# What takes seconds to load and is needed by few calls only.
SLOW = {"nbformat", "jsonschema", "bokeh", "lhotse"}

# What is read before the import, and held after it.
MATPLOTLIB = (
    "import matplotlib; style = dict(matplotlib.rcParams)",
    "assert dict(matplotlib.rcParams) == style, 'style of figures'",
)
DASK = (
    "import copy, dask, distributed; cluster = copy.deepcopy(dask.config.config)",
    "assert dask.config.config == cluster, 'configuration of Dask'",
)


PACKAGE = "workbench.notebook, workbench.runs, workbench.figures.curves, workbench.model.network"


@pytest.mark.parametrize(
    ("modules", "setting"),
    [(PACKAGE, MATPLOTLIB), ("workbench.engine.dask", DASK)],
    ids=["package", "dask"],
)
def test_importing_changes_nothing(modules, setting):
    """Threads, environment and the setting of the library concerned are after the import what they
    were before, and what is slow to load waits until it is called.
    """
    before, after = setting
    if setting is DASK:
        pytest.importorskip("distributed")
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment = {**kept, "MPLBACKEND": "Agg", "PYTHONPATH": str(ROOT)}
    program = PROGRAM.format(modules=modules, before=before, after=after, slow=SLOW)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
