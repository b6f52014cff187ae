"""The prices that saved Model blocks state, for whoever calls the models that they name."""

from urllib.parse import urlsplit

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import BlockDocument
from prefect.exceptions import ObjectNotFound

from prefect_governor.blocks.documents.documents import validated
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.prices.given import Given
from prefect_governor.blocks.prices.own import SavedPrices
from prefect_governor.blocks.terms.model import ModelTerms

PAGE = 200


def saved_prices() -> SavedPrices:
    """What the Model blocks say that their models cost, none of their secrets read. Two that
    disagree about a model, and one that is not valid, are told in place of its price."""
    return prices_of(_documents())


def prices_of(documents: list[BlockDocument]) -> SavedPrices:
    """The same for documents that were read."""
    found: dict[tuple[str, str | None], Given | str] = {}
    named: dict[tuple[str, str | None], str] = {}
    for document in documents:
        try:
            terms = validated(ModelTerms, document)
        except ConfigurationError as error:
            # Only its own model's calls are refused for it.
            if isinstance(name := document.data.get("name"), str):
                found[name, None] = str(error)
            continue
        if terms.price is None:
            continue
        place = terms.name, _host(terms)
        price, block = terms.price.given(), str(document.name)
        if found.setdefault(place, price) != price and place in named:
            found[place] = (
                f"the Model blocks {named[place]!r} and {block!r} state different prices of"
                f" {terms.name!r}: make them one, or take the price out of one of them"
            )
        named.setdefault(place, block)
    return SavedPrices(found)


def _host(terms: ModelTerms) -> str | None:
    return None if terms.api_base is None else urlsplit(terms.api_base).hostname


def _documents() -> list[BlockDocument]:
    found: list[BlockDocument] = []
    try:
        with get_client(sync_client=True) as client:
            while True:
                page = client.read_block_documents_by_type(
                    ModelTerms.block_type_slug,
                    offset=len(found),
                    limit=PAGE,
                    include_secrets=False,
                )
                found += page
                if len(page) < PAGE:
                    return found
    except ObjectNotFound:
        # No Model block was ever saved here.
        return found
