"""Tables as notebooks show them: every word of a cell, and numbers that are read."""

import pandas as pd

from workbench.figures.tables import NOT_MEASURED

MOST_ROWS = 60  # as pandas; of more the middle is left out, and their number is told
PLAIN_BELOW = 10_000  # numbers from here on have separators and no decimals


class ShownTable(pd.DataFrame):  # type: ignore[misc]  # pandas has no types here
    """A table that a notebook shows whole; all else is pandas.

    By itself pandas cuts the text of a cell after 50 characters, and with it most verdicts.
    """

    @property
    def _constructor(self) -> type["ShownTable"]:
        return ShownTable

    def _repr_html_(self) -> str:
        with pd.option_context("display.max_colwidth", None):
            shown = self._with_dashes().to_html(
                float_format=number_text,
                max_rows=MOST_ROWS,
                show_dimensions=len(self) > MOST_ROWS,
            )
        return str(shown)

    def __repr__(self) -> str:
        with pd.option_context("display.max_colwidth", None):
            return str(self._with_dashes().to_string(float_format=number_text))

    def _with_dashes(self) -> pd.DataFrame:
        """The table with a dash for what was not measured, which pandas calls None or NaN."""
        return pd.DataFrame(self).astype(object).where(self.notna(), NOT_MEASURED)


def number_text(value: float) -> str:
    """Return a number with four digits; a large one whole."""
    return f"{value:.4g}" if abs(value) < PLAIN_BELOW else f"{value:,.0f}"
