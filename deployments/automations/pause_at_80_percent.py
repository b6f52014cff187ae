"""An Automation that pauses a deployment when a budget is spent to 80%.

    python deployments/automations/pause_at_80_percent.py BUDGET FLOW/DEPLOYMENT

BUDGET is the name of a saved Governor Budget block, or of a Governor that has a budget of its own.
Running it again replaces the Automation of that name.
"""

import sys

from prefect.automations import Automation
from prefect.client.orchestration import get_client
from prefect.events.actions import PauseDeployment
from prefect.events.schemas.automations import EventTrigger, Posture

from prefect_governor.blocks.documents.documents import accounts_of, root_of

SHARE = "80"


def automation_for(budget: str, deployment: str) -> Automation:
    """The Automation, not saved yet. `deployment` is "flow/deployment"."""
    _, accounts = accounts_of(budget)
    with get_client(sync_client=True) as client:
        found = client.read_deployment_by_name(deployment)
    return Automation(
        name=f"pause {deployment} at {SHARE}% of {budget}",
        description=f"Pauses the deployment when {SHARE}% of the ceiling is spent.",
        trigger=EventTrigger(
            expect={"prefect-governor.budget.share-spent"},
            match={
                "prefect.resource.id": f"prefect.block-document.{root_of(accounts[0].key)}",
                "prefect-governor.budget.share": SHARE,
            },
            posture=Posture.Reactive,
            threshold=1,
        ),
        actions=[PauseDeployment(source="selected", deployment_id=found.id)],
    )


def save(automation: Automation) -> None:
    """Create it, in place of one of its name."""
    with get_client(sync_client=True) as client:
        for old in client.read_automations_by_name(automation.name):
            client.delete_automation(old.id)
    automation.create()


if __name__ == "__main__":
    _, name, paused = sys.argv
    save(automation_for(name, paused))
