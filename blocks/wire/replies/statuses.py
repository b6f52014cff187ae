"""What a status means for money, by provider: billed, not billed, or nobody knows. Pure.

A row is a provider's own word, with the page that says so. What it bills is believed of whoever
serves its models; what it does not, of its own hosts alone: a gateway may have billed what its
upstream did.
"""

from dataclasses import dataclass
from typing import Literal

# What a reply without a usage means for its reservation.
Outcome = Literal["void", "unconfirm"]

# Answers that may follow a billed call: a gateway that gave up on its upstream says 408, a 5xx or
# nginx's 499; a conflict may be with a call of the same key that goes on; Bedrock says 424 where
# the model failed as it answered, of whose bill no page of AWS's says anything
# (docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html, ModelErrorException).
UNPROVEN_STATUSES = frozenset({408, 409, 424, 499})


@dataclass(frozen=True, slots=True)
class Word:
    """What a provider says of statuses that the careful reading takes otherwise."""

    billed: frozenset[int]
    not_billed: frozenset[int]
    page: str


WORDS = {
    "azure": Word(
        # A prompt that was filtered, or that is over the input limit, was processed. For what was
        # filtered both prompt and completion are charged (…/openai/concepts/content-filter).
        billed=frozenset({400, 408}),
        not_billed=frozenset(),
        page="learn.microsoft.com/azure/ai-foundry/openai/how-to/manage-costs",
    ),
    "gemini": Word(
        # "If your request fails with a 400 or 500 error, you won't be charged."
        billed=frozenset(),
        not_billed=frozenset({400, *range(500, 600)}),
        page="ai.google.dev/gemini-api/docs/billing",
    ),
}


def outcome_of_status(
    status: int, served_by: str | None = None, *, provider: str | None = None
) -> Outcome:
    """What a reply that holds no usage says of the bill. `served_by` is whose own host answered, by
    LiteLLM's name, `provider` whose models it serves; None where nobody knows.

    Where the provider says nothing else, 3xx and 4xx are provably not billed, apart from those of
    `UNPROVEN_STATUSES`. A 2xx was served, and a 5xx may be a gateway's word on a call that its
    upstream billed: both stay charged.
    """
    words = [word for name in (served_by, provider) if (word := WORDS.get(name or "")) is not None]
    if any(status in word.billed for word in words):
        return "unconfirm"
    own = WORDS.get(served_by or "")
    if own is not None and status in own.not_billed:
        return "void"
    if 300 <= status < 500 and status not in UNPROVEN_STATUSES:
        return "void"
    return "unconfirm"
