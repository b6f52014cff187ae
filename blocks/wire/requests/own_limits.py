"""The bound of an output that the caller set no limit to: the model's own. Pure.

It is written into the request, so that the provider holds it too: some give a reply to a request
without a limit more room than their documents say.
"""

from prefect_governor.blocks.errors import NotBounded
from prefect_governor.blocks.prices.tariffs import Price

# Where no tokenizer is known: of a text in most languages and of code, a token has as many bytes.
BYTES_A_TOKEN = 2


def own_limit(price: Price, model: str, field: str, *, input_tokens: int) -> int:
    """The most output tokens that a model writes, after about so many tokens of input.

    Input and output share the context of most models, whose providers refuse a request that asks
    for more than is left of it. Raises NotBounded, naming the field to set, where no limit is
    known.
    """
    limit = price.max_output_tokens
    if limit is None:
        raise NotBounded(
            f"the output has no bound: the request sets no {field}, and how much {model!r} writes "
            f"at the most is not known here. Set {field} in the request (max_tokens), or "
            "max_output_tokens of the Governor, of http_client or of a Model block"
        )
    room = limit if price.context_tokens is None else price.context_tokens - input_tokens
    # What is longer than the context is for the provider to say.
    return min(limit, room) if room > 0 else limit
