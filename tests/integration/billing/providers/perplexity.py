"""Perplexity."""

from tests.integration.billing.prices import price
from tests.integration.billing.table import Provider, Row

PRICING = "docs.perplexity.ai/docs/getting-started/pricing"
COSTS = "schemas.apis.io/schemas/perplexity/perplexity-responsescost"
SONAR = {
    "perplexity/sonar": {
        "input_usd_per_million_tokens": "1",
        "output_usd_per_million_tokens": "1",
        "usd_per_request": "0.012",
    }
}
# With a search of the largest size.
PRICES = {"sonar": price("1", "1", request="0.012")}

ROWS = (
    Row("a search with each request", "sonar", PRICING, "$5 to $12 for 1,000, by its size",
        "refused", says="search_context_cost_per_query"),
    Row("a search of a larger model", "sonar-pro", PRICING, "$6 to $14 for 1,000", "refused",
        says="search_context_cost_per_query"),
    Row("deep research", "sonar-deep-research", PRICING, "searches, citations and thoughts",
        "refused", says="search_context_cost_per_query"),
    Row("a fee for each request, by a price of one's own", "sonar", PRICING, "the dearest size",
        given=SONAR, usd="0.0131"),
    Row("a cost that is stated", "sonar", COSTS, "what the reply says", given=SONAR,
        used={"usd": "0.0061", "also": {"cost": {"total_cost": 0.0061}}}, usd="0.0061"),
    Row("the field of a search", "sonar", PRICING, "each search", "refused", given=SONAR,
        says="`web_search_options`", asks={"web_search_options": {"search_context_size": "low"}}),
    Row("a reply without its usage", "sonar", PRICING, "its tokens and its search", "unconfirmed",
        given=SONAR, reply={"fault": "no_usage"}, usd="0.0131"),
    Row("a 400", "sonar", PRICING, "nothing", "released", given=SONAR,
        reply={"status": 400, "text": "No."}),
)  # fmt: skip

PROVIDER = Provider("Perplexity", "https://api.perplexity.ai", "", PRICES, ROWS)
