"""Inputs that both ready flows have."""

from prefect_governor.flows.forms.shape import Shown

COUNT = {"type": "integer", "minimum": 1}
USD = {"type": "number", "minimum": 0}
NAMES = {"type": "array", "items": {"type": "string"}}
# Tabs in both UIs, of which the first is the one that is open.
COUNT_OR_AUTO = {
    "anyOf": [
        {"title": "number", **COUNT},
        {"title": "auto", "type": "string", "enum": ["auto"]},
    ],
    "examples": [10, "auto"],
}

GOVERNOR = Shown(
    "Governor",
    "Name of a saved Governor block: its budget, its limits. Empty: this run has a ceiling of its"
    " own, $1.00 where Max USD is empty too.",
    {"type": "string", "examples": ["llm-team"]},
)
MODEL = Shown(
    "Model",
    "`block:NAME` for a saved Governor Model block, LiteLLM's name such as `openai/gpt-4o-mini`, or"
    " `auto`: the first that is there where the flow runs.",
    {"type": "string", "examples": ["block:llm-team", "openai/gpt-4o-mini", "auto"]},
)
MAX_USD = Shown(
    "Max USD",
    "The most that this run may cost, such as 2.50. Empty: what the governor has left.",
    {**USD, "examples": [2.5]},
)
MAX_TOTAL_TOKENS = Shown(
    "Max total tokens", "The most tokens of this run, input and output together.", COUNT
)
MAX_CONCURRENT = Shown(
    "Max concurrent",
    "Calls in flight at once. Empty: as the governor says, or 20 without one.",
    {**COUNT, "examples": [20]},
)
REQUESTS_PER_MINUTE = Shown(
    "Requests per minute", "Of this run, in any minute. Empty: as the governor says.", COUNT
)
TOKENS_PER_MINUTE = Shown(
    "Tokens per minute", "Of this run, in any minute. Empty: as the governor says.", COUNT
)
TIMEOUT_SECONDS = Shown(
    "Timeout in seconds",
    "How long one request may take once it was sent. Empty: 120, or as the Model block says.",
    {"type": "number", "exclusiveMinimum": 0},
)
MIN_SUCCESS = Shown(
    "Min success",
    "The share that must succeed for the run not to fail, from 0 to 1: 0.9 is nine of ten.",
    {"type": "number", "minimum": 0, "maximum": 1},
)
MAX_COST_MULTIPLE = Shown(
    "Max cost multiple",
    "Refuse to start where it would cost more than so many times one agent that reads all of it in"
    " one go.",
    {"type": "number", "exclusiveMinimum": 0},
)
ACCEPT = Shown(
    "Accept",
    "Answers that are taken although they did not end well: cut (at Max output tokens), filtered,"
    " refused. Empty: they fail.",
    {"type": "array", "items": {"type": "string", "enum": ["cut", "filtered", "refused"]}},
)
SANDBOX = Shown(
    "Sandbox",
    "Name of a saved Governor Sandbox block for programs. Empty: the usual bounds.",
    {"type": "string"},
)
ALLOW_HOSTS = Shown(
    "Allow hosts",
    "With the web: the only hosts that may be reached, such as example.org and all below it. Empty:"
    " all that are public.",
    NAMES,
)
DENY_HOSTS = Shown("Deny hosts", "With the web: hosts that may not be reached.", NAMES)
SEARCH = Shown(
    "Search",
    "With the web, who searches; auto is the first of them whose key is set where the flow runs.",
    {"type": "string", "enum": ["auto", "searxng", "brave", "tavily", "off"]},
)
SEARCH_USD = Shown(
    "Search USD", "With the web: what one search costs. Empty: the provider's list price.", USD
)
MCP = Shown(
    "MCP servers",
    'Whose tools may be called: `{"mcpServers": {"docs": {"url": "https://mcp.example.org"}}}`, or'
    " the path of a JSON file in double quotes.",
    {"examples": [{"mcpServers": {"docs": {"url": "https://mcp.example.org"}}}]},
)
PROCESSES = Shown(
    "Processes",
    "How many processes of the worker's machine share the run, where one's core holds it back;"
    " auto: one a core. Empty: one.",
    COUNT_OR_AUTO,
)
SHARDS = Shown(
    "Shards",
    "How many flow runs on a work pool share the run, under one ceiling. Empty: none.",
    COUNT,
)
DEPLOYMENT = Shown(
    "Deployment",
    "Of which the shards are flow runs, as flow/deployment.",
    {"type": "string", "examples": ["fan-out/fan-out"]},
)
PART_OF = Shown("Part of", "What a run gives its shards; leave it empty.", {"type": "object"})
