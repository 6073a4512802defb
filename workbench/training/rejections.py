"""When gradients that are not finite or too large are a divergence."""

from workbench.settings import UserError

REJECTIONS = 10  # in a row, at which training has diverged


class Diverged(UserError):
    """Training has come apart; the message says how that was seen."""


def check_rejections(in_a_row: int, replica: str) -> None:
    """Raise Diverged that names ``replica``, whose gradient was the last, if these are too many."""
    if in_a_row >= REJECTIONS:
        raise Diverged(
            f"{REJECTIONS} gradients in a row are not finite or too large, the last from {replica}"
        )
