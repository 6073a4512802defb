"""The learning rate that is usual for settings, and rates as people write them."""

from workbench.settings import Settings

USUAL_FRAME_RATE = 0.1
USUAL_SEQUENCE_RATE = 0.002
USUAL_ADAGRAD_FACTOR = 0.1


def usual_rate(settings: Settings) -> float:
    """Return the rate that is usual for settings, around which others are tried."""
    usual = USUAL_SEQUENCE_RATE if settings.sequence else USUAL_FRAME_RATE
    if settings.updates.optimizer == "adagrad":
        return USUAL_ADAGRAD_FACTOR * usual
    if settings.updates.optimizer == "momentum":
        return usual * (1 - settings.updates.momentum)
    return usual


def rounded(rate: float) -> float:
    """Return the rate with four digits, as people write it."""
    return float(f"{rate:.4g}")
