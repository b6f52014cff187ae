"""The prices that saved Model blocks state, for whoever calls the models that they name."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import BlockDocument
from prefect.exceptions import ObjectNotFound

from prefect_governor.blocks.documents.documents import validated
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.prices.given import Given
from prefect_governor.blocks.prices.own import SavedPrices
from prefect_governor.blocks.terms.model import ModelTerms
from prefect_governor.blocks.terms.price import is_left_empty, parse_prices


@dataclass(frozen=True)
class InvalidModel:
    """A Model block that nothing can call: its document, and what of it is not valid."""

    document_id: str
    name: str
    reason: str


def saved_prices() -> SavedPrices:
    """What the Model blocks say that their models cost, none of their secrets read. Two that
    disagree about a model, and a price that is not valid, are told in place of it."""
    return prices_of(saved_models())


def invalid_models(documents: list[BlockDocument]) -> list[InvalidModel]:
    """Those of the Model blocks that do not validate."""
    found = []
    for document in documents:
        try:
            validated(ModelTerms, document)
        except ConfigurationError as error:
            found.append(InvalidModel(str(document.id), str(document.name), str(error)))
    return found


def prices_of(documents: list[BlockDocument]) -> SavedPrices:
    """The same for documents that were read."""
    found: dict[tuple[str, str | None], Given | str] = {}
    named: dict[tuple[str, str | None], str] = {}
    for document in documents:
        model, price = document.data.get("name"), document.data.get("price")
        if not isinstance(model, str) or is_left_empty(price):
            continue
        block, place = str(document.name), (model, _host(document.data.get("api_base")))
        stated = _stated(model, price, block)
        if found.setdefault(place, stated) != stated:
            found[place] = (
                f"the Model blocks {named[place]!r} and {block!r} state different prices of"
                f" {model!r}: make them one, or take the price out of one of them"
            )
        named.setdefault(place, block)
    return SavedPrices(found)


def _stated(model: str, price: object, block: str) -> Given | str:
    try:
        return parse_prices({model: price})[model]  # type: ignore[dict-item]
    except ConfigurationError as error:
        return f"of the Model block {block!r}, the {error}; edit it in the UI"


def _host(api_base: object) -> str | None:
    try:
        return urlsplit(str(api_base)).hostname if api_base else None
    except ValueError:
        return None


def saved_models() -> list[BlockDocument]:
    """The documents of all Model blocks, without their secrets."""
    try:
        with get_client(sync_client=True) as client:
            # All of them at once: the API takes neither an offset nor a limit here.
            return client.read_block_documents_by_type(
                ModelTerms.block_type_slug, include_secrets=False
            )
    except ObjectNotFound:
        # No Model block was ever saved here.
        return []
