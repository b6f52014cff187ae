"""What sends where no governor sees it is named, with what to do instead."""

from pathlib import Path

import pytest

from prefect_governor.flows.cli.doctor.unseen import unseen


def test_a_package_that_sends_by_grpc_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "google_cloud_aiplatform-1.2.3.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Name: google-cloud-aiplatform\nVersion: 1.2.3\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = [each for each in unseen() if "aiplatform" in each.about]
    assert [each.mark for each in found] == ["warn"]
    assert "1.2.3 calls Vertex AI by gRPC" in found[0].text
    assert found[0].todo is not None and "rest" in found[0].todo


def test_a_command_that_calls_models_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = tmp_path / "codex"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    (found,) = [each for each in unseen() if each.mark == "ok"]
    assert found.about == "codex"
    assert found.todo is not None and "reserve" in found.todo
