"""Training and the engine can be imported, read and tested without what carries them out."""

import subprocess
import sys

import pytest

KEPT_OUT = {
    *("torch", "k2", "numba", "llvmlite", "scipy", "pandas", "pyarrow", "matplotlib"),
    *("dask", "distributed", "socket", "ssl", "asyncio", "multiprocessing", "subprocess"),
}


@pytest.mark.parametrize("module", ["workbench.training", "workbench.engine"])
def test_the_seam_holds_through_all_imports(module: str) -> None:
    """Importing the module loads no compiler, tables, sockets or cluster, even indirectly."""
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert module in loaded
    assert loaded & KEPT_OUT == set()
