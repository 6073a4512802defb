"""The files of a Kaldi data directory, and those that only a synthetic corpus has."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from workbench.corpus.synthesis.job import Made, Prompt
from workbench.storage.files import naming


def write_lines(path: Path, texts: Iterable[str]) -> None:
    """Write one text a line, in UTF-8."""
    with naming(path), path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(text + "\n" for text in texts)


def name_recording(split: str, shard: int) -> str:
    """Return the name of a shard's recording."""
    return f"{split}-{shard:05d}"


def write_split(
    folder: Path, split: str, prompts: Sequence[Prompt], shards: Sequence[Sequence[Made]]
) -> dict[str, int | float]:
    """Write Kaldi's tables of one split, its true phone times and its conditions.

    ``shards`` are the utterances made of ``prompts``, in the same order. Return the counts that
    ``synthesis.json`` has of a split.
    """
    place = folder / split
    write_lines(place / "text", (f"{p.id} {' '.join(p.words)}" for p in prompts))
    write_lines(place / "utt2spk", (f"{p.id} {p.voice}" for p in prompts))

    recordings = [name_recording(split, number) for number in range(len(shards))]
    write_lines(place / "wav.scp", (f"{name} audio/{name}.flac" for name in recordings))
    segments = [
        f"{made.id} {recording} {made.start:.5f} {made.end:.5f}"
        for recording, shard in zip(recordings, shards, strict=True)
        for made in shard
    ]
    write_lines(place / "segments", segments)

    all_made = [made for shard in shards for made in shard]
    true_rows = [made.true_row for made in all_made if made.true_row is not None]
    (folder / "true").mkdir(exist_ok=True)
    write_lines(folder / "true" / f"{split}.jsonl", true_rows)
    (folder / "conditions").mkdir(exist_ok=True)
    write_lines(
        folder / "conditions" / f"{split}.jsonl", (made.conditions_row for made in all_made)
    )

    return {
        "utterances": len(all_made),
        "speakers": len({p.voice for p in prompts}),
        "seconds": round(sum(made.end - made.start for made in all_made), 2),
        "words": sum(len(p.words) for p in prompts),
        "without true times": len(all_made) - len(true_rows),
    }
