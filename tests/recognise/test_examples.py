"""What is left of an utterance to be looked at: the words of its lattice, each said once."""

import numpy as np
import pytest

from workbench.recognise.example import LABEL, word_posteriors
from workbench.sequence.lattice import Lattice


def lattice(second: int) -> Lattice:
    """Two paths: word 1 at frame 0 (p 0.75), or word ``second`` at frame 1 (p 0.25)."""
    zeros, p = np.zeros(4, np.int32), np.log([0.75, 1.0, 0.25, 1.0])
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
    """Its posterior is the sum over where it begins; another word keeps its own."""
    (same,) = word_posteriors(lattice(1), ["", "yes", "no"])
    assert same[0] == "yes" and same[3] == pytest.approx(1.0) and same[1:3] == (0, 2)
    first, other = word_posteriors(lattice(2), ["", "yes", "no"])
    assert (first[0], other[0]) == ("yes", "no") and (first[3], other[3]) == pytest.approx(
        (0.75, 0.25)
    )
    assert LABEL > 1
