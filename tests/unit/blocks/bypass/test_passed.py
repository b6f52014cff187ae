"""What is said of calls that passed uncounted."""

import logging
import uuid

import pytest

from prefect_governor.blocks.bypass.passed import note_passed, passed_notes
from prefect_governor.blocks.context.scope import Scope, scope
from tests.unit.fakes import FakeGoverning


def test_a_key_in_the_path_of_what_passed_is_in_no_log_and_in_no_report(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    key, run = f"planted-{uuid.uuid4().hex}", uuid.uuid4().hex
    monkeypatch.setenv("GATEWAY_API_KEY", key)
    with scope(Scope(governor=FakeGoverning(), run_id=run)), caplog.at_level(logging.WARNING):
        note_passed(f"gateway.test/{key}/v1/responses", f"nobody bounds /{key}/v1/responses")
    said = [*passed_notes(run), *(record.getMessage() for record in caplog.records)]
    assert len(said) == 2 and all("gateway.test" in line for line in said)
    assert not any(key in line for line in said)
