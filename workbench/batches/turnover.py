"""What slots do where there are few utterances for them.

A slot holds one utterance at a time, and the stream of a replica goes on from one epoch to the
next. So with no more utterances than slots the same utterance often sits in several slots at once:
a fifth of the frames of a batch with as many, two fifths with two thirds as many. And at the end of
the stream slots empty one by one, while batches are not full. If each slot was filled fewer than
five times, that makes a fifth more updates than there are full batches in the data, or more. Then
training differs from that with another shuffling by the number of its updates too.
"""

from workbench.settings import Settings

LEAST_FILLINGS = 5  # of each slot; 1.23 times as many updates with 5, 2.2 with 1 (simulated)


def slot_sentences(settings: Settings, utterances: int) -> list[str]:
    """Return what is amiss with so many training utterances, for a user; often nothing."""
    if not has_slots(settings):
        return []

    slots = settings.batches.size
    replicas = settings.asynchrony.replicas
    each = utterances // replicas
    fillings = each * settings.batches.epochs / slots
    sentences = []
    if each <= slots:
        sentences.append(
            f"batch={slots} replicas={replicas}: a replica has {each} utterances for {slots} "
            "slots, so one utterance sits in several of them: take a smaller batch or fewer "
            "replicas"
        )
    if fillings < LEAST_FILLINGS:
        sentences.append(
            f"batch={slots} replicas={replicas}: each slot is filled {fillings:.2g} times only, "
            "and batches are not full while slots empty at the end, so there are more updates per "
            "frame than usual: take a smaller batch, fewer replicas or more epochs"
        )
    return sentences


def has_slots(settings: Settings) -> bool:
    """Return whether batches take a frame from each of several utterances."""
    return settings.batches.shuffling == "on-the-fly"
