"""What the doctor finds of saved budgets and governors: their money, and their limits."""

from collections.abc import Iterator

from prefect_governor.blocks.documents.documents import accounts_of, budget_chain
from prefect_governor.blocks.errors import GovernorError
from prefect_governor.blocks.leases.prefect_limits import PrefectLimits, impatient
from prefect_governor.blocks.terms.governor import GovernorTerms
from prefect_governor.blocks.work.ledgers import home_of
from prefect_governor.flows.cli.doctor.documents import Documents, Saved
from prefect_governor.flows.cli.doctor.finding import Finding
from prefect_governor.flows.cli.doctor.ledgers import Stores, opened
from prefect_governor.flows.cli.doctor.limits import of_limits
from prefect_governor.flows.cli.doctor.money import charged, of_money, of_place
from prefect_governor.flows.cli.doctor.sum import sum_in_words


def budgets(documents: Documents) -> Iterator[Finding]:
    """Each saved budget, once, however many governors draw on it."""
    for cycle in documents.cycles:
        circle = " → ".join((*cycle, cycle[0]))
        yield Finding(
            "fail",
            f"budget {cycle[0]!r}",
            f"it is its own parent ({circle}): nothing under it is admitted",
            f"give one of them another parent, or none: {documents.budgets[cycle[-1]].url}",
        )
    with impatient(), opened(own=documents.ledger) as stores:
        for saved in documents.budgets.values():
            if any(saved.name in cycle for cycle in documents.cycles):
                continue
            if saved.terms is None:
                yield saved.invalid
            elif wrong := documents.broken_above(saved):
                yield _without_parent(saved, wrong)
            else:
                yield from _looked_at(saved, _budget(saved, documents, stores))


def governors(documents: Documents) -> Iterator[Finding]:
    """Each saved governor, with its limits."""
    if not documents.governors:
        yield Finding("ok", "governors", "none saved; a run without one has a ceiling of its own")
    with impatient(), opened(own=documents.ledger) as stores:
        for saved in documents.governors.values():
            if saved.terms is None:
                yield saved.invalid
            elif wrong := documents.broken_above(saved):
                yield _without_parent(saved, wrong)
            else:
                yield from _looked_at(saved, _governor(saved, stores))


def _looked_at(saved: Saved, look: Iterator[Finding]) -> Iterator[Finding]:
    try:
        yield from look
    except GovernorError as error:
        yield Finding("fail", saved.about, str(error))


def _without_parent(saved: Saved, wrong: str) -> Finding:
    if not wrong.startswith("there is no"):
        return Finding("fail", saved.about, wrong)
    return Finding("fail", saved.about, wrong, f"make that one, or name another: {saved.url}")


def _budget(saved: Saved, documents: Documents, stores: Stores) -> Iterator[Finding]:
    url = documents.ledger_url(saved)
    store = stores.at(url)
    leaf, *above = budget_chain(saved.document)
    on = f", under budget {above[0].name!r}" if above else ""
    yield of_money(saved.about, leaf, store, on=on)
    if store is not None or documents.ledger:
        yield from of_place(saved, store, url)


def _governor(saved: Saved, stores: Stores) -> Iterator[Finding]:
    terms = saved.terms
    assert isinstance(terms, GovernorTerms)
    if terms.mode == "observe":
        yield Finding(
            "warn",
            saved.about,
            "it only observes (mode observe); no ceiling and no limit holds",
            f"set its mode to enforce: {saved.url}",
        )
    url = None if terms.ledger_url is None else terms.ledger_url.get_secret_value()
    store = stores.at(url)
    _, accounts = accounts_of(saved.name)
    own = accounts[0] if accounts[0].key.startswith(str(saved.document.id)) else None
    on = f"draws on budget {accounts[0].name!r}" if own is None else ""
    if url is not None and store is not None:
        on += f"{', ' if on else ''}its ledger is {home_of(url)}, id {store.ledger_id[:8]}"
    if own is not None:
        yield of_money(saved.about, own, store, on=f"; {on}" if on else "")
    else:
        yield Finding("ok", saved.about, on)
    yield from of_place(saved, store, url)
    yield from of_limits(saved, terms, store, PrefectLimits(patient=False))
    left = [
        account.ceiling_nano - charged(store, account)[0]
        for account in accounts
        if account.ceiling_nano is not None
    ]
    text = sum_in_words(
        terms.every_limit,
        store=store,
        account=accounts[0].key,
        money_left_nano=min(left, default=None),
    )
    yield Finding("ok", saved.about, text)
