"""The processor, and the environment of the processes that workbench starts on it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from workbench.system import processes
from workbench.system.processor import Processor, this_processor

AVX2 = frozenset({"sse2", "fma", "avx2"})
AVX512 = AVX2 | {"avx512f", "avx512dq", "avx512bw", "avx512vl"}
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("name", "features", "wanted"),
    [
        ("znver4", AVX512, "7"),
        ("znver2", AVX2, "5"),
        ("znver4", AVX2 | {"avx512f"}, "5"),
        ("znver1", frozenset({"sse2"}), None),
        ("sapphirerapids", AVX512, None),
    ],
)
def test_mkl_gets_the_type_of_an_amd_processor(name, features, wanted):
    """The type is 7 with AVX-512 and 5 with AVX2, never 8; Intel's processors and older ones need
    none.
    """
    assert Processor(name, features).mkl_cpu_type == wanted


def test_features_decide_on_vectors_and_bfloat16():
    """The width of registers and the ways to multiply bfloat16 follow from the features, also on
    Arm.
    """
    assert [Processor("", f).vector_bytes for f in (frozenset(), AVX2, AVX512)] == [16, 32, 64]
    assert Processor("neoverse-v1", frozenset({"neon", "bf16"})).bfloat16
    assert Processor("znver4", AVX512 | {"avx512bf16"}).bfloat16
    assert not Processor("znver3", AVX2).bfloat16
    assert Processor("znver4", AVX512).recorded == ("fma", "avx2", "avx512f")


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="there is no /proc/cpuinfo")
def test_llvm_and_the_kernel_agree():
    """LLVM and the system's kernel report the same of the features that matter most."""
    flags = set(Path("/proc/cpuinfo").read_text().split())
    for feature in ("fma", "avx2", "avx512f"):
        assert (feature in this_processor().features) == (feature in flags)


def test_a_child_finds_the_package_and_uses_one_thread(monkeypatch, tmp_path):
    """Outside the checkout a child imports this package; what the user has set stays, but for what
    is given.
    """
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    environment = processes.child_environment(WORKBENCH_DATA="given")
    code = (
        "import os, workbench.system.processes as p; print(p.__file__, *(os.environ[n] for n in "
        "('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'WORKBENCH_DATA')))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [processes.__file__, "3", "1", "given"]
    assert environment["PYTHONPATH"].split(os.pathsep) == [str(ROOT), "elsewhere"]


def test_what_the_user_has_set_stays(monkeypatch):
    """`set_environment` adds what is missing and changes nothing."""
    for name in processes.arithmetic_environment():
        monkeypatch.setenv(name, "7")
    monkeypatch.setenv("MKL_NUM_THREADS", "")
    monkeypatch.delenv("OMP_NUM_THREADS")
    processes.set_environment()
    assert os.environ["OMP_NUM_THREADS"] == "1"
    assert os.environ["OPENBLAS_NUM_THREADS"] == "7"
    assert os.environ["MKL_NUM_THREADS"] == ""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system has no such files")
def test_a_process_is_described(tmp_path):
    """State, parent and processor time are read whatever the name of the program holds."""
    named = tmp_path / "a) Z 1 ("
    named.symlink_to(sys.executable)
    loop = "print(flush=True)\nwhile True: pass"
    child = subprocess.Popen([named, "-c", loop], stdout=subprocess.PIPE)
    child.stdout.readline()
    try:
        first = processes.process_stat(child.pid)
        assert first.parent == os.getpid()
        assert first.state == "R"
        deadline = time.monotonic() + 30
        while processes.process_stat(child.pid).ticks <= first.ticks:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert processes.process_stat(child.pid).state == "Z"
    child.communicate()
    assert processes.process_stat(child.pid) is None
