"""A sweep from the words of ``workbench sweep``, and its results as text."""

from argparse import Namespace
from collections.abc import Sequence

from workbench.settings import SETTINGS, UserError
from workbench.storage.run import read_json
from workbench.sweeping.plan import counts
from workbench.sweeping.recipes import recipe
from workbench.sweeping.results import Results, sentences
from workbench.sweeping.spec import Sweep, find_sweep


def sweep_of(args: Namespace) -> Sweep:
    """The sweep that the options describe: a recipe, a file, axes, or one that is there already (``--name`` alone)."""
    seeds = [int(SETTINGS["seed"].parse(s)) for s in args.seeds.split(",")] if args.seeds else None
    shared = {k: v for k, v in (("name", args.name), ("seeds", seeds)) if v is not None}
    if args.no_test:
        shared["test"] = False
    if args.file:
        record = read_json(args.file)
        return Sweep.of(
            {
                "name": args.file.stem,
                **record,
                **({"corpus": args.corpus} if args.corpus else {}),
                **shared,
            },
            args.file,
        )
    if not args.corpus:
        if not args.name:
            raise UserError("sweep: name a corpus, or --name of a sweep to go on with")
        return find_sweep(args.name)
    settings = dict(_pair(word, "--set") for word in args.set)
    if args.recipe:
        return recipe(args.recipe, args.corpus, args.size, args.init, settings=settings, **shared)
    axes = {
        name: values.split(",") for name, values in (_pair(word, "--axis") for word in args.axis)
    }
    name = "-".join([args.corpus, *axes]).replace("_", "-")
    parsed = {k: SETTINGS[k].parse(v) if k in SETTINGS else v for k, v in settings.items()}
    given = {
        "name": name,
        "corpus": args.corpus,
        "preset": args.preset,
        "settings": parsed,
        "axes": axes,
        "init": args.init,
    }
    return Sweep(**{**given, **shared})


def _pair(word: str, option: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals or name not in SETTINGS:
        raise UserError(
            f"{option} {word}: "
            + (f"no such setting: {name}" if equals else f"{option} FIELD=VALUE")
        )
    return name, value


def text(found: Results) -> str:
    """Means over seeds, verdicts and states, for a terminal."""
    shown = [
        c
        for c in ("label", "n", "heldout_mmi", "heldout_wer", "frame_error", "test_wer")
        if c in found.groups
    ]
    table = found.groups[shown].copy()
    for column in ("heldout_wer", "frame_error", "test_wer"):
        table[column] *= 100
    table = table.rename(
        columns={
            "label": "",
            "n": "runs",
            "heldout_mmi": "F_MMI",
            "heldout_wer": "WER %",
            "frame_error": "frame err %",
            "test_wer": "test WER %",
        }
    )
    states = ", ".join(f"{n} {state}" for state, n in counts(found.cells).items())
    errors = [
        f"{c.cell.label}, seed {c.cell.seed}: {c.error}" for c in found.cells if c.state == "failed"
    ]
    lines: Sequence[str] = [
        table.to_string(index=False, float_format="{:.4g}".format),
        states,
        *errors,
        *sentences(found),
    ]
    return "\n".join(lines)
