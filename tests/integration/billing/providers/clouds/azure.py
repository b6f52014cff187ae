"""Azure OpenAI."""

from tests.integration.billing.prices import price
from tests.integration.billing.table import Provider, Row

COSTS = "learn.microsoft.com/azure/ai-foundry/openai/how-to/manage-costs"
PRICING = "azure.microsoft.com/pricing/details/azure-openai"
REFERENCE = "learn.microsoft.com/azure/ai-foundry/openai/reference"

# By the name of the deployment, which is here the model's.
PRICES = {
    "gpt-4o-mini": price("0.15", "0.6", cached_input="0.075"),
    "gpt-4o": price("2.5", "10", cached_input="1.25"),
}
MINI = "gpt-4o-mini"
FILTERED = {"status": 400, "code": "content_filter", "text": "The response was filtered"}
# What is said of a deployment's place: the price of all of the world's.
WORLD = "azure/global-standard/"
HERE = {
    "azure/gpt-4o-mini": {"base_model": f"{WORLD}gpt-4o-mini"},
    "azure/gpt-4o": {"base_model": f"{WORLD}gpt-4o-2024-11-20"},
}
ZONES = "learn.microsoft.com/azure/ai-foundry/foundry-models/concepts/deployment-types"
DATA = {"data_sources": [{"type": "azure_search", "parameters": {}}]}

ROWS = (
    Row("input and output", MINI, PRICING, "each token", usd="0.00021",
        given=HERE),
    Row("a deployment that does not say where it is", MINI, ZONES,
        "as the world's, or a data zone's, a tenth dearer", "above", usd="0.00021"),
    Row("a stream", MINI, REFERENCE, "its tokens", stream=True, usd="0.00021",
        given=HERE),
    Row("cached input", "gpt-4o", PRICING, "half of fresh input", used={"cached": 400},
        usd="0.003", given=HERE),
    Row("a deployment of another name", "team-deployment", PRICING, "the model behind it",
        "refused", says="'azure/team-deployment'"),
    Row("a prompt that is filtered", MINI, COSTS, "its input, as it was processed", "unconfirmed",
        reply={**FILTERED, "billed": True}, used={"output": 0}, usd="0.00015"),
    Row("a prompt over the input limit", MINI, COSTS, "its input, as it was processed",
        "unconfirmed", reply={"status": 400, "text": "Too long.", "billed": True},
        used={"output": 0}, usd="0.00015"),
    Row("a 408", MINI, COSTS, "its input, as it was processed", "unconfirmed",
        reply={"status": 408, "text": "Too late.", "billed": True}, used={"output": 0},
        usd="0.00015"),
    Row("an answer that is filtered", MINI, COSTS, "what was written of it",
        reply={"finish_reason": "content_filter"}, usd="0.00021", given=HERE),
    Row("data of one's own", MINI, REFERENCE, "several calls of the model", "refused",
        says="`data_sources`", asks=DATA),
    Row("a 401", MINI, COSTS, "nothing", "released", reply={"status": 401, "text": "No key."}),
    Row("a 403", MINI, COSTS, "nothing", "released", reply={"status": 403, "text": "No."}),
    Row("a 500", MINI, COSTS, "nothing, which no page promises", "unconfirmed",
        reply={"status": 500, "text": "Broken."}),
)  # fmt: skip

PROVIDER = Provider("Azure OpenAI", "https://team.openai.azure.com", "/openai/v1", PRICES, ROWS)
