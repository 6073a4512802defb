"""The transcripts of a test set, in the files of a run."""

from pathlib import Path

import pytest

from workbench.settings import UserError
from workbench.storage.transcripts import (
    Transcripts,
    has_transcripts,
    read_transcripts,
    write_transcripts,
)

SAID = Transcripts(
    references={"u2": ("góðan", "dag"), "u1": ("já",), "u3": ()},
    hypotheses={"u1": (), "u2": ("góðan", "dag", "já"), "u3": ("nei",)},
    speakers={"u1": "a", "u2": "b", "u3": "a"},
)


@pytest.mark.parametrize("speakers", [SAID.speakers, None])
def test_transcripts_are_read_as_written(tmp_path: Path, speakers: dict[str, str] | None) -> None:
    """Words, empty sentences and speakers survive; the order of lines is the references'."""
    transcripts = Transcripts(SAID.references, SAID.hypotheses, speakers)
    assert not has_transcripts(tmp_path)
    write_transcripts(tmp_path, SAID)
    write_transcripts(tmp_path, transcripts)
    assert has_transcripts(tmp_path)
    assert read_transcripts(tmp_path) == transcripts
    assert (tmp_path / "test.hyp").read_text() == "u2 góðan dag já\nu1\nu3 nei\n"


@pytest.mark.parametrize(
    "file, content, message",
    [
        ("test.hyp", "u1\nu2\n", "u3 is in one of them only"),
        ("test.hyp", "u1\nu2\nu3\nu4\n", "u4 is in one of them only"),
        ("test.utt2spk", "u1 a\nu3 a\n", "no speaker of u2"),
    ],
)
def test_what_does_not_belong_together_is_refused(
    tmp_path: Path, file: str, content: str, message: str
) -> None:
    """An utterance that one of the files lacks is an error, and no empty transcript."""
    write_transcripts(tmp_path, SAID)
    (tmp_path / file).write_text(content)
    with pytest.raises(UserError, match=message):
        read_transcripts(tmp_path)


def test_a_run_without_a_test_is_named(tmp_path: Path) -> None:
    """Without transcripts the message says what to do."""
    with pytest.raises(UserError, match="test the run first"):
        read_transcripts(tmp_path)
