"""The pure functions of a run: decoding, gradients, and measuring on the held-out set."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from workbench.batches import FrameBatch, OuterBatch
from workbench.batches.orders import frame_positions
from workbench.corpus.frames.store import FrameStore
from workbench.corpus.frames.window import WINDOW
from workbench.engine.workers import GivenUp, giving_up
from workbench.hmm.graphs.graph import Graph
from workbench.hmm.graphs.transitions import scale_transitions
from workbench.metrics.frames import count_frames
from workbench.metrics.words import word_errors
from workbench.model import kernels
from workbench.model.device_gradient import device_ce_gradient, device_gradient
from workbench.model.network import (
    SparseRows,
    Topology,
    Windows,
    ce_factors,
    ce_gradient,
    device_parameters,
    factors,
    gradient,
    log_posteriors,
)
from workbench.model.threads import stay_at_one_thread
from workbench.model.torch_vector import TorchVector, keep_on
from workbench.prepare.corpus import Corpus
from workbench.runs.at_decoder import decoder_occupancies, decoder_posteriors
from workbench.runs.decode_ahead import DecodeAhead, lattice_threads
from workbench.runs.measure import (
    UtteranceMeasurement,
    held_out_criterion,
    is_broken,
    total_measurement,
)
from workbench.runs.posteriors import with_posteriors
from workbench.runs.residence import (
    DEVICE,
    FRAMES_OF_WORKERS,
    PlacedFrames,
    Residence,
    place_frames,
    place_of_parameters,
)
from workbench.sequence.auxiliary import FOLLOWING, reweighted_gradient, softmax_gradient
from workbench.sequence.decoded import Decoded
from workbench.sequence.lattice_pair import OUTSIDE, Reference
from workbench.sequence.outer_gradient import decode_outer
from workbench.settings import Settings, UserError
from workbench.storage.rows import Measurement
from workbench.system.vectors import Keep, Vector, keep_on_host
from workbench.training import Gradient
from workbench.training.messages import AnyGradient, Decode

WIDER_BEAMS = 4.0
"""Log probability by which beams are wider for measuring than for training."""

CACHED_REFERENCES = 1 << 14
"""References that are kept with their graphs, each of which takes about 6 kB."""

EVALUATION_THREADS = 2
"""Lattices release the GIL, and sums are taken in the order of the utterances."""

MEASURED_AS_MMI = ("ce", "mmi")
"""Criteria that need no second decoding of an utterance when it is measured."""


@dataclass(frozen=True)
class Task:
    """The pure functions of one run; cheap to pickle, since only the corpus's folder travels."""

    corpus: Corpus
    settings: Settings

    def __reduce__(self) -> tuple[object, ...]:
        folder = self.corpus.folder.resolve()
        prepared_at = (folder / "corpus.json").stat().st_mtime_ns
        arguments = (Corpus(folder), self.settings, prepared_at, kernels.choice().kernel)
        return shared_task, arguments

    # --- what the functions work on

    @cached_property
    def topology(self) -> Topology:
        """The network: windows of frames in, tied states out."""
        model = self.settings.model
        hidden = (model.hidden_units,) * model.hidden_layers
        return Topology(WINDOW, hidden, self.corpus.states.count)

    @cached_property
    def train(self) -> FrameStore:
        """The training data."""
        return self.corpus.split("train")

    @cached_property
    def heldout(self) -> FrameStore:
        """The held-out data, on which training is measured."""
        return self.corpus.split("heldout")

    @cached_property
    def lengths(self) -> np.ndarray:
        """Frames of each training utterance, int64 [utterances]."""
        return np.diff(np.asarray(self.train.offsets))

    @property
    def heldout_utterances(self) -> int:
        """How many held-out utterances are measured."""
        wanted = self.settings.measuring.evaluate_utterances
        return min(wanted, len(self.heldout)) if wanted else len(self.heldout)

    @cached_property
    def measuring(self) -> Settings:
        """Settings for held-out data: MMI with a lattice, whatever is trained, and wider beams.

        At training's beams every third lattice has lost its reference, and F_MMI with it; see
        `held_out_criterion`.
        """
        settings = self.settings
        lattices = settings.lattices
        return settings.replace(
            criterion="mmi",
            denominator="lattice",
            smoothing=0.0,
            auxiliary="frozen",
            shuffling="on-the-fly",
            beam=lattices.beam + WIDER_BEAMS,
            lattice_beam=lattices.lattice_beam + WIDER_BEAMS,
            max_active=2 * lattices.max_active,
        )

    @cached_property
    def kernel(self) -> kernels.Kernel:
        """The matrix products in the precision that the settings ask for."""
        return kernels.choose(self.settings.model.precision)

    @property
    def on_device(self) -> bool:
        """Whether a device with a memory of its own computes."""
        return self.kernel.own_memory

    @cached_property
    def train_frames(self) -> PlacedFrames:
        """The training data, on the device if it fits."""
        return place_frames(self.train, self.kernel)

    @property
    def residence(self) -> Residence:
        """Where parameters and training data lie, and why, for the record of a run."""
        parameters = place_of_parameters(self.settings, self.kernel)
        if self.settings.clock.kind == "wall":  # this process may compute nothing
            return Residence(parameters, FRAMES_OF_WORKERS)
        return Residence(parameters, self.train_frames.place)

    @property
    def keep(self) -> Keep:
        """How parameter servers keep their parameters: where the network computes, if it can be."""
        on_device = place_of_parameters(self.settings, self.kernel).where == DEVICE
        return keep_on(self.kernel.device) if on_device else keep_on_host

    @property
    def factored(self) -> bool:
        """Whether gradients are pushed in factors, which needs the kernel that multiplies them."""
        return self.settings.factored and self.kernel.multiplies_factors

    @cached_property
    def reference(self) -> Callable[[tuple[str, ...]], Reference]:
        """Return the reference of a transcript, cached because every epoch asks for the same."""
        return lru_cache(CACHED_REFERENCES)(self._make_reference)

    def _make_reference(self, transcript: tuple[str, ...]) -> Reference:
        reference = self.corpus.reference(transcript)
        return Reference(reference.words, lambda: self.scale_transitions(reference.make()))

    @cached_property
    def denominator(self) -> Graph:
        """The graph that is searched for lattices."""
        return self.scale_transitions(self.corpus.denominator)

    def scale_transitions(self, graph: Graph) -> Graph:
        """Return a graph of the corpus with the transitions scaled as the settings ask."""
        scale = self.settings.criterion.transition_scale
        return scale_transitions(graph, self.corpus.states, scale)

    # --- decoding

    def log_posteriors(self, theta: Vector, windows: Windows) -> np.ndarray:
        """Return log p_θ(s|x), float32 [frames, states], of windows float32 [frames, inputs]."""
        return log_posteriors(theta, self.topology, windows, kernel=self.kernel)

    def utterance_posteriors(
        self, theta: Vector, store: FrameStore, utterances: Sequence[int]
    ) -> list[np.ndarray]:
        """Return log p_θ(s|x) of each utterance of a split, made in one forward pass."""
        chosen = np.asarray(utterances, np.int64)
        windows = self.windows(store, frame_positions(store.offsets, chosen))
        logp = self.log_posteriors(theta, windows)
        ends = np.cumsum(store.offsets[chosen + 1] - store.offsets[chosen])
        return np.split(logp, ends[:-1])

    def windows(self, store: FrameStore, positions: np.ndarray) -> Windows:
        """Return the windows [frames, inputs] at ``positions`` int64 [frames] of a split."""
        frames = self.train_frames.on_device if store is self.train else None
        if frames is None:
            return store.windows(positions)
        return frames.windows(frames.places(positions))

    def decode(self, theta: Vector, utterance: int) -> Decoded:
        """Return the outer gradient of a training utterance at ``theta`` (docs/method.md, 1)."""
        [logp] = self.utterance_posteriors(theta, self.train, [utterance])
        return self.decode_split(self.train, utterance, logp, self.settings)

    def decode_in_order(self, order: Iterator[int]) -> Decode:
        """Return `decode` for a decoder that asks for the utterances of ``order``.

        Where it keeps its parameters for several utterances, these are decoded together. On the
        measured clock each decode takes its own time, and on a cluster decoders have one thread.
        """
        asynchrony = self.settings.asynchrony
        together = asynchrony.decoder_fetch == "utterances" and asynchrony.decoder_utterances > 1
        if not together or self.settings.clock.kind in ("measured", "wall"):
            return self.decode
        return DecodeAhead(order, asynchrony.decoder_utterances, self._begin_decoding).decode

    def _begin_decoding(self, theta: Vector, utterances: Sequence[int]) -> list[Future[Decoded]]:
        """Begin to decode utterances in threads, after one forward pass if a device makes it."""
        pool = lattice_threads()
        if not self.on_device:
            return [pool.submit(self.decode, theta, utterance) for utterance in utterances]

        posteriors = self.utterance_posteriors(theta, self.train, utterances)
        return [
            pool.submit(self.decode_split, self.train, utterance, logp, self.settings)
            for utterance, logp in zip(utterances, posteriors, strict=True)
        ]

    def decode_split(
        self, store: FrameStore, utterance: int, logp: np.ndarray, settings: Settings
    ) -> Decoded:
        """Return the outer gradient of an utterance of any split, from its log posteriors.

        ``logp`` is float32 [frames, states]; ``settings`` name criterion and beams.
        """
        alignment = alignment_of(store)[slice(*store.span(utterance))]
        aligned = len(alignment) > 0 and alignment.min() >= 0
        return decode_outer(
            logp,
            self.reference(store.words[utterance]),
            self.denominator,
            self.corpus.log_prior,
            settings,
            alignment if aligned else None,
            utterance,
            self.corpus.states.silence_phones,
        )

    # --- gradients

    def gradient(self, theta: Vector, batch: FrameBatch | OuterBatch) -> Gradient:
        """Return the gradient of ascent at ``theta``, summed over the frames of a batch."""
        if isinstance(batch, FrameBatch):
            return self.frame_gradient(theta, batch)
        return self.outer_gradient(theta, batch)

    def frame_gradient(self, theta: Vector, batch: FrameBatch) -> Gradient:
        """Return the gradient of cross entropy with the alignment as targets; see `gradient`."""
        windows, targets = self._windows_and_targets(batch.positions)
        trained = self.settings.updates.trained
        silence = self.corpus.states.silence

        value: AnyGradient
        if isinstance(theta, TorchVector):
            p = device_parameters(theta, self.topology, self.kernel)
            value, ce, errors = device_ce_gradient(p, windows, targets, trained, silence)
        elif self.factored:
            value, ce, errors = ce_factors(
                theta, self.topology, windows, targets, trained, silence, kernel=self.kernel
            )
        else:
            value, ce, errors = ce_gradient(
                theta, self.topology, windows, targets, trained, silence, kernel=self.kernel
            )

        return Gradient(value, len(windows), {"ce": ce, "errors": errors})

    def _windows_and_targets(self, positions: np.ndarray) -> tuple[Windows, Windows]:
        """Return the windows of training frames, and the states to which they are aligned."""
        alignment = alignment_of(self.train)
        frames = self.train_frames.on_device
        if frames is None:
            return self.train.windows(positions), alignment[positions]
        places = frames.places(positions)
        return frames.windows(places), frames.targets(places)

    def outer_gradient(self, theta: Vector, batch: OuterBatch) -> Gradient:
        """Return the gradient of the auxiliary function; see `gradient`."""
        positions = np.asarray(self.train.offsets)[batch.utterance] + batch.frame
        windows = self.windows(self.train, positions)
        outer = self.at_softmax(theta, batch, windows)
        trained = self.settings.updates.trained
        silence = self.corpus.states.silence

        value: AnyGradient
        if isinstance(theta, TorchVector):
            p = device_parameters(theta, self.topology, self.kernel)
            value = device_gradient(p, windows, outer, trained, silence)
        elif self.factored:
            value = factors(
                theta, self.topology, windows, outer, trained, silence, kernel=self.kernel
            )
        else:
            value = gradient(
                theta, self.topology, windows, outer, trained, silence, kernel=self.kernel
            )

        return Gradient(value, len(windows), {})

    def at_softmax(
        self, theta: Vector, batch: OuterBatch, windows: Windows
    ) -> SparseRows | np.ndarray:
        """Return the auxiliary function's derivative at the softmax, rows or [frames, states].

        The rows of a sequence criterion sum to zero, so the softmax cancels and need not be
        computed.
        """
        rows = SparseRows(batch.indptr, batch.states, batch.values)
        mass = np.array([source.decoded.mass for source in batch.sources], np.float32)
        if self.settings.criterion.auxiliary not in FOLLOWING and not mass.any():
            return rows
        return self.at_posteriors(batch, self.log_posteriors(theta, windows))

    def at_posteriors(self, batch: OuterBatch, logp: np.ndarray) -> SparseRows | np.ndarray:
        """Return the same where log p_θ of the batch's frames, ``logp``, is known."""
        rows = SparseRows(batch.indptr, batch.states, batch.values)
        mass = np.array([source.decoded.mass for source in batch.sources], np.float32)
        criterion = self.settings.criterion
        if criterion.auxiliary == "proximal":
            posteriors = decoder_posteriors(batch)
            return softmax_gradient(*rows, logp, mass, criterion.proximal, posteriors)
        if criterion.auxiliary != "reweighted":
            return softmax_gradient(*rows, logp, mass)

        occupied = decoder_occupancies(batch)
        values = reweighted_gradient(occupied, logp, criterion.acoustic_scale)
        if not mass.any():
            return SparseRows(occupied.indptr, occupied.states, values)

        # Smoothing's part of the rows stays as it is; only the difference of occupancies moves.
        at_decoder = occupied.numerator - occupied.denominator
        change = values - np.float32(criterion.acoustic_scale) * at_decoder
        outer = softmax_gradient(*rows, logp, mass)
        np.add.at(outer, (occupied.frame, occupied.states), change)
        return outer

    # --- measuring

    def evaluate(self, theta: Vector) -> Measurement:
        """Measure the model ``theta`` on the held-out set; word errors are those of the unigram.

        Raises GivenUp if its run is ended meanwhile.
        """
        given_up = giving_up()

        def measure(utterance: int, logp: np.ndarray) -> UtteranceMeasurement:
            if given_up():
                raise GivenUp
            return self.measure_utterance(utterance, logp)

        utterances = range(self.heldout_utterances)
        threads = os.cpu_count() if self.on_device else EVALUATION_THREADS
        measured = with_posteriors(self, theta, self.heldout, utterances, measure, threads)
        return total_measurement(list(measured), self.settings.sequence)

    def measure_utterance(self, utterance: int, logp: np.ndarray) -> UtteranceMeasurement:
        """Measure log posteriors of one utterance of the held-out set."""
        store = self.heldout
        decoded = self.decode_split(store, utterance, logp, self.measuring)
        mmi = held_out_criterion(decoded)
        trained = mmi
        name = self.settings.criterion.name
        if name not in MEASURED_AS_MMI:
            measuring = self.measuring.replace(criterion=name)
            trained = held_out_criterion(self.decode_split(store, utterance, logp, measuring))

        alignment = alignment_of(store)[slice(*store.span(utterance))]
        aligned = alignment >= 0
        log_posterior = logp[aligned, alignment[aligned]].sum(dtype=np.float64)
        hypothesis = [self.corpus.lexicon.words[w] for w in decoded.words]
        return UtteranceMeasurement(
            mmi=mmi,
            trained=trained,
            speaker=store.speakers[utterance],
            words=word_errors(store.words[utterance], hypothesis),
            frames=count_frames(logp.argmax(1), alignment, self.corpus.states.silence),
            log_posterior=float(log_posterior),
            reference_lost=decoded.reason == OUTSIDE,
            found_path=decoded.found_path,
            broken=is_broken(decoded),
        )


def alignment_of(store: FrameStore) -> np.ndarray:
    """Return the alignment of a store, int [frames]; raises UserError if there is none."""
    if store.alignment is None:
        raise UserError(f"{store.folder}: not aligned; prepare the corpus again")
    return store.alignment


@lru_cache(maxsize=4)
def shared_task(corpus: Corpus, settings: Settings, prepared_at: int, kernel: str) -> Task:
    """Return the task for these arguments; components of one process share it.

    Unpickling calls it. ``prepared_at``, the time of the corpus in nanoseconds, makes a worker that
    outlives the corpus open the new one. ``kernel`` is the sender's, since another gives other
    bits.
    """
    os.environ.setdefault("WORKBENCH_KERNEL", kernel)
    stay_at_one_thread()
    return Task(corpus, settings)
