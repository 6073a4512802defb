"""A disk that is full while a corpus is prepared: nothing is lost, and nothing is half there."""

import errno
import shutil
from pathlib import Path

import pytest
from full_disk import largest_file, parts_below

from workbench.prepare.corpus import Corpus
from workbench.prepare.pipeline import Preparation, Source, prepare
from workbench.settings import UserError
from workbench.storage.os_errors import explain_os_error


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.slow
def test_each_file_of_a_corpus_may_be_the_one_that_does_not_fit(
    prepared_tiny: Path, data_folder: Path
) -> None:
    """Each try is told in a line and leaves no corpus; the next one goes on where it ended.

    The limits are the sizes of all files of the corpus less one byte, so every file once is the
    first that is too large.
    """
    source = Source(kaldi=data_folder / "source")
    shutil.copytree(prepared_tiny / "source", data_folder / "source")
    how = Preparation(states=150)
    whole = contents(prepare("whole", source, how).folder)
    cut = data_folder / "corpora" / "cut"

    tried = 0
    for size in sorted({len(data) - 1 for data in whole.values() if data}):
        with largest_file(size), pytest.raises(OSError, match="File too large") as caught:
            prepare("cut", source, how)
        tried += 1
        assert caught.value.errno == errno.EFBIG
        assert str(data_folder) in (explain_os_error(caught.value) or "")
        assert parts_below(data_folder) == []
        assert not (cut / "corpus.json").exists()
        with pytest.raises(UserError, match="cut"):
            Corpus.open("cut")

    assert tried > 15
    assert contents(prepare("cut", source, how).folder) == whole
