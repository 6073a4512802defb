"""A prepared corpus in a few lines: its sizes, what was set aside, and the remarks."""

from workbench.prepare.corpus import Corpus
from workbench.progress import duration_text
from workbench.settings.frame import FRAMES_PER_SECOND

REMARKS = "remarks.txt"
"""The file with what was noticed while the corpus was prepared."""

FRAMES_PER_HOUR = 3600 * FRAMES_PER_SECOND


def describe(corpus: Corpus) -> str:
    """Return a few lines about a prepared corpus: sizes, splits, and what was set aside."""
    info = corpus.info
    graph = info["denominator"]
    lines = [
        f"{corpus.folder}: {info['words']} words, {info['phones']} phones, "
        f"{info['states']} tied states, denominator graph of {graph['states']:,} states "
        f"and {graph['arcs']:,} arcs"
    ]
    for split, counts in info["splits"].items():
        speech = duration_text(counts["frames"] / FRAMES_PER_SECOND)
        aside = ", ".join(f"{reason}: {n}" for reason, n in counts["set_aside"].items())
        lines.append(
            f"  {split:8} {counts['utterances']:6} utterances  {speech:>6}  "
            f"{counts['words']:7} words  {counts['speakers']:4} speakers  "
            f"set aside: {aside or 'none'}"
        )

    remarks = corpus.folder / REMARKS
    if remarks.exists():
        lines += [f"  remark: {line}" for line in remarks.read_text().splitlines()]
    return "\n".join(lines)
