"""The pure functions of a run: decode one utterance, the gradient of one batch, measure on the held-out set."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from workbench.batches import FrameBatch, OuterBatch
from workbench.corpus.frames.store import FrameStore
from workbench.corpus.frames.window import WINDOW
from workbench.metrics.criterion import Criterion
from workbench.metrics.frames import FrameErrors, count_frames
from workbench.metrics.significance import Interval, bootstrap
from workbench.metrics.words import WordErrors, word_errors
from workbench.model import kernels
from workbench.model.network import (
    SparseRows,
    Topology,
    ce_factors,
    ce_gradient,
    factors,
    gradient,
    log_posteriors,
)
from workbench.model.threads import stay_at_one_thread
from workbench.prepare.corpus import Corpus
from workbench.sequence.auxiliary import softmax_gradient
from workbench.sequence.decoded import Decoded
from workbench.sequence.lattice_pair import OUTSIDE, Reference
from workbench.sequence.outer_gradient import decode_outer
from workbench.settings import Settings
from workbench.storage.rows import Measurement
from workbench.training import Gradient

WIDER = 4.0  # log probability by which beams are wider for measuring than for training
LIVE_DRAWS = 1000  # for the band around a curve; a test of a model makes ten times as many
REFERENCES = 1 << 14  # that are kept, with their graphs about 6 kB each
EVALUATION_THREADS = (
    2  # lattices release the GIL; sums are taken in the order of the utterances, so the bits stay
)


@dataclass(frozen=True)
class Task:
    """The pure functions of one run; cheap to pickle, since corpora are opened where they are used."""

    corpus: Corpus
    settings: Settings

    @cached_property
    def topology(self) -> Topology:
        s = self.settings
        return Topology(
            WINDOW, (s.model.hidden_units,) * s.model.hidden_layers, self.corpus.states.count
        )

    @cached_property
    def train(self) -> FrameStore:
        return self.corpus.split("train")

    @cached_property
    def heldout(self) -> FrameStore:
        return self.corpus.split("heldout")

    @cached_property
    def lengths(self) -> np.ndarray:
        """Frames of each training utterance, int64."""
        return np.diff(np.asarray(self.train.offsets))

    def __reduce__(self):
        folder = self.corpus.folder.resolve()
        stamp = (folder / "corpus.json").stat().st_mtime_ns
        return arrived, (Corpus(folder), self.settings, stamp, kernels.choice().kernel)

    @cached_property
    def measuring(self) -> Settings:
        """Settings for decoding held-out data: MMI against the lattice, whatever is trained, with wider beams.

        At training's beams every third lattice has lost its reference, and F_MMI with it (see ``reference_added``).
        """
        s = self.settings
        return s.replace(
            criterion="mmi",
            denominator="lattice",
            smoothing=0.0,
            auxiliary="frozen",
            shuffling="on-the-fly",
            beam=s.lattices.beam + WIDER,
            lattice_beam=s.lattices.lattice_beam + WIDER,
            max_active=2 * s.lattices.max_active,
        )

    @cached_property
    def kernel(self) -> kernels.Kernel:
        """What multiplies matrices, in the precision that the settings ask for."""
        return kernels.choose(self.settings.model.precision)

    @property
    def factored(self) -> bool:
        """Whether gradients are pushed in factors; this needs products that add to the parameters."""
        return self.settings.factored and self.kernel.move is not None

    @cached_property
    def reference(self) -> Callable[[tuple[str, ...]], Reference]:
        """A reference with its graph, once that is made; every epoch asks for the same again."""
        return lru_cache(REFERENCES)(self.corpus.reference)

    def log_posteriors(self, theta: np.ndarray, windows: np.ndarray) -> np.ndarray:
        """log p_θ(s|x), float32 [frames, states]."""
        return log_posteriors(theta, self.topology, windows, kernel=self.kernel)

    def decode(self, theta: np.ndarray, utterance: int) -> Decoded:
        """Outer gradient of one training utterance at ``theta`` (method.md section 1)."""
        logp = self.log_posteriors(theta, self.train.utterance_windows(utterance))
        return self.decode_split(self.train, utterance, logp, self.settings)

    def decode_split(
        self, store: FrameStore, utterance: int, logp: np.ndarray, settings: Settings
    ) -> Decoded:
        """The same of an utterance of any split whose log posteriors [frames, states] are known."""
        alignment = np.asarray(store.alignment[slice(*store.span(utterance))])
        return decode_outer(
            logp,
            self.reference(store.words[utterance]),
            self.corpus.denominator,
            self.corpus.log_prior,
            settings,
            alignment if len(alignment) and alignment.min() >= 0 else None,
            utterance,
        )

    def gradient(self, theta: np.ndarray, batch: FrameBatch | OuterBatch) -> Gradient:
        """Sum over the frames of a batch of the gradient, in the direction of ascent."""
        s, silence = self.settings, self.corpus.states.silence
        if isinstance(batch, FrameBatch):
            targets = np.asarray(self.train.alignment[batch.positions])
            x = self.train.windows(batch.positions)
            climb: Any = ce_factors if self.factored else ce_gradient
            value, ce, errors = climb(
                theta, self.topology, x, targets, s.updates.trained, silence, kernel=self.kernel
            )
            return Gradient(value, len(x), {"ce": ce, "errors": errors})
        x = self.train.windows(np.asarray(self.train.offsets)[batch.utterance] + batch.frame)
        outer: Any = SparseRows(batch.indptr, batch.states, batch.values)
        mass = np.array([source.decoded.mass for source in batch.sources], np.float32)
        if (
            s.criterion.auxiliary == "proximal" or mass.any()
        ):  # else the softmax cancels, and nothing of it is computed
            logp = self.log_posteriors(theta, x)
            weight, before = (
                (s.criterion.proximal, decoders_posteriors(batch))
                if s.criterion.auxiliary == "proximal"
                else (0.0, None)
            )
            outer = softmax_gradient(
                batch.indptr, batch.states, batch.values, logp, mass, weight, before
            )
        make: Any = factors if self.factored else gradient
        return Gradient(
            make(theta, self.topology, x, outer, s.updates.trained, silence, kernel=self.kernel),
            len(x),
            {},
        )

    def evaluate(self, theta: np.ndarray) -> Measurement:
        """Held-out F_MMI, word errors (unigram), frame error and cross entropy."""
        with ThreadPoolExecutor(EVALUATION_THREADS) as pool:
            parts = list(
                pool.map(lambda u: self._measure(theta, u), range(self.heldout_utterances))
            )
        mmi, own, words, frames = (
            sum(column[1:], column[0]) for column in list(zip(*parts, strict=True))[:4]
        )
        ce = sum(part[4] for part in parts) / frames.frames
        interval = wer_interval([part[2] for part in parts])
        return Measurement(
            criterion=own.per_frame if self.settings.sequence else ce,
            mmi=mmi.per_frame,
            ce=ce,
            wer=words.wer,
            substitutions=words.rate(words.substitutions),
            deletions=words.rate(words.deletions),
            insertions=words.rate(words.insertions),
            wer_low=interval.low if interval else None,
            wer_high=interval.high if interval else None,
            frame_error=frames.error,
            set_aside=mmi.set_aside_total,
            mmi_inside=sum((part[0] for part in parts if not part[5]), Criterion()).per_frame,
            outside=sum(part[5] for part in parts),
        )

    @property
    def heldout_utterances(self) -> int:
        wanted = self.settings.measuring.evaluate_utterances
        return min(wanted, len(self.heldout)) if wanted else len(self.heldout)

    def _measure(
        self, theta: np.ndarray, u: int
    ) -> tuple[Criterion, Criterion, WordErrors, FrameErrors, float, bool]:
        """(MMI, what is trained, word and frame errors, Σ log p of the alignment, whether the reference was lost)."""
        store = self.heldout
        logp = self.log_posteriors(theta, store.utterance_windows(u))
        alignment = np.asarray(store.alignment[slice(*store.span(u))])
        aligned = alignment >= 0
        decoded = self.decode_split(store, u, logp, self.measuring)
        mmi = own = reference_added(decoded)
        if self.settings.criterion.name not in ("ce", "mmi"):
            own = counted(self.decode_split(store, u, logp, self.settings))
        return (
            mmi,
            own,
            word_errors(store.words[u], [self.corpus.lexicon.words[w] for w in decoded.words]),
            count_frames(logp.argmax(1), alignment, self.corpus.states.silence),
            float(logp[aligned, alignment[aligned]].sum(dtype=np.float64)),
            decoded.reason == OUTSIDE,
        )


@lru_cache(maxsize=4)
def arrived(corpus: Corpus, settings: Settings, stamp: int, kernel: str) -> Task:
    """A task that has travelled to this process: components that live here share it, with lexicon and graphs.

    ``stamp``: when the corpus was made, for a worker that outlives its preparation. ``kernel``: that of the sender,
    since another one gives other bits.
    """
    os.environ.setdefault("WORKBENCH_KERNEL", kernel)
    stay_at_one_thread()
    return Task(corpus, settings)


def wer_interval(words: list[WordErrors]) -> Interval | None:
    """The 95 % bootstrap interval of the word error rate over the utterances; None without words."""
    if not any(w.reference for w in words):
        return None
    return bootstrap(words, draws=LIVE_DRAWS)


def counted(decoded: Decoded) -> Criterion:
    """One utterance's criterion, or why it has none."""
    return Criterion.of(
        decoded.value, decoded.frames, decoded.reason, decoded.rejected, decoded.cancelled
    )


def reference_added(decoded: Decoded) -> Criterion:
    """F_MMI of one utterance, its reference added to the lattice where pruning had lost it.

    Held-out utterances must not leave the average when their lattice loses the reference: they would return when it is
    found again, and the curve would move without any change of the model. The reference's own paths complete the
    denominator, so the value stays below 0; inside the lattice it is num - den as in training.
    """
    value, reason = decoded.value, decoded.reason
    if reason == OUTSIDE:
        value, reason = decoded.num - np.logaddexp(decoded.num, decoded.den), None
    return Criterion.of(value, decoded.frames, reason, decoded.rejected, decoded.cancelled)


def decoders_posteriors(batch: OuterBatch) -> np.ndarray:
    """p_θ' of each frame of a batch, as its decoder had them: float32 [frames, states]."""
    frames = zip(batch.sources, batch.frame, strict=True)
    return np.stack([s.decoded.posteriors[np.searchsorted(s.decoded.kept, t)] for s, t in frames])
