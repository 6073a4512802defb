"""``workbench check``: what is in a data directory, before anything is computed."""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.cli.exit_codes import FAILED
from workbench.cli.prepare import ReadingOptions, add_preparation_options, add_reading_options
from workbench.cli.table_text import print_lines
from workbench.settings import parse_fields

if TYPE_CHECKING:
    from workbench.prepare.reading import Source

EXAMPLES = """examples:
  workbench check path/to/mine
  workbench check path/to/mine --lexicon path/to/lexicon.txt --tolerance 0.05

It reads tables, lexicon and headers as `workbench prepare` does. The exit code is 1 if that would
refuse the data."""


@dataclass(frozen=True, kw_only=True)
class Options(ReadingOptions):
    """What the command line gave."""

    folder: Path
    kaldi: bool
    lhotse: bool
    json: bool

    @property
    def source(self) -> "Source":
        """The folder and how it is read."""
        from workbench.prepare.reading import Source, guess_source

        if self.kaldi:
            source = Source(kaldi=self.folder)
        elif self.lhotse:
            source = Source(lhotse=self.folder)
        else:
            source = guess_source(self.folder)
        return self.read_from(source)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="Kaldi directories, or manifests")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--kaldi", action="store_true", help="it is Kaldi's (default: guessed)")
    kind.add_argument("--lhotse", action="store_true", help="it is Lhotse's (default: guessed)")
    add_reading_options(parser)
    parser.add_argument("--json", action="store_true", help="print one object of JSON")
    add_preparation_options(parser)


def run(options: Options) -> int:
    """Print what was found; return 1 if `prepare` would refuse it."""
    from workbench.prepare.pipeline import Preparation
    from workbench.prepare.survey import survey

    found = survey(options.source, parse_fields(Preparation, options.preparation))
    if options.json:
        print(json.dumps(found.to_dict(), indent=1))
    else:
        print_lines(found)
    return FAILED if found.refusal else 0
