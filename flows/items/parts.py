"""A document as the calls that a model is given of it: whole, or in parts that each fit."""

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


def room_for_text(model: ModelChoice) -> int | None:
    """Tokens of text that one call may hold; None where no context is known."""
    windows = [
        price.context_tokens
        for name in model.names
        if (price := model.price_of(name)) is not None and price.context_tokens
    ]
    return min(windows) - model.max_output_tokens - PROMPT_ROOM if windows else None


def parts_of(model: ModelChoice, text: str) -> list[str]:
    """The text, or the parts of it that each fit the model's context; nothing is left out.

    Raises ItemFailed for a text of more than 24 parts, and where the context is too small.
    """
    room = room_for_text(model)
    if room is None:
        return [text]
    encoding = encoding_of(model.name)

    def count(piece: str) -> int:
        if encoding is None:
            return len(piece.encode()) // BYTES_PER_TOKEN + 1
        # Half as much again, as a bound on what the provider may count.
        return count_tokens(piece, encoding) * 3 // 2

    # No text has more tokens than bytes: most need no counting.
    if len(text.encode()) <= room or count(text) <= room:
        return [text]
    if room < PROMPT_ROOM:
        context = room + model.max_output_tokens + PROMPT_ROOM
        raise ItemFailed(
            f"{model.name} has a context of {context:,} tokens, too small for an answer of"
            f" {model.max_output_tokens:,} about a document: lower --max-output-tokens"
        )
    parts = split_text(text, max_tokens=room, count=count)
    if len(parts) > MAX_PARTS:
        raise ItemFailed(
            f"the text has about {count(text):,} tokens, {len(parts)} times what {model.name}"
            f" reads at once, over the {MAX_PARTS} parts that are combined: cut it into items"
        )
    return parts
