"""A document as the calls that a model is given of it: whole, or in parts that each fit."""

import asyncio
from collections.abc import Callable
from itertools import islice

from prefect_governor.blocks.errors import ItemFailed
from prefect_governor.blocks.models.choice import ModelChoice
from prefect_governor.blocks.prices.tokens import count_tokens, encoding_of
from prefect_governor.flows.items.splitting import split_text

# More parts than this are refused: the answers about them would not fit one reading either.
MAX_PARTS = 24
# Room in a model's context for the ask, the schema and a repair turn, in tokens.
PROMPT_ROOM = 2_000
# Where the model's tokenizer is not known: no text has more tokens than bytes, and few have more
# than one for three.
BYTES_PER_TOKEN = 3
# A long text's tokens are first told by so many pieces of it, of so many characters, in some 20 ms;
# one that comes to so many times what can be combined is not counted whole.
PIECES, PIECE_CHARACTERS = 64, 1_024
SURELY = 1.5


def room_for_text(model: ModelChoice) -> int | None:
    """Tokens of text that one call may hold; None where no context is known."""
    windows = [
        price.context_tokens
        for name in model.names
        if (price := model.price_of(name)) is not None and price.context_tokens
    ]
    return min(windows) - model.max_output_tokens - PROMPT_ROOM if windows else None


async def parts_beside(model: ModelChoice, text: str) -> list[str]:
    """`parts_of`, in a thread where there is much to count."""
    if _fits_by_bytes(text, room_for_text(model)):
        return [text]
    return await asyncio.to_thread(parts_of, model, text)


def parts_of(model: ModelChoice, text: str) -> list[str]:
    """The text, or the parts of it that each fit the model's context; nothing is left out. Counts:
    seconds of CPU for a text of millions of characters, and nothing for one that surely fits.

    Raises ItemFailed for a text of more than 24 parts, at once where a look at pieces of it tells,
    and where the context is too small.
    """
    room = room_for_text(model)
    if room is None or _fits_by_bytes(text, room):
        return [text]
    encoding = encoding_of(model.name)

    def count(piece: str) -> int:
        if encoding is None:
            return len(piece.encode()) // BYTES_PER_TOKEN + 1
        # Half as much again, as a bound on what the provider may count.
        return count_tokens(piece, encoding) * 3 // 2

    if room < PROMPT_ROOM:
        context = room + model.max_output_tokens + PROMPT_ROOM
        raise ItemFailed(
            f"{model.name} has a context of {context:,} tokens, too small for an answer of"
            f" {model.max_output_tokens:,} about a document: lower --max-output-tokens"
        )
    about = _about(text, count)
    if about > SURELY * MAX_PARTS * room:
        raise _too_long(model, about, room)
    if count(text) <= room:
        return [text]
    parts = list(islice(split_text(text, max_tokens=room, count=count), MAX_PARTS + 1))
    if len(parts) > MAX_PARTS:
        raise _too_long(model, about, room)
    return parts


def _fits_by_bytes(text: str, room: int | None) -> bool:
    """Whether it surely fits: no text has more tokens than bytes."""
    return room is None or len(text.encode(errors="surrogatepass")) <= room


def _about(text: str, count: Callable[[str], int]) -> int:
    """About how many tokens a text has, by pieces of it that stand evenly apart."""
    if len(text) <= PIECES * PIECE_CHARACTERS:
        return count(text)
    step = len(text) // PIECES
    pieces = (text[at * step : at * step + PIECE_CHARACTERS] for at in range(PIECES))
    return sum(map(count, pieces)) * len(text) // (PIECES * PIECE_CHARACTERS)


def _too_long(model: ModelChoice, tokens: int, room: int) -> ItemFailed:
    return ItemFailed(
        f"the text has about {tokens:,} tokens, {-(-tokens // room):,} times what {model.name}"
        f" reads at once, over the {MAX_PARTS} parts that are combined: cut it into smaller files,"
        " make its lines items (`fan-out - < FILE`), or ask a model with a larger context"
    )
