"""A language model of one's own for the test, in ARPA form and of any order up to five."""

import gzip
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from data_directories import make_corpus_directory

from workbench.language.arpa import read_arpa, write_arpa
from workbench.language.backoff import BEGIN, END, NGram
from workbench.language.ngram import estimate
from workbench.prepare.corpus import Corpus
from workbench.prepare.pipeline import Preparation, prepare
from workbench.prepare.reading import Source
from workbench.settings import UserError

WORDS = ("<eps>", "einn", "tveir", "fimm")
SENTENCES = (("einn", "tveir"), ("fimm", "einn", "tveir", "fimm", "einn", "tveir"))
HOW = Preparation(states=27)


def log_p(model: NGram, sentence: Sequence[str]) -> float:
    """The natural logarithm of the probability of a sentence with its end."""
    history = (model.words.index(BEGIN),)
    total = 0.0
    for word in (*sentence, END):
        total += model.score(history, model.words.index(word))
        history = (*history, model.words.index(word))
    return total


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Kaldi folder that can be prepared."""
    return make_corpus_directory(tmp_path_factory.mktemp("data") / "mine")


@pytest.mark.slow
@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_a_model_of_any_order_is_that_of_the_test(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: int
) -> None:
    """Its probabilities are those of the file, training keeps its own unigram, a remark says so."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    path = tmp_path / "mine.arpa.gz"
    model = estimate(SENTENCES, WORDS, order)
    write_arpa(model, path)
    corpus = prepare("c", Source(kaldi=data, lm=path), HOW)
    again = Corpus.open("c")
    assert len(again.ngram.levels) == order
    sentence = ("einn", "tveir", "fimm", "einn")
    assert log_p(again.ngram, sentence) == pytest.approx(log_p(model, sentence), rel=1e-6)
    assert len(again.unigram.levels) == 1
    remarks = (corpus.folder / "remarks.txt").read_text()
    assert f"language model: that of the test is mine.arpa.gz, of order {order}" in remarks
    assert again.ngram_graph.graph.states > 0


def test_a_model_in_the_data_directory_is_found(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As recipes leave it: lm.arpa.gz beside the sets; a changed one is read again."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    path = data / "lm.arpa.gz"
    write_arpa(estimate(SENTENCES, WORDS, 2), path)
    try:
        corpus = prepare("c", Source(kaldi=data), HOW)
        assert len(corpus.ngram.levels) == 2
        (corpus.folder / "corpus.json").unlink()
        write_arpa(estimate(SENTENCES, WORDS, 4), path)
        assert len(prepare("c", Source(kaldi=data), HOW).ngram.levels) == 4
    finally:
        path.unlink()


def test_the_probability_is_that_of_the_formula(tmp_path: Path, data: Path) -> None:
    """log10 p("einn tveir </s>") of a small file by hand: 0.5 of back-off included."""
    text = (
        "\\data\\\nngram 1=5\nngram 2=2\n\n\\1-grams:\n-1 </s>\n-99 <s> -0.2\n-0.6 einn -0.5\n"
        "-0.7 tveir\n-0.8 fimm\n\n\\2-grams:\n-0.1 <s> einn\n-0.3 tveir </s>\n\n\\end\\\n"
    )
    (tmp_path / "lm.arpa.gz").write_bytes(gzip.compress(text.encode()))
    model = read_arpa(tmp_path / "lm.arpa.gz", WORDS)
    assert log_p(model, ("einn", "tveir")) / math.log(10) == pytest.approx(
        -0.1 + (-0.5 - 0.7) - 0.3, abs=1e-6
    )


def test_a_model_of_too_high_an_order_is_refused(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six words are one too many; the message names the file. A file that is missing is named."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    write_arpa(estimate(SENTENCES, WORDS, 6), tmp_path / "six.arpa")
    with pytest.raises(UserError, match=r"six\.arpa: n-grams of 6 words; at most 5"):
        prepare("c", Source(kaldi=data, lm=tmp_path / "six.arpa"), HOW)
    with pytest.raises(UserError, match=r"no\.arpa: cannot be read"):
        prepare("d", Source(kaldi=data, lm=tmp_path / "no.arpa"), HOW)
