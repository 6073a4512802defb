"""The files of a data directory."""

from collections.abc import Iterable
from pathlib import Path


def lines(path: Path, texts: Iterable[str]) -> None:
    """One text a line, UTF-8."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(text + "\n" for text in texts)


def recording(split: str, shard: int) -> str:
    """The name of a shard's recording."""
    return f"{split}-{shard:05d}"


def split(folder: Path, name: str, utterances, shards: list[list[dict]]) -> dict:
    """Writes what Kaldi wants of one split, the true phone times and the conditions; returns its counts.

    ``utterances`` are (id, speaker, words), ``shards`` the results of ``shard.py`` in the same order.
    """
    place = folder / name
    recordings = [recording(name, i) for i in range(len(shards))]
    results = [
        (recording, result)
        for recording, shard in zip(recordings, shards, strict=True)
        for result in shard
    ]
    lines(place / "text", (f"{id} {' '.join(words)}" for id, _, words in utterances))
    lines(place / "utt2spk", (f"{id} {speaker}" for id, speaker, _ in utterances))
    lines(place / "wav.scp", (f"{r} audio/{r}.flac" for r in recordings))
    lines(
        place / "segments",
        (f"{r['id']} {recording} {r['start']:.5f} {r['end']:.5f}" for recording, r in results),
    )
    for kind in ("true", "conditions"):
        (folder / kind).mkdir(exist_ok=True)
        rows = (r[f"{kind}_row"] for _, r in results)
        lines(folder / kind / f"{name}.jsonl", (row for row in rows if row is not None))
    return {
        "utterances": len(results),
        "speakers": len({speaker for _, speaker, _ in utterances}),
        "seconds": round(sum(r["end"] - r["start"] for _, r in results), 2),
        "words": sum(len(words) for _, _, words in utterances),
        "without true times": sum(r["true_row"] is None for _, r in results),
    }
