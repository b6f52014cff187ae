"""What is said of an answer that did not end well, and what to do about it. Pure."""

from collections.abc import Collection

from prefect_governor.blocks.errors import BadAnswer
from prefect_governor.blocks.wire.replies.endings import Ending

_ANEW = "--resume RUN --retry-failed asks it anew"


def bad_answer(ending: Ending, *, most_tokens: int) -> BadAnswer:
    """The error of an answer that did not end well; `most_tokens` is what it was allowed."""
    return BadAnswer(ending.kind, f"{_what(ending, most_tokens)}: {_remedy(ending)}")


def accepted(
    ending: Ending, *, accept: Collection[str], has_words: bool, most_tokens: int
) -> str | None:
    """What is to be noted of an answer that is taken, None where it ended by itself.

    Raises BadAnswer for one that is not: its kind is not among those to `accept`, or there is
    nothing in it to take.
    """
    if ending.kind == "fine":
        return None
    if ending.kind not in accept or not has_words:
        raise bad_answer(ending, most_tokens=most_tokens)
    return f"{ending.kind}: {_what(ending, most_tokens)}; taken as it is"


def _what(ending: Ending, most_tokens: int) -> str:
    said = f" ({ending.said})" if ending.said else ""
    if ending.context_full:
        return f"the answer stopped where the model's context was full{said}"
    if ending.kind == "cut":
        return f"the answer stopped at the cap of {most_tokens:,} output tokens{said}"
    if ending.kind == "filtered":
        return f"the provider's content filter held the answer back{said}"
    if ending.kind == "refused":
        return f"the model declined to answer{said}"
    if ending.kind == "empty":
        return f"the model answered with nothing{said}"
    return f"the provider gave the answer up half-way{said}"


def _remedy(ending: Ending) -> str:
    if ending.context_full:
        return "split the item, or name a --model with a longer context"
    if ending.kind == "cut":
        return "raise --max-output-tokens, or take such answers with --accept cut"
    if ending.kind in ("filtered", "refused"):
        return "change the question or the item, or name another --model"
    return _ANEW
