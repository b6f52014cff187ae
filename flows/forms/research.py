"""The form of `research`: what a person needs first stands first."""

from collections.abc import Mapping
from dataclasses import replace

from prefect_governor.flows.forms import shared
from prefect_governor.flows.forms.shape import Shown

RESEARCH: Mapping[str, Shown] = {
    "question": Shown(
        "Question",
        "What is to be found out.",
        {"type": "string", "minLength": 1, "examples": ["How are retries decided?"]},
    ),
    "corpus": Shown(
        "Corpus",
        "Files, folders and globs that the agents search and read, such as `docs/**/*.md`.",
        {**shared.NAMES, "examples": [["docs"]]},
    ),
    "folder": Shown(
        "Folder",
        "What the corpus is relative to. Empty: the working directory of the run.",
        {"type": "string", "examples": ["/srv/handbook"]},
    ),
    "web": Shown(
        "Web",
        "The agents may read public web pages, and search where somebody searches.",
        {"type": "boolean"},
    ),
    "governor": shared.GOVERNOR,
    "model": shared.MODEL,
    "max_usd": shared.MAX_USD,
    "max_tasks": Shown("Max tasks", "The most sub-questions.", shared.COUNT),
    "max_rounds": Shown(
        "Max rounds",
        "How often the lead may change the plan while it runs; 0: never.",
        {"type": "integer", "minimum": 0},
    ),
    "plan": Shown(
        "Plan",
        'In place of the lead\'s: `{"tasks": [{"id": "who", "objective": "Who pays?"}]}`, or the'
        " path of a YAML file in double quotes.",
        {"examples": [{"tasks": [{"id": "who", "objective": "Who pays?"}]}]},
    ),
    "max_concurrent": shared.MAX_CONCURRENT,
    "requests_per_minute": shared.REQUESTS_PER_MINUTE,
    "tokens_per_minute": shared.TOKENS_PER_MINUTE,
    "max_output_tokens": Shown(
        "Max output tokens",
        "The most that one reply may have. Empty: 1,024, or as the Model block says.",
        shared.COUNT,
    ),
    "min_success": shared.MIN_SUCCESS,
    "tools": Shown(
        "Tools",
        "What the agents may call beside searching the corpus: python, shell, read, search, web, or"
        " a function as package.module:name.",
        {**shared.NAMES, "examples": [["python"]]},
    ),
    "sandbox": shared.SANDBOX,
    "allow_hosts": shared.ALLOW_HOSTS,
    "deny_hosts": shared.DENY_HOSTS,
    "search": shared.SEARCH,
    "search_usd": shared.SEARCH_USD,
    "mcp": shared.MCP,
    "accept": shared.ACCEPT,
    "max_cost_multiple": shared.MAX_COST_MULTIPLE,
    "max_total_tokens": shared.MAX_TOTAL_TOKENS,
    "timeout_seconds": shared.TIMEOUT_SECONDS,
    "agent": Shown(
        "Agent",
        "A callable in place of our agent, as package.module:name.",
        {"type": "string", "examples": ["package.module:name"]},
    ),
    "processes": shared.PROCESSES,
    "shards": shared.SHARDS,
    "deployment": replace(
        shared.DEPLOYMENT, schema={"type": "string", "examples": ["research/research"]}
    ),
    "part_of": shared.PART_OF,
}
