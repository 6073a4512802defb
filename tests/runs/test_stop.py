"""How runs are asked to stop: a file with or without words, and Ctrl-C."""

import os
import signal
import threading

from workbench.runs.stop import StopFile, interruptible, stop_file
from workbench.storage.run import STOP, Run


def test_a_file_asks_to_stop(tmp_path):
    """Any text of the file asks; requests from before are forgotten, later ones stay."""
    path = tmp_path / STOP
    path.touch()
    stop = stop_file(Run(tmp_path))
    assert not path.exists()
    assert not stop()
    path.touch()
    asked = StopFile(path)
    assert asked()
    path.unlink()
    assert asked()


def test_only_the_given_words_ask_to_stop(tmp_path):
    """Another text of the file asks for something else."""
    path = tmp_path / STOP
    path.write_text("after current\n")
    assert not StopFile(path, ("now",))()
    assert StopFile(path, ("after current", "now"))()


def test_the_first_interrupt_only_asks():
    """Inside the context Ctrl-C raises nothing; outside it does what it did before."""
    before = signal.getsignal(signal.SIGINT)
    with interruptible() as interrupted:
        assert not interrupted()
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupted()
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_are_not_interrupted():
    """In a thread that gets no signals the context changes nothing and never asks."""
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def run():
        with interruptible() as interrupted:
            seen.append((interrupted(), signal.getsignal(signal.SIGINT) is before))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [(False, True)]
