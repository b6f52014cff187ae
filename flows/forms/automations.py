"""The forms of what Automations run: deployments held back, a person asked."""

from collections.abc import Mapping

from prefect_governor.flows.forms import shared
from prefect_governor.flows.forms.shape import Shown

_BUDGET = Shown(
    "Budget",
    "Name of a saved Budget block, or of a Governor with a budget of its own.",
    {"type": "string", "minLength": 1, "examples": ["llm-team"]},
)

HOLD: Mapping[str, Shown] = {
    "budget": _BUDGET,
    "deployments": Shown(
        "Deployments",
        "Which are paused, each as flow/deployment.",
        {**shared.NAMES, "examples": [["nightly/summaries"]]},
    ),
    "at": Shown(
        "At percent",
        "They are paused while so many percent of the budget are spent or unconfirmed.",
        {"type": "integer", "minimum": 1, "maximum": 100},
    ),
}

ASK: Mapping[str, Shown] = {
    "budget": _BUDGET,
    "at_most_usd": Shown(
        "At most USD",
        "The highest ceiling that an answer may set, such as 20.00. Empty: any.",
        {"type": "string", "examples": ["20.00"]},
    ),
}
