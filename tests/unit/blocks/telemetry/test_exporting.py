"""What the environment says of a collector is no reason that a run fails."""

import pytest

from prefect_governor.blocks.telemetry import exporting


def test_a_variable_that_the_sdk_does_not_bear_costs_nobody_a_run(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(exporting.ENDPOINT, "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "-1")
    exporting.send_there()
    assert "raised ValueError; look at the variables that begin with OTEL_" in caplog.text
