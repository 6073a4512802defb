"""``workbench prepare``: a data directory, or synthetic speech, becomes a corpus."""

import argparse
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.cli.progress import bars
from workbench.cli.table_text import print_lines
from workbench.settings import parse_fields, settings_of

if TYPE_CHECKING:
    from workbench.prepare.reading import Source

EXAMPLES = """examples:
  workbench prepare icelandic --synthetic is --size demo
  workbench prepare digits --kaldi path/to/digits --states 90"""


@dataclass(frozen=True, kw_only=True)
class ReadingOptions:
    """What the command line said of how a data directory is read, and of its preparation."""

    lexicon: Path | None
    lm: Path | None
    audio_root: Path | None
    allow_commands: bool
    train: str | None
    heldout: str | None
    test: str | None
    preparation: dict[str, str] = field(default_factory=dict)

    def read_from(self, source: "Source") -> "Source":
        """Return a source that is read as the options say."""
        from workbench.corpus.set_names import SetNames

        return replace(
            source,
            lexicon=self.lexicon,
            lm=self.lm,
            audio_root=self.audio_root,
            allow_commands=self.allow_commands,
            sets=SetNames(self.train, self.heldout, self.test),
        )


@dataclass(frozen=True, kw_only=True)
class SourceOptions(ReadingOptions):
    """What the command line said of a corpus, its data and its preparation."""

    name: str
    synthetic: str | None
    kaldi: Path | None
    lhotse: Path | None
    size: str
    jobs: int

    @property
    def source(self) -> "Source":
        """Where the data come from."""
        from workbench.prepare.reading import Source

        source = Source(
            synthetic=self.synthetic, size=self.size, kaldi=self.kaldi, lhotse=self.lhotse
        )
        return self.read_from(source)


Options = SourceOptions


class KeepPreparation(argparse.Action):
    """Collects the options that are fields of `Preparation` in one dictionary."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        """Add one option's value."""
        namespace.preparation = {**namespace.preparation, self.dest: str(values)}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("name", help="name of the corpus to make")
    add_source_options(parser, required=True)
    add_preparation_options(parser)


def add_source_options(parser: argparse.ArgumentParser, required: bool) -> None:
    """Add the options that say where data come from; ``required``: one of them must be given."""
    source = parser.add_mutually_exclusive_group(required=required)
    source.add_argument(
        "--synthetic", choices=("is", "en"), help="synthesise Icelandic or English voice search"
    )
    source.add_argument(
        "--kaldi",
        type=Path,
        metavar="DIR",
        help="Kaldi data directories train, [heldout|dev], [test] and a lexicon",
    )
    source.add_argument(
        "--lhotse", type=Path, metavar="DIR", help="Lhotse manifests (.jsonl, .jsonl.gz)"
    )
    parser.add_argument(
        "--size",
        default="demo",
        help="size of the synthetic corpus: tiny, smoke, demo, default, paper (default: demo)",
    )
    add_reading_options(parser)
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: 2)")


def add_reading_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how a data directory is read."""
    parser.add_argument(
        "--lexicon",
        type=Path,
        help="lexicon.txt or lexiconp.txt, if not in the data directory; "
        "'letters': every word is said by its letters",
    )
    parser.add_argument(
        "--lm",
        type=Path,
        metavar="ARPA",
        help="language model of the test, ARPA up to order 5, perhaps .gz (default: lm.arpa[.gz] "
        "in the data directory, else one is estimated)",
    )
    for split in ("train", "heldout", "test"):
        parser.add_argument(
            f"--{split}",
            metavar="SET",
            help=f"the folder or set for {split}, if its name does not begin so",
        )
    parser.add_argument(
        "--audio-root", type=Path, help="folder against which relative audio paths resolve"
    )
    parser.add_argument(
        "--allow-commands",
        action="store_true",
        help="run the commands of wav.scp and manifests (they run with your rights)",
    )


def add_preparation_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for each field of `Preparation`."""
    from workbench.prepare import pipeline

    parser.set_defaults(preparation={})
    for setting in settings_of(pipeline.Preparation).values():
        parser.add_argument(
            f"--{setting.name}",
            action=KeepPreparation,
            default=argparse.SUPPRESS,
            help=f"{setting.doc} (default: {setting.default})",
        )


def run(options: Options) -> None:
    """Prepare the corpus and print what it holds."""
    from workbench.prepare import pipeline
    from workbench.prepare.describe import describe

    preparation = parse_fields(pipeline.Preparation, options.preparation)
    with bars() as progress:
        corpus = pipeline.prepare(options.name, options.source, preparation, options.jobs, progress)
    print_lines(describe(corpus))
