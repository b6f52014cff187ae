"""The form of `fan_out`: what a person needs first stands first."""

from collections.abc import Mapping

from prefect_governor.flows.forms import shared
from prefect_governor.flows.forms.shape import Shown

FAN_OUT: Mapping[str, Shown] = {
    "ask": Shown(
        "Ask",
        "What each sub-agent answers about its item.",
        {"type": "string", "minLength": 1, "examples": ["What should a reader know first?"]},
    ),
    "sources": Shown(
        "Sources",
        "Files, folders and globs, such as `docs` or `reports/**/*.pdf`; a row of a table (.csv,"
        " .jsonl, .xlsx, .parquet, .yaml) is an item.",
        {**shared.NAMES, "examples": [["docs"], ["reports/**/*.pdf", "tickets.csv"]]},
    ),
    "folder": Shown(
        "Folder",
        "What the sources are relative to. Empty: the working directory of the run.",
        {"type": "string", "examples": ["/srv/reports"]},
    ),
    "governor": shared.GOVERNOR,
    "model": shared.MODEL,
    "max_usd": shared.MAX_USD,
    "schema": Shown(
        "Schema",
        "A JSON schema that each answer must have:"
        ' `{"type": "object", "properties": {"team": {"type": "string"}}, "required": ["team"]}`.'
        " Empty: an answer is text.",
        {
            "type": "object",
            "examples": [
                {
                    "type": "object",
                    "properties": {"team": {"type": "string"}},
                    "required": ["team"],
                }
            ],
        },
    ),
    "max_concurrent": shared.MAX_CONCURRENT,
    "requests_per_minute": shared.REQUESTS_PER_MINUTE,
    "tokens_per_minute": shared.TOKENS_PER_MINUTE,
    "max_output_tokens": Shown(
        "Max output tokens",
        "The most that one answer may have. Empty: 1,024, or as the Model block says.",
        shared.COUNT,
    ),
    "min_success": shared.MIN_SUCCESS,
    "ask_above_usd": Shown(
        "Ask above USD",
        "Wait for a person to start it, up to a day, where it may well cost more. Empty: never.",
        shared.USD,
    ),
    "tools": Shown(
        "Tools",
        "What each sub-agent may call: python, shell, read, search, web, or a function as"
        " package.module:name. With those on files a folder is one item.",
        {**shared.NAMES, "examples": [["python", "read"], ["web"]]},
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
    "items_per_task": Shown(
        "Items per task",
        "How many items share a task run. Empty, or auto: one each up to 200 items, then more and"
        " more.",
        shared.COUNT_OR_AUTO,
        empty=True,
    ),
    "processes": shared.PROCESSES,
    "shards": shared.SHARDS,
    "deployment": shared.DEPLOYMENT,
    "reading": Shown(
        "Reading",
        "How files are read, any of:"
        ' `{"encoding": "cp1252", "delimiter": ";", "text_column": "body", "key_column": "id",'
        ' "as": "rows", "gitignore": false, "skip_bad_rows": true}`.',
        {"type": "object", "examples": [{"encoding": "cp1252", "text_column": "body"}]},
    ),
    "items": Shown(
        "Items",
        'Texts in place of sources, `["first text", "second text"]`, or with their keys:'
        ' `[{"key": "one", "text": "…"}]`.',
        {"type": "array", "examples": [["first text", "second text"]]},
    ),
    "part_of": shared.PART_OF,
}
