"""From a recording in a Lhotse manifest to one audio file and a channel in it.

A recording may be spread over several files, each with channels of its own: the file that has the
channel of the supervision is read. A command is run if the user allows it. A recording whose
samples Lhotse would change (speed, volume, ...) cannot be read without Lhotse.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workbench.corpus.audio import Recording
from workbench.corpus.candidate import Problem
from workbench.corpus.recordings import Recordings

Json = Mapping[str, object]

UNSUPPORTED_SOURCE = "unsupported audio source"
UNSUPPORTED_TRANSFORM = "unsupported transform"


@dataclass(frozen=True)
class OpenedSource:
    """The file of an utterance, and the channel in it; None: the mean of all that there are."""

    recording: Recording
    channel: int | None


def open_source(
    content: Json, named: object, where: str, recordings: Recordings
) -> OpenedSource | Problem:
    """Return the file of a recording that has the ``named`` channel or channels, or the problem.

    ``content``: the recording's line. ``named``: what the supervision says. ``where``: its place.
    """
    if content.get("transforms"):
        detail = "the recording is transformed: save the audio first (lhotse: save_audios)"
        return Problem(UNSUPPORTED_TRANSFORM, where, detail)

    sources = content.get("sources")
    if not isinstance(sources, list) or not sources:
        return Problem(UNSUPPORTED_SOURCE, where, "the recording has no sources")
    channel = _single_channel(named)
    source = _choose_source(sources, channel)
    if source is None:
        detail = f"{len(sources)} files, and none of them alone has the channels {named}"
        return Problem(UNSUPPORTED_SOURCE, where, detail)

    text = _to_text(source)
    if text is None:
        return Problem(UNSUPPORTED_SOURCE, where, f"{source.get('type')}: only files and commands")
    found = recordings.open(text, where)
    if isinstance(found, Problem):
        return found
    return OpenedSource(found, _place_in_file(source, channel))


def _single_channel(named: object) -> int | None:
    """The channel that a supervision names; None if it names several, or none at all."""
    channels = named if isinstance(named, list) else [named]
    if len(channels) == 1 and isinstance(channels[0], int):
        return channels[0]
    return None


def _choose_source(sources: Sequence[object], channel: int | None) -> Json | None:
    """The only source, or the one with the channel; None if there is no such source."""
    objects = [source for source in sources if isinstance(source, dict)]
    if len(sources) == 1:
        return objects[0] if objects else None
    fitting = [source for source in objects if channel in _channels_of(source)]
    return fitting[0] if len(fitting) == 1 else None


def _channels_of(source: Json) -> list[object]:
    """The channels of a recording that a file has, in their order in it."""
    channels = source.get("channels")
    return channels if isinstance(channels, list) else []


def _place_in_file(source: Json, channel: int | None) -> int | None:
    """Which of the file's own channels a channel of the recording is."""
    channels = _channels_of(source)
    return channels.index(channel) if channel in channels else channel


def _to_text(source: Json) -> str | None:
    """The source as an entry of wav.scp, a path or "command |"; None if it is neither."""
    text = source.get("source")
    if not isinstance(text, str) or not text.strip():
        return None
    if source.get("type") == "command":
        return f"{text.rstrip('| ')} |"
    return text if source.get("type") == "file" and not text.endswith("|") else None
