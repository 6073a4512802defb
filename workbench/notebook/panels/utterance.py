"""The utterance panel: audio, spectrogram, alignment, occupancies, lattice, and the words before and after."""

import io

import ipywidgets as W
import soundfile

from workbench.figures.example import (
    Example,
    draw_lattice,
    draw_occupancies,
    draw_spectrogram,
    read_example,
)
from workbench.figures.style import png
from workbench.metrics.words import align
from workbench.notebook.panels.parts import Status
from workbench.notebook.screen import Screen
from workbench.recognise.example import write_example
from workbench.reports.page import escape
from workbench.runs.train import trained_model
from workbench.settings import UserError
from workbench.storage.run import find_run

DPI = 84
PICTURES = ((draw_spectrogram, 714, 302), (draw_occupancies, 714, 386), (draw_lattice, 714, 218))


def wrong_words(reference: str, said: str) -> str:
    """A hypothesis as HTML: right words plain, wrong ones (reference→said) in red; markup in words stays text."""
    out = []
    for ref, hyp in align(reference.split(), said.split()):
        right, wrong = escape(hyp or ""), f"({escape(ref or '∅')}→{escape(hyp or '∅')})"
        out.append(right if ref == hyp else f'<b style="color:#b00020">{wrong}</b>')
    return " ".join(out)


def transcripts(example: Example) -> str:
    """Reference and hypotheses, one row each."""
    rows = [("reference", escape(example.reference))]
    rows += [(escape(k), wrong_words(example.reference, v)) for k, v in example.hypotheses.items()]
    return (
        "<table>"
        + "".join(f"<tr><td>{k}&nbsp;</td><td>{v}</td></tr>" for k, v in rows)
        + "</table>"
    )


class UtterancePanel:
    """One held-out utterance of a run, chosen by number."""

    def __init__(self, run: str, utterance: int | None = None):
        self.run = find_run(run)
        task, _ = trained_model(self.run)
        self.store, self.status = task.heldout, Status()
        parent = (self.run.record.get("parent") or {}).get("run")
        self.others = [parent] if parent else []
        self.number = W.BoundedIntText(
            value=utterance or 0, min=0, max=len(self.store) - 1, description="utterance"
        )
        self.words, self.player = W.HTML(), W.VBox()
        self.screens = [Screen(width, height) for _, width, height in PICTURES]
        self.widget = W.VBox([W.HBox([self.number, self.player]), self.words, self.status.widget])
        self.number.observe(self.status.guarded(self.draw), "value")
        self.draw()

    def draw(self) -> None:
        """Decode and draw the chosen utterance."""
        u = self.number.value
        write_example(self.run.name, self.others, u)
        example = read_example(self.run)
        if example is None:
            raise UserError(f"{self.run.name}: nothing could be decoded")
        self.words.value = transcripts(example)
        for screen, (draw, _, _) in zip(self.screens, PICTURES, strict=True):
            screen.put(png(draw(example), DPI))
        self.player.children = [self._audio(u)]

    def _audio(self, u: int) -> W.Widget:
        samples, rate = self.store.audio(u)
        out = io.BytesIO()
        soundfile.write(out, samples, int(rate), format="WAV")
        return W.Audio(value=out.getvalue(), format="wav", autoplay=False, loop=False)

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.widget)
        for screen in self.screens:
            screen.show()


def utterance_panel(run: str, utterance: int | None = None) -> UtterancePanel:
    """The utterance panel of a trained run, beside what the run it started from had recognised."""
    return UtterancePanel(run, utterance)
