"""Ranking of documents by a query: any path that ends in `/rerank`, as Cohere has it, and Jina,
Voyage, Together and others after it.

Some bill by the search (Cohere up to its fourth family), some by the token; which it is says the
price. By the search: a search unit is a query with up to 100 documents, and a document longer than
500 tokens, the query's counted in, is split into chunks that count as a document each
(cohere.com/pricing). By the token: the query's are counted with each document
(docs.voyageai.com/docs/faq, the total number of tokens).
"""

import math
from collections.abc import Mapping
from typing import Any

from prefect_governor.blocks.errors import NotBounded
from prefect_governor.blocks.prices.tariffs import ZERO, Price, UsageParts
from prefect_governor.blocks.wire.dialects.cohere.chat import PROVIDER as COHERE
from prefect_governor.blocks.wire.dialects.cohere.replies import beside, units_of
from prefect_governor.blocks.wire.requests.bodies import (
    MESSAGE_OVERHEAD_TOKENS,
    REQUEST_OVERHEAD_TOKENS,
    compact,
    read_reply,
    read_request,
    write,
)
from prefect_governor.blocks.wire.requests.fields import check_fields
from prefect_governor.blocks.wire.requests.plans import (
    Billed,
    CallPlan,
    CallRequest,
    Dialect,
    StreamReader,
)

# docs.cohere.com/reference/rerank and /rerank-v1, jina.ai/reranker, docs.voyageai.com/reference/
# reranker-api, docs.together.ai/reference/rerank-1. What shortens a document only lowers the bound.
FIELDS = frozenset(
    {"model", "query", "documents", "top_n", "top_k", "return_documents", "rank_fields",
     "max_tokens_per_doc", "max_chunks_per_doc", "truncation", "truncate", "priority", "user"}
)  # fmt: skip
DOCUMENTS_A_SEARCH = 100
CHUNK_TOKENS = 500
# Whose documents are objects of any fields, all of them text.
_OBJECTS = frozenset({COHERE, "cohere", "azure", "azure_ai"})
_COUNTED = {"search_units", "input_tokens", "total_tokens"}


class Rerank(Dialect):
    """`POST …/rerank`."""

    name = operation = "rerank"
    ranks = True

    def matches(self, method: str, path: str) -> bool:
        return method == "POST" and path.rstrip("/").endswith("/rerank")

    def open(self, body: bytes, *, path: str = "") -> CallRequest:
        """Raises NotBounded where the body is not a JSON object that names a model."""
        return read_request(body)

    def plan(self, request: CallRequest, *, price: Price, encoding: str | None) -> CallPlan:
        """The bound, in searches or in tokens, a byte taken for one. Raises NotBounded, naming the
        field or the document."""
        fields = dict(request.fields)
        check_fields(fields, FIELDS, {}, request.accepted)
        query, documents = fields.get("query"), fields.get("documents")
        if not isinstance(query, str):
            raise NotBounded("`query` is no text, so the call has no bound")
        if not isinstance(documents, list):
            raise NotBounded("`documents` is not a list, so the call has no bound")
        if price.output > price.input:
            raise NotBounded(
                f"{request.model!r} has a price of output, of which a ranking has no bound. Give "
                "it a price of its input alone"
            )
        sizes = [_size(each, request) for each in documents]
        asked = _size_of(query)
        # Of a chunk the query, and what a provider puts between, leave so much to the document.
        room = max(1, CHUNK_TOKENS - asked - MESSAGE_OVERHEAD_TOKENS)
        chunks = sum(max(1, math.ceil(size / room)) for size in sizes)
        body = write(fields)
        tokens = len(body) + REQUEST_OVERHEAD_TOKENS
        tokens += (asked + MESSAGE_OVERHEAD_TOKENS) * (len(sizes) + sum(sizes) // CHUNK_TOKENS)
        by_search = price.search_fee is not None
        return CallPlan(
            body=body,
            input_tokens=0 if by_search and price.input == ZERO else tokens,
            output_tokens=0,
            searches=math.ceil(max(1, chunks) / DOCUMENTS_A_SEARCH) if by_search else 0,
        )

    def read(self, body: bytes) -> Billed | None:
        reply = read_reply(body)
        return None if reply is None else billed(reply)

    def stream(self, plan: CallPlan) -> StreamReader:
        """Nothing of a ranking is streamed: `plan` never says so."""
        raise NotBounded("a ranking has no stream, so what it would cost has no bound")


def billed(reply: Mapping[str, Any]) -> Billed | None:
    """What a ranking says that it was billed: Cohere's units, else a usage's tokens. None where it
    says nothing, or units that are counted nowhere here."""
    meta = reply.get("meta")
    units = meta.get("billed_units") if isinstance(meta, dict) else None
    usage = reply.get("usage") if units is None else units
    if not isinstance(usage, dict) or (usage is units and beside(units, _COUNTED)):
        return None
    names = ("total_tokens", "input_tokens", "prompt_tokens")
    tokens = max(units_of(usage, name) or 0 for name in names)
    searches = units_of(units, "search_units") or 0
    if not tokens and not searches:
        return None
    return Billed(UsageParts(tokens, 0, searches=searches), "standard")


def _size(document: Any, request: CallRequest) -> int:
    if isinstance(document, str):
        return _size_of(document)
    if isinstance(document, dict):
        of_text = document.keys() == {"text"} or request.provider in _OBJECTS
        if of_text and all(isinstance(each, str) for each in document.values()):
            return _size_of(compact(document))
    raise NotBounded(
        "`documents` must be texts: what else a document is has no bound. An image's tokens, say, "
        "are not bounded by its bytes"
    )


def _size_of(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))
