"""``workbench rates``: find a learning rate in short trials, and show the curve."""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.cli.options import add_settings_options, parse_changes
from workbench.cli.progress import bars
from workbench.cli.table_text import print_lines, rows_text
from workbench.settings import Settings, preset

if TYPE_CHECKING:
    from workbench.runs import Transfer
    from workbench.storage.run import Run

EXAMPLES = """examples:
  workbench rates icelandic
  workbench rates icelandic --criterion mmi --init ce --set acoustic_scale=0.15
  workbench train icelandic --set learning_rate=auto"""


@dataclass(frozen=True)
class Options:
    """What the command line gave."""

    corpus: str
    preset: str
    changes: list[str]
    criterion: str | None
    init: str | None
    transfer: str | None
    figure: Path | None
    json: bool

    @property
    def settings(self) -> Settings:
        """The settings of the training that the rate is for."""
        given = {"criterion": self.criterion} if self.criterion else {}
        return preset(self.preset, **given, **parse_changes(self.changes))


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("corpus", help="a prepared corpus")
    add_settings_options(parser, "settings of the training, as for `train`")
    parser.add_argument("--criterion", help="ce, mmi, bmmi, mpe or smbr (default: ce)")
    parser.add_argument("--init", metavar="RUN", help="the training starts from this run's model")
    parser.add_argument("--transfer", metavar="RUN", help="it starts from this run's hidden layers")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="write the curve as a PNG")
    parser.add_argument("--json", action="store_true", help="print the search as an object")


def run(options: Options) -> None:
    """Find the rate, or read it if it was found before; print the table."""
    from workbench.figures.rates import draw_rates, rate_rows
    from workbench.figures.style import png
    from workbench.prepare.corpus import Corpus
    from workbench.rates import find_rate
    from workbench.storage.files import write_file

    corpus = Corpus.open(options.corpus)
    with bars() as progress:
        search = find_rate(corpus, options.settings, start_of(options), progress)
    if options.figure:
        write_file(options.figure, png(draw_rates(search)))

    if options.json:
        print(json.dumps(asdict(search), indent=1))
        return
    print(rows_text(rate_rows(search), ["remark"]))
    print_lines(search)
    if options.figure:
        print(options.figure)


def start_of(options: Options) -> "Run | Transfer | None":
    """What the training starts from."""
    from workbench.runs import Transfer
    from workbench.storage.run import find_run

    if options.init:
        return find_run(options.init)
    if options.transfer:
        return Transfer(find_run(options.transfer))
    return None
