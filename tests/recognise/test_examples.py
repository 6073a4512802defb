"""The words of a lattice as reports and panels show them."""

import numpy as np
import pytest

from workbench.recognise.example import LABEL_FRAMES, lattice_words
from workbench.sequence.lattice import Lattice


def lattice(second: int) -> Lattice:
    """Return a lattice of two paths: word 1 at frame 0 (p 0.75), ``second`` at 1 (p 0.25)."""
    zeros = np.zeros(4, np.int32)
    p = np.log([0.75, 1.0, 0.25, 1.0])
    arcs = {
        "source": [0, 1, 0, 2],
        "target": [1, 3, 2, 3],
        "frame": [0, 1, 0, 1],
        "word": [1, 0, 0, second],
    }
    given = {k: np.array(v, np.int32)[[0, 2, 1, 3]] for k, v in arcs.items()}
    final = np.array([-np.inf, -np.inf, -np.inf, 0.0])
    return Lattice(
        frames=2,
        node_frame=np.array([0, 1, 1, 2], np.int32),
        final=final,
        **given,
        state=zeros,
        phone=zeros,
        arc=zeros,
        weight=p[[0, 2, 1, 3]],
        best=float(p[0]),
        beam=9.0,
    )


def test_a_word_that_begins_here_or_there_is_one_word() -> None:
    """The posterior of a word is the sum over its starts; another word keeps its own."""
    (same,) = lattice_words(lattice(1), ["", "yes", "no"])
    assert (same.word, same.first, same.end) == ("yes", 0, 2)
    assert same.posterior == pytest.approx(1.0)

    first, other = lattice_words(lattice(2), ["", "yes", "no"])
    assert (first.word, other.word) == ("yes", "no")
    assert (first.posterior, other.posterior) == pytest.approx((0.75, 0.25))
    assert LABEL_FRAMES > 1
