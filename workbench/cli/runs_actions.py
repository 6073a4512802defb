"""The actions of ``workbench runs``, each a function of the options."""

import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from workbench.archive.deletion import delete, plan_deletion
from workbench.archive.differences import differences
from workbench.archive.entry import folder_size, size_text
from workbench.archive.pack import open_pack, pack
from workbench.cli.exit_codes import FAILED, report_interruption
from workbench.cli.progress import bars
from workbench.cli.runs import Options, value_text
from workbench.cli.table_text import (
    TextColumn,
    csv_rows,
    json_rows,
    show,
    table_text,
    terminal_width,
)
from workbench.settings import UserError
from workbench.storage.home import data_folder
from workbench.storage.run import Run, RunState, all_runs, find_run
from workbench.storage.run_notes import RunNotes, read_notes, write_notes

INTERRUPTED_STATES = (RunState.STOPPED, RunState.LOST)
KINDS_ON_DISK = ("runs", "corpora", "sweeps", "reports", "logs")


def tag(options: Options) -> int:
    """Put a tag on runs."""
    return _change_tags(options, lambda tags: (*tags, options.tag))


def untag(options: Options) -> int:
    """Take a tag off runs."""
    return _change_tags(options, lambda tags: tuple(t for t in tags if t != options.tag))


def _change_tags(options: Options, change: Callable[[tuple[str, ...]], tuple[str, ...]]) -> int:
    for run in _found(options.runs):
        notes = read_notes(run)
        written = write_notes(run, replace(notes, tags=change(notes.tags)))
        print(f"{run.name}: {' '.join(written.tags) or 'no tags'}")
    return 0


def note(options: Options) -> int:
    """Write the note about a run; without a text, print it."""
    run = find_run(options.run)
    if options.text is None:
        print(read_notes(run).text or f"{run.name}: no note")
        return 0
    write_notes(run, replace(read_notes(run), text=options.text))
    return 0


def rename(options: Options) -> int:
    """Give a run a title, which is shown beside its name."""
    run = find_run(options.run)
    notes: RunNotes = replace(read_notes(run), title=options.text or "")
    print(f"{run.name}: {write_notes(run, notes).title or 'no title'}")
    return 0


def compare(options: Options) -> int:
    """Print in which settings runs differ, a line for each setting."""
    if len(options.runs) < 2:
        raise UserError("runs compare: name at least two runs")
    runs = _found(options.runs)
    found = differences(runs, options.versions)

    titles = ["", *(run.name for run in runs)]
    rows: list[list[object]] = [[one.name, *one.values] for one in found]
    if options.json:
        print(json.dumps(json_rows(["name", *titles[1:]], rows), indent=1, ensure_ascii=False))
    elif options.csv:
        print(csv_rows(["name", *titles[1:]], rows), end="")
    elif not found:
        print("their settings, corpora and starting points are the same")
    else:
        columns = [TextColumn("", [one.name for one in found], left=True)]
        for number, run in enumerate(runs):
            cells = [value_text(one.values[number]) for one in found]
            columns.append(TextColumn(run.name, cells, left=True))
        show(table_text(columns, terminal_width()))
    return 0


def disk(options: Options) -> int:
    """Print what the folders of the data folder take, the largest first."""
    home = data_folder()
    rows: list[tuple[str, str, int]] = []
    for kind in KINDS_ON_DISK:
        folders = sorted(path for path in (home / kind).glob("*") if path.is_dir())
        files = [path for path in (home / kind).glob("*") if path.is_file()]
        rows += [(kind, folder.name, folder_size(folder)) for folder in folders]
        if files:
            size = sum(path.stat().st_size for path in files)
            rows.append((kind, f"{len(files)} files", size))

    rows.sort(key=lambda row: row[2], reverse=True)
    if options.json or options.csv:
        titles = ["kind", "name", "bytes"]
        as_json = json.dumps(json_rows(titles, rows), indent=1)
        print(as_json if options.json else csv_rows(titles, rows).rstrip("\n"))
        return 0

    rows.append(("all", str(home), sum(size for _, _, size in rows)))
    kinds, names, sizes = zip(*rows, strict=True)
    columns = [
        TextColumn("kind", kinds, left=True),
        TextColumn("name", names, left=True),
        TextColumn("size", [size_text(size) for size in sizes]),
    ]
    show(table_text(columns, terminal_width()))
    return 0


def delete_runs(options: Options) -> int:
    """Delete runs, and with ``--with-dependants`` what started from them."""
    deletion = plan_deletion(_found(options.runs))
    size = deletion.size
    for folder in delete(deletion, options.with_dependants):
        print(f"deleted {folder}")
    print(f"{size_text(size)} are free again")
    return 0


def pack_runs(options: Options) -> int:
    """Write runs into one file."""
    runs = _found(options.runs)
    out = options.out or Path(f"{runs[0].name}.zip")
    packed = pack(runs, out, options.with_corpus, not options.without_checkpoints)
    held = ", ".join([*packed.runs, *(f"corpus {name}" for name in packed.corpora)])
    print(f"{out}: {held}; {size_text(packed.size)} in {size_text(out.stat().st_size)}")
    if not packed.corpora:
        print("without the corpus it can be listed, reported and compared, but not decode")
    return 0


def open_file(options: Options) -> int:
    """Put what a pack holds into the data folder."""
    opened = open_pack(options.file)
    for name in opened.runs:
        print(data_folder() / "runs" / name)
    for name in opened.corpora:
        print(data_folder() / "corpora" / name)
    if not opened.runs and not opened.corpora:
        print("everything in it is here already")
    return 0


def resume(options: Options) -> int:
    """Resume runs one after another; without names, all that were stopped or lost."""
    from workbench import runs
    from workbench.runs.execution import cluster_at

    waiting = _found(options.runs) or _interrupted(all_runs())
    if not waiting:
        print("nothing was interrupted")
    failed = False
    for run in waiting:
        print(run.name, file=sys.stderr)
        try:
            address = run.record.cluster
            with bars() as progress, cluster_at(address, run.settings, False) as executor:
                resumed = runs.resume(run, progress, executor=executor)
        except UserError as error:  # the others can be resumed all the same
            print(f"workbench: {error}", file=sys.stderr)
            failed = True
            continue
        if resumed.status().state == RunState.STOPPED:
            return report_interruption()
        print(resumed.folder)
    return FAILED if failed else 0


def _interrupted(runs: Iterable[Run]) -> list[Run]:
    """The runs that were stopped, or whose process is gone."""
    return [run for run in runs if run.status().state in INTERRUPTED_STATES]


def _found(names: Iterable[str]) -> list[Run]:
    """The runs of these names, each once."""
    return list({run.name: run for run in map(find_run, names)}.values())


ACTIONS: dict[str, Callable[[Options], int]] = {
    "tag": tag,
    "untag": untag,
    "note": note,
    "rename": rename,
    "compare": compare,
    "disk": disk,
    "delete": delete_runs,
    "pack": pack_runs,
    "open": open_file,
    "resume": resume,
}
