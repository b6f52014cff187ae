"""Which of a Model's models is asked: the first, or the cheaper ones as money runs low."""

from collections.abc import Callable

from prefect_governor.blocks.context.scope import attribution, current_scope
from prefect_governor.blocks.prices.tariffs import Price


def models_to_ask(
    names: tuple[str, ...], *, price_of: Callable[[str], Price | None], refused: bool = False
) -> tuple[str, ...]:
    """Of a model and its fallbacks, those to ask for one answer now, in order.

    All of them, until the share of the money that the context's governor names (`fallback_share`)
    is spent or unconfirmed, or (`refused`) a call of theirs was over budget: it may have waited
    since before that. From then on those alone that cost less than the first, and the scope of the
    context says that it `fell_back`; where none does, all of them as before. A governor that only
    observes changes nothing.

    Raises LedgerUnavailable.
    """
    here = current_scope.get()
    if here is None or len(names) < 2:
        return names
    governing = here.governor
    share = governing.fallback_share
    if share is None or governing.observe:
        return names
    who = attribution(model=names[0])
    if not refused and governing.spent_share(who.run_id or who.flow_run_id) < share:
        return names
    first = price_of(names[0])
    cheaper = tuple(name for name in names[1:] if _costs_less(price_of(name), first))
    if not cheaper:
        return names
    here.fell_back = True
    return cheaper


def _costs_less(price: Price | None, than: Price | None) -> bool:
    """Whether any call costs less: no part is dearer, and one is cheaper. Of what has no price
    nobody knows."""
    if price is None or than is None:
        return False
    parts = (
        (price.input, than.input),
        (price.output, than.output),
        (price.request_fee, than.request_fee),
    )
    return all(mine <= theirs for mine, theirs in parts) and any(
        mine < theirs for mine, theirs in parts
    )
