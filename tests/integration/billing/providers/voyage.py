"""Voyage."""

from functools import partial

from tests.integration.billing.prices import price
from tests.integration.billing.table import Provider
from tests.integration.billing.table import Row as AnyRow

PRICING = "docs.voyageai.com/docs/pricing"
RANK = "docs.voyageai.com/reference/reranker-api"

Row = partial(AnyRow, api="rerank")

PRICES = {"rerank-2.5": price("0.05", "0"), "voyage-3.5": price("0.06", "0")}

ROWS = (
    Row("a ranking", "rerank-2.5", PRICING, "each token, the query's once a document",
        usd="0.00005"),
    Row("a ranking of many documents", "rerank-2.5", RANK, "each token, the query's once each",
        asks={"documents": ["A law."] * 200, "top_k": 3}, usd="0.00006"),
    Row("documents that are objects", "rerank-2.5", RANK, outcome="refused", says="`documents`",
        asks={"documents": [{"image": "https://example.com/a.png"}]}),
    Row("a field that nobody knows", "rerank-2.5", RANK, outcome="refused", says="`next_years`",
        asks={"next_years": 1}),
    Row("a reply without its usage", "rerank-2.5", RANK, "its tokens", "unconfirmed",
        reply={"fault": "no_usage"}, usd="0.00005"),
    AnyRow("embeddings", "voyage-3.5", PRICING, "each token", api="embeddings", usd="0.00006"),
)  # fmt: skip

PROVIDER = Provider("Voyage", "https://api.voyageai.com", "/v1", PRICES, ROWS)
