"""A paragraph for the methods section of a paper, made from the settings of a run."""

from collections.abc import Sequence

from workbench.settings import Settings
from workbench.storage.run import Run

CRITERIA = {
    "ce": "cross entropy",
    "mmi": "maximum mutual information (MMI)",
    "bmmi": "boosted maximum mutual information",
    "mpe": "minimum phone error (MPE)",
    "smbr": "state-level minimum Bayes risk (sMBR)",
}
SHUFFLING = {
    "none": "Frames were taken utterance by utterance, without shuffling.",
    "on-the-fly": "Frames of different utterances were mixed on the fly: each of the slots of a "
    "batch took the frames of one utterance in order.",
    "full": "All frames were shuffled.",
}
CLOCKS = {
    "free": "Training ran in one process, in which components took turns and time stood still.",
    "cost": "Asynchrony was simulated on a virtual clock with a model of the machine, so that the "
    "schedule is a function of the seed.",
    "measured": "Asynchrony was simulated on a virtual clock with measured durations.",
    "wall": "Training ran on Dask workers in real time.",
}
CITATION = (
    "G. Heigold, E. McDermott, V. Vanhoucke, A. Senior and M. Bacchiani. Asynchronous stochastic "
    "optimization for sequence training of deep neural networks. In Proc. ICASSP, 2014."
)
BIBTEX = """@inproceedings{heigold2014asynchronous,
  author    = {Georg Heigold and Erik McDermott and Vincent Vanhoucke and Andrew Senior and
               Michiel Bacchiani},
  title     = {Asynchronous stochastic optimization for sequence training of deep neural networks},
  booktitle = {Proc. ICASSP},
  year      = {2014},
}"""


def methods_texts(runs: Sequence[Run]) -> list[str]:
    """Return a paragraph on each run; runs with the same paragraph share it."""
    named: dict[str, list[str]] = {}
    for run in runs:
        named.setdefault(methods_text(run), []).append(run.name)
    return [f"{', '.join(names)}: {text}" for text, names in named.items()]


def methods_text(run: Run) -> str:
    """Return how a run was trained, as sentences that a paper can use."""
    settings = run.settings
    sentences = [
        _network_sentence(settings, run.record.corpus.name),
        _criterion_sentence(settings, run.record.parent_run),
        _shuffling_sentences(settings),
        _update_sentence(settings),
        *_asynchrony_sentences(settings),
        CLOCKS[settings.clock.kind],
        f"All random streams derive from the seed {settings.seed}.",
        f"Asynchronous training follows [1], with workbench {_version(run)}.",
    ]
    return " ".join(sentences)


def _shuffling_sentences(settings: Settings) -> str:
    batches = settings.batches
    text = SHUFFLING.get(batches.shuffling, f"Shuffling: {batches.shuffling}.")
    if batches.shuffling == "on-the-fly" and batches.slot_start == "apart":
        text += " Each slot started at a random frame of its first utterance."
    return text


def _network_sentence(settings: Settings, corpus: str) -> str:
    model = settings.model
    one = model.hidden_layers == 1
    layers = "one hidden layer" if one else f"{model.hidden_layers} hidden layers"
    return (
        f"The acoustic model is a feed-forward network with {layers} "
        f"of {model.hidden_units} rectified linear units, trained on the corpus {corpus}."
    )


def _criterion_sentence(settings: Settings, parent: str | None) -> str:
    criterion = settings.criterion
    name = CRITERIA.get(criterion.name, criterion.name)
    start = f"from the model of {parent}" if parent else "from random parameters"
    if not settings.sequence:
        return f"It was trained by {name} {start}."
    lattices = settings.lattices
    return (
        f"It was trained by {name} {start}, with the acoustic scale {criterion.acoustic_scale:g} "
        f"and lattices from a search with beam {lattices.beam:g}, pruned to "
        f"{lattices.lattice_beam:g}. "
        f"Frames whose reference occupancy was below {criterion.rejection:g} were rejected."
    )


def _update_sentence(settings: Settings) -> str:
    updates = settings.updates
    batches = settings.batches
    passes = f"{batches.epochs:g} passes over the data"
    decays = (
        f"; the learning rate was divided by {updates.decay_factor:g} up to {updates.decays} times "
        "when the held-out criterion became flat"
        if updates.decays
        else ""
    )
    return (
        f"Updates used {updates.optimizer} with the learning rate {updates.learning_rate:g} on "
        f"batches of {batches.size} frames, for at most {passes}{decays}."
    )


def _asynchrony_sentences(settings: Settings) -> list[str]:
    asynchrony = settings.asynchrony
    if asynchrony.replicas == 1:
        return ["A single replica made the updates, as in plain stochastic gradient descent."]
    shards = "one shard" if asynchrony.shards == 1 else f"{asynchrony.shards} shards"
    how = "synchronously" if asynchrony.synchronous else "asynchronously"
    sentences = [
        f"{asynchrony.replicas} replicas, each on its own part of the data, updated a parameter "
        f"server of {shards} {how}; they fetched parameters every {asynchrony.fetch_every} and "
        f"pushed every {asynchrony.push_every} batches."
    ]
    if asynchrony.staleness_bound:
        sentences.append(f"Pushes older than {asynchrony.staleness_bound} updates were refused.")
    if asynchrony.delay_compensation:
        weight = f"{asynchrony.delay_compensation:g}"
        sentences.append(f"Gradients were compensated for their delay (lambda {weight}).")
    return sentences


def _version(run: Run) -> str:
    return run.record.versions.get("workbench", "of an unknown version")
