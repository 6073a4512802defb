"""The utterance panel: audio, features, alignment, occupancies, lattice and words."""

import io
from collections.abc import Callable
from typing import NamedTuple

import ipywidgets as W
import soundfile

from workbench.figures.example import (
    draw_lattice,
    draw_occupancies,
    draw_spectrogram,
)
from workbench.figures.style import PANEL_DPI, PngFigure, png
from workbench.metrics.words import align_words
from workbench.notebook.panels.parts import Status, display_panel
from workbench.notebook.screen import NOTEBOOK_PACKAGE, Screen
from workbench.recognise.example import write_example
from workbench.reports.render import render
from workbench.runs import parent_run, trained_model
from workbench.settings import UserError
from workbench.storage.example import Example, read_example
from workbench.storage.run import find_run


class PlacedFigure(NamedTuple):
    """A figure of an utterance, the size of its picture in pixels, and whether dark means much."""

    draw: Callable[[Example], PngFigure]
    width: int
    height: int
    keeps_colours: bool


FIGURES = (
    PlacedFigure(draw_spectrogram, 714, 302, True),
    PlacedFigure(draw_occupancies, 714, 386, True),
    PlacedFigure(draw_lattice, 714, 218, False),
)


class AlignedWord(NamedTuple):
    """A word of a hypothesis and of the reference; empty where there is none."""

    reference: str
    hypothesis: str


def aligned_words(reference: str, hypothesis: str) -> list[AlignedWord]:
    """Return the alignment of a hypothesis with the reference, word by word."""
    pairs = align_words(reference.split(), hypothesis.split())
    return [AlignedWord(right or "", said or "") for right, said in pairs]


def transcripts_html(example: Example) -> str:
    """Return reference and hypotheses; wrong words are red, as (reference→recognised)."""
    hypotheses = {
        run: aligned_words(example.reference, words) for run, words in example.hypotheses.items()
    }
    return render(
        NOTEBOOK_PACKAGE, "transcripts.html", reference=example.reference, hypotheses=hypotheses
    )


class UtterancePanel:
    """One held-out utterance of a run, chosen by its number."""

    def __init__(self, run: str, utterance: int | None = None):
        self.run = find_run(run)
        task, _ = trained_model(self.run)
        self.store = task.heldout
        self.status = Status()
        self.number = W.BoundedIntText(
            value=utterance or 0, min=0, max=len(self.store) - 1, description="utterance"
        )
        self.words = W.HTML()
        self.player = W.VBox()
        self.screens = [Screen(f.width, f.height, keeps_colours=f.keeps_colours) for f in FIGURES]
        self.widget = W.VBox([W.HBox([self.number, self.player]), self.words, self.status.widget])

        self.number.observe(self.status.guard(self.draw), "value")
        self.draw()

    def draw(self) -> None:
        """Decode and draw the chosen utterance, with the words of the parent run."""
        number = self.number.value
        parent = parent_run(self.run)
        write_example(self.run, [parent] if parent else [], number)
        example = read_example(self.run)
        if example is None:
            raise UserError(f"{self.run.name}: nothing could be decoded")

        self.words.value = transcripts_html(example)
        for screen, figure in zip(self.screens, FIGURES, strict=True):
            screen.put(png(figure.draw(example), PANEL_DPI))
        self.player.children = [self._audio(number)]

    def _audio(self, number: int) -> W.Widget:
        samples, rate = self.store.audio(number)
        out = io.BytesIO()
        soundfile.write(out, samples, int(rate), format="WAV")
        return W.Audio(value=out.getvalue(), format="wav", autoplay=False, loop=False)

    def _ipython_display_(self) -> None:
        display_panel(self.widget, self.screens)


def utterance_panel(run: str, utterance: int | None = None) -> UtterancePanel:
    """Return the utterance panel of a trained run, with what its parent run recognises."""
    return UtterancePanel(run, utterance)
