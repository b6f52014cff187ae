"""The texts of a demand, as every store holds them: looked at before they come near a transaction,
which they would fail for all that is in it."""

from dataclasses import fields, replace

from prefect_governor.blocks.machine.text import label, labels
from prefect_governor.blocks.records.calls import Attribution, Demand
from prefect_governor.blocks.secrets.exits import scrubbed, scrubbed_value

_TEXTS = tuple(each.name for each in fields(Attribution) if each.name != "tags")


def storable_demand(demand: Demand) -> Demand:
    """`demand` with texts that can be stored. Raises ConfigurationError for a label that is no
    text."""
    if _is_plain(demand):
        return demand
    who = demand.attribution
    told = {name: getattr(who, name) for name in _TEXTS}
    texts = {name: None if each is None else label(each, name) for name, each in told.items()}
    tags, clean = scrubbed_value((labels(who.tags, "tags"), texts))
    if (tags, clean) != (who.tags, told):
        demand = replace(demand, attribution=Attribution(tags=tags, **clean))
    accounts, limits = labels(demand.accounts, "accounts"), labels(demand.limits, "limits")
    request_id = demand.request_id and label(demand.request_id, "request_id")
    if (accounts, limits, request_id) != (demand.accounts, demand.limits, demand.request_id):
        demand = replace(demand, accounts=accounts, limits=limits, request_id=request_id)
    if demand.purse_run is not None and (run := label(demand.purse_run, "run")) != demand.purse_run:
        demand = replace(demand, purse_run=run)
    return demand


def _is_plain(demand: Demand) -> bool:
    """Whether nothing is to be done about it, as far as all of its texts tell at a glance."""
    who = demand.attribution
    if type(who.tags) is not tuple:
        return False
    texts = [each for name in _TEXTS if (each := getattr(who, name)) is not None]
    texts += (*who.tags, *demand.accounts, *demand.limits)
    texts += (each for each in (demand.request_id, demand.purse_run) if each is not None)
    if any(type(each) is not str for each in texts):
        return False
    together = "\n".join(texts)
    return together.isascii() and "\x00" not in together and scrubbed(together) is together
