"""``workbench export``: the curves of runs in the files of other tools."""

import argparse
from dataclasses import dataclass
from pathlib import Path

EXAMPLES = """examples:
  workbench export ce mmi --to tensorboard && tensorboard --logdir data/export/tensorboard
  workbench export ce mmi --to mlflow --out mlruns && mlflow ui --backend-store-uri mlruns
  workbench export ce --to wandb-offline && wandb sync data/export/wandb-offline/wandb/offline-*
  workbench export ce --to csv"""
TOOLS = ("tensorboard", "mlflow", "wandb-offline", "csv")


@dataclass(frozen=True)
class Options:
    """What the command line gave."""

    runs: list[str]
    to: str
    out: Path | None


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--to", choices=TOOLS, required=True, help="the tool that shall read it")
    parser.add_argument(
        "--out", type=Path, default=None, help="folder (default: data/export/<tool>)"
    )


def run(options: Options) -> None:
    """Write the files and print where they are."""
    from workbench.archive.export import Tool, export
    from workbench.storage.home import data_folder
    from workbench.storage.run import find_run

    tool = Tool(options.to)
    folder = options.out or data_folder() / "export" / tool.value
    for path in export([find_run(name) for name in options.runs], tool, folder):
        print(path)
