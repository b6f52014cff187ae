"""What is said of an answer that did not end well: its kind first, then what to do."""

import pickle

import pytest

from prefect_governor.blocks.errors import BAD_KINDS, BadAnswer, ItemFailed, bad_kind
from prefect_governor.blocks.wire.replies.endings import ENDINGS, Ending
from prefect_governor.flows.subagent.verdicts import accepted, bad_answer

BAD = [
    Ending(kind, said)
    for reasons in ENDINGS.values()
    for said, kind in reasons.items()
    if kind != "fine"
] + [Ending("empty"), Ending("refused", "refusal")]


@pytest.mark.parametrize("ending", BAD, ids=lambda each: f"{each.kind}-{each.said}")
def test_each_says_its_kind_the_providers_word_and_what_to_do(ending: Ending) -> None:
    error = bad_answer(ending, most_tokens=1024)
    assert isinstance(error, ItemFailed) and error.kind == ending.kind in BAD_KINDS
    text = str(error)
    assert bad_kind(text) == ending.kind
    assert ending.said in text
    assert len(text) <= 300
    assert any(word in text for word in ("--max-output-tokens", "--model", "--retry-failed"))
    if ending.context_full:
        assert "--max-output-tokens" not in text
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.kind) == (BadAnswer, text, ending.kind)


def test_what_is_taken_is_noted_and_nothing_is_never_taken() -> None:
    fine, cut = Ending("fine", "stop"), Ending("cut", "length")
    assert accepted(fine, accept=(), has_words=True, most_tokens=9) is None
    note = accepted(cut, accept=("cut",), has_words=True, most_tokens=9)
    assert note == "cut: the answer stopped at the cap of 9 output tokens (length); taken as it is"
    for accept, has_words in (((), True), (("filtered",), True), (("cut",), False)):
        with pytest.raises(BadAnswer, match="cut: "):
            accepted(cut, accept=accept, has_words=has_words, most_tokens=9)


@pytest.mark.parametrize("text", [None, "", "cut", "cutting: x", "it was cut: x", ": x"])
def test_other_reasons_are_of_no_kind(text: str | None) -> None:
    assert bad_kind(text) is None
