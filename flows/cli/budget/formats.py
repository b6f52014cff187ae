"""A budget's figures for programs: JSON and CSV. Pure."""

import csv
import io
import json
import re
from decimal import Decimal
from typing import Any
from uuid import uuid4

from prefect_governor.blocks.ledger.decision.store import Spend
from prefect_governor.blocks.money.usd import to_usd
from prefect_governor.blocks.records.budgets import AccountState
from prefect_governor.blocks.records.calls import CallRecord
from prefect_governor.blocks.records.notices import Audit
from prefect_governor.flows.cli.budget.names import Names
from prefect_governor.flows.cli.budget.text import MONEY
from prefect_governor.flows.cli.budget.view import (
    AllocationView,
    BudgetView,
    View,
    left_nano,
    left_tokens,
    of_wall,
)

_NAMELESS = Names()


def as_object(view: View) -> dict[str, Any]:
    """A view as one JSON object: the leaf's figures at its top, those above it in `parents`."""
    leaf, *parents = (_budget(budget, view.names) for budget in view.chain)
    found: dict[str, Any] = {
        **leaf,
        "name": view.name,
        "parents": parents,
        "waiting": [
            {"for": each.what, "seconds": each.seconds, "calls": each.calls}
            for each in view.waiting
        ],
        "slots": [
            {"of": list(each.what)} | call_object(each.call, view.names) for each in view.holders
        ],
        "not_measured": [
            {"model": each.model or None, "path": each.path, "calls": each.calls, "why": each.why}
            for each in view.not_measured
        ],
    }
    if view.by is not None:
        found["since"] = None if view.since is None else view.since.isoformat()
        found["by"] = view.by
        found["spent_by"] = [
            {"name": name, "title": view.names.deployments.get(name)} | _spend(spend)
            for name, spend in view.spends
        ]
    if view.audit is not None:
        found["audit"] = [_audit(row) for row in view.audit]
    return found


def as_csv(view: View) -> str:
    """The audit, else the breakdown, a row each; without either, the budgets up the chain."""
    rows: list[list[Any]]
    if view.audit is not None:
        rows = [["when", "by", "action", "subject", "before", "after", "reason", "evidence"]]
        rows += [list(_audit(row).values()) for row in view.audit]
    elif view.by is not None:
        money = [f"{name}_usd" for name in MONEY[:3]]
        titled = ["deployment_name"] if view.by == "deployment" else []
        rows = [[view.by, "calls", *money, "input_tokens", "output_tokens", *titled]]
        for name, spend in view.spends:
            amounts = [_exact(getattr(spend, f"{kind}_nano")) for kind in MONEY[:3]]
            title = [view.names.deployments.get(name, "")] if titled else []
            tokens = [spend.input_tokens, spend.output_tokens]
            rows.append([name, spend.calls, *amounts, *tokens, *title])
    else:
        rows = [["budget", "window", "ceiling_usd", *(f"{name}_usd" for name in MONEY)]]
        for budget in view.chain:
            state = budget.state
            ceiling = "" if state.ceiling_nano is None else _exact(state.ceiling_nano)
            amounts = [_exact(getattr(state, f"{kind}_nano")) for kind in MONEY]
            rows.append([state.name, state.window, ceiling, *amounts])
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    return file.getvalue().rstrip("\n")


def call_object(call: CallRecord, names: Names = _NAMELESS) -> dict[str, Any]:
    """A call that holds money: which, whose, since when, for whom, at most how much, why."""
    known = call.attribution
    return {
        "call_id": call.call_id,
        "request_id": call.request_id,
        "state": call.state,
        "since": of_wall(call.created_wall).isoformat(),
        "bound_usd": usd(call.bound.nano),
        "bound_tokens": call.bound.tokens,
        "reason": call.reason,
        "owner": call.owner,
        "pid": call.pid,
        "model": known.model,
        "flow": known.flow,
        "deployment": known.deployment,
        "deployment_name": names.deployments.get(known.deployment or ""),
        "flow_run_id": known.flow_run_id,
        "flow_run_name": names.runs.get(known.flow_run_id or ""),
        "task": known.task,
        "task_run_id": known.task_run_id,
        "item": known.item,
        "label": known.label,
        "user": known.user,
        "tags": list(known.tags),
    }


def state_object(state: AccountState) -> dict[str, Any]:
    """A budget's figures, money as JSON numbers in USD."""
    nano = left_nano(state)
    return {
        "ceiling_usd": None if state.ceiling_nano is None else usd(state.ceiling_nano),
        **{f"{name}_usd": usd(getattr(state, f"{name}_nano")) for name in MONEY},
        "left_usd": None if nano is None else usd(nano),
        "tokens": {
            "ceiling": state.ceiling_tokens,
            **{name: getattr(state, f"{name}_tokens") for name in MONEY},
            "left": left_tokens(state),
        },
    }


def usd(nano: int) -> Decimal:
    """Nano-dollars in USD, for `exact_json`."""
    return to_usd(nano)


def exact_json(value: Any) -> str:
    """A value as one line of JSON, in which a Decimal is a number with all of its digits."""
    # No text of the value holds what nobody knew before.
    mark = uuid4().hex

    def marked(each: Any) -> str:
        if not isinstance(each, Decimal):
            raise TypeError(f"{each!r} is no value of JSON")
        text = f"{each.normalize():f}"
        return f"{mark}{text if '.' in text else f'{text}.0'}"

    text = json.dumps(value, ensure_ascii=False, default=marked)
    return re.sub(rf'"{mark}([-\d.]+)"', r"\1", text)


def _budget(budget: BudgetView, names: Names) -> dict[str, Any]:
    return {
        "name": budget.state.name,
        "window": budget.window,
        "window_label": budget.state.window or None,
        **state_object(budget.state),
        "reserved_calls": [call_object(call, names) for call in budget.reserved],
        "unconfirmed_calls": [call_object(call, names) for call in budget.unconfirmed],
        "allocations": [_allocation(each) for each in budget.allocations],
    }


def _allocation(each: AllocationView) -> dict[str, Any]:
    purse = each.purse
    state = AccountState(
        purse.account,
        each.allocation.label,
        purse.label,
        each.account.ceiling_nano,
        each.account.ceiling_tokens,
        purse.spent_nano,
        purse.unconfirmed_nano,
        purse.reserved_nano,
        purse.spent_tokens,
        purse.unconfirmed_tokens,
        purse.reserved_tokens,
    )
    return {
        "label": each.allocation.label,
        "group": each.allocation.group,
        "elastic": each.allocation.elastic,
        "owner": each.allocation.owner,
        **state_object(state),
    }


def _spend(spend: Spend) -> dict[str, Any]:
    return {
        "calls": spend.calls,
        "spent_usd": usd(spend.spent_nano),
        "unconfirmed_usd": usd(spend.unconfirmed_nano),
        "reserved_usd": usd(spend.reserved_nano),
        "tokens": {"input": spend.input_tokens, "output": spend.output_tokens},
    }


def _audit(row: Audit) -> dict[str, Any]:
    return {
        "when": of_wall(row.wall).isoformat(),
        "by": row.by,
        "action": row.action,
        "subject": row.subject,
        "before": row.before,
        "after": row.after,
        "reason": row.reason,
        "evidence": row.evidence,
    }


def _exact(nano: int) -> str:
    return f"{to_usd(nano):f}"
