"""A team's budget, governor and nightly fan-out, as code.

    python deployments/team.py

Running it again updates what is there. A process worker on the pool "governed" runs the deployment.
"""

from pathlib import Path

from prefect import Flow

from prefect_governor import Budget, Governor, Limit, fan_out

ROOT = Path(__file__).parents[1]


def save_governor() -> None:
    """Five dollars a day for the team, shared by all flows that load "llm-team"."""
    Budget(max_usd=5, window="day", time_zone="UTC").save("llm-team", overwrite=True)
    Governor(
        budget=Budget(parent="llm-team"),
        limits=[
            Limit(tag="llm", max_concurrent=40, requests_per_minute=500),
            Limit(model="*gpt-4o", tokens_per_minute=200_000),
        ],
    ).save("llm-team", overwrite=True)


def deploy() -> None:
    """The fan-out over this project's docs, every night, under that governor."""
    flow: Flow[..., object] = fan_out
    flow.from_source(source=str(ROOT), entrypoint="flows/fan_out_flow.py:fan_out").deploy(
        name="nightly-docs",
        work_pool_name="governed",
        cron="0 3 * * *",
        parameters={
            "sources": ["docs", "README.md"],
            "folder": str(ROOT),
            "ask": "What is out of date here?",
            "governor": "llm-team",
        },
    )


if __name__ == "__main__":
    save_governor()
    deploy()
