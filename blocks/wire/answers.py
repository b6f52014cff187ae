"""Which model answered a call, and what that makes of its price."""

import logging

from prefect_governor.blocks.prices.deployments import bare, is_version
from prefect_governor.blocks.prices.prices import price_of_answer
from prefect_governor.blocks.prices.tariffs import Price

logger = logging.getLogger("prefect_governor.budget")

# Deployments that were told of, with what they answered as.
_told: set[tuple[str, str]] = set()


def price_answered(price: Price, called: str | None, answered: str | None) -> Price:
    """The price of a call that was priced by the model behind a deployment's name, once its reply
    names the model that answered.

    `called` is the deployment, `azure/NAME`. Where it was priced as another model than answered,
    the dearer of the two counts, and a warning says so, once a process and deployment.
    """
    base = price.base_model
    if answered is None or base is None or not price.by_list:
        return price
    if called is not None and answered == bare(called) != bare(base):
        # Its own name, which is no model's.
        return price
    found = price_of_answer(price, answered)
    if found is price or is_version(answered, base):
        return found
    if (called or base, answered) not in _told:
        _told.add((called or base, answered))
        logger.warning(
            "The deployment %r was priced as %r and answers as %r: calls are settled at the dearer"
            " of the two, which may be above what was reserved for them. Name the model behind it:"
            ' prices={%r: {"base_model": "azure/%s"}}',
            called, base, answered, called, answered,
        )  # fmt: skip
    return found
