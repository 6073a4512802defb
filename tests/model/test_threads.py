"""One arithmetic thread while workbench computes, and the user's number of threads before and
after.
"""

import threading

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from workbench.model.threads import one_thread


@pytest.fixture(autouse=True)
def two_threads():
    """A process whose user lets torch, OpenMP and BLAS use two threads."""
    before = torch.get_num_threads()
    with threadpool_limits(limits=2):
        np.ones((2, 2)) @ np.ones((2, 2))  # BLAS is loaded
        torch.set_num_threads(2)
        yield
        torch.set_num_threads(before)


def threads(kinds=("openmp", "blas")) -> set[int]:
    """The numbers of threads of torch and of the loaded libraries of these kinds, as this thread
    sees them.
    """
    libraries = [library for library in threadpool_info() if library["user_api"] in kinds]
    return {torch.get_num_threads(), *(library["num_threads"] for library in libraries)}


def test_one_thread_inside_and_as_before_outside():
    """Nested or not, everything has one thread inside; after the outermost, or an error, all is as
    it was.
    """
    assert threads() == {2}
    with one_thread():
        assert threads() == {1}
        with one_thread():
            assert threads() == {1}
        assert threads() == {1}
    assert threads() == {2}
    with pytest.raises(ArithmeticError), one_thread():
        raise ArithmeticError
    assert threads() == {2}


def test_threads_that_overlap():
    """A thread that leaves gets its own number back, and the one that is still inside keeps its
    limit.
    """
    entered = threading.Event()
    leave = threading.Event()
    seen = []

    def other():
        with one_thread():
            entered.set()
            leave.wait(10)
            seen.append(threads(["openmp"]))  # BLAS has one number for all threads

    thread = threading.Thread(target=other)
    thread.start()
    assert entered.wait(10)
    with one_thread():
        assert threads() == {1}
    assert torch.get_num_threads() == 2
    leave.set()
    thread.join()
    assert seen == [{1}]
    assert threads() == {2}


def test_threads_started_inside_have_one():
    """A thread that is started inside computes with one thread too, without entering itself."""
    seen = []

    def work():
        torch.ones(2, 2) @ torch.ones(2, 2)
        seen.append(torch.get_num_threads())

    with one_thread():
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert seen == [1]
