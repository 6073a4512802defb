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
import matplotlib
style = dict(matplotlib.rcParams)
import copy, dask, distributed
cluster = copy.deepcopy(dask.config.config)
environment = dict(os.environ)
import {modules}
assert torch.get_num_threads() == 3, "threads of torch"
names = os.environ.keys() | environment.keys()
changed = {{k for k in names if os.environ.get(k) != environment.get(k)}}
assert not changed, changed
assert dict(matplotlib.rcParams) == style, "style of figures"
assert dask.config.config == cluster, "configuration of Dask"
import sys
loaded = {slow} & set(sys.modules)
assert not loaded, loaded
"""

# What takes seconds to load and is needed by few calls only.
SLOW = {"nbformat", "jsonschema", "bokeh", "lhotse"}

MODULES = ("notebook", "runs", "figures.curves", "model.network", "engine.dask")


def test_importing_changes_nothing():
    """Threads, environment, the style of figures and the configuration of Dask are after the import
    what they were before, and what is slow to load waits until it is called.
    """
    pytest.importorskip("distributed")
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment = {**kept, "MPLBACKEND": "Agg", "PYTHONPATH": str(ROOT)}
    modules = ", ".join(f"workbench.{name}" for name in MODULES)
    program = PROGRAM.format(modules=modules, slow=SLOW)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
