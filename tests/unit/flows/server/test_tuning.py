"""The background server is set for large runs, and never against what a person has set."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import Settings

from prefect_governor.flows.server.background import BackgroundServer
from prefect_governor.flows.server.tuning import SETTINGS, Setting, dearer, for_ours
from tests import ROOT

NAMES = [each.variable for each in SETTINGS]


def shown(settings: Settings) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(settings.model_dump_json())
    return found


@pytest.mark.parametrize("setting", SETTINGS, ids=NAMES)
def test_a_setting_is_one_of_prefects_and_its_default_is_as_it_says(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under another name it would be set in vain."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)

    def value() -> Any:
        found: Any = shown(Settings())
        for part in setting.place:
            found = found[part]
        return found

    assert value() == setting.usual
    monkeypatch.setenv(setting.variable, setting.text)
    assert value() == setting.value


def test_what_costs_more_is_named_and_what_costs_less_or_is_not_shown_is_not() -> None:
    usual = shown(Settings())
    assert [setting for setting, _ in dearer(usual)] == [each for each in SETTINGS if each.why]
    for setting in SETTINGS:
        usual["server"]["services"][setting.place[2]][setting.place[3]] = 10_000
    assert dearer(usual) == []
    assert dearer({}) == dearer({"server": None}) == []


def test_what_ours_is_set_to_is_documented() -> None:
    page = (ROOT / "docs/reference/environment.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(PREFECT_SERVER_SERVICES_\w+)` \| (\d+) \| (\d+) \|", page, re.M)
    assert rows == [(each.variable, each.text, f"{each.usual:g}") for each in SETTINGS]


def test_what_a_person_has_set_stays() -> None:
    assert set(for_ours({})) == set(NAMES)
    assert set(for_ours({NAMES[0]: "7"})) == set(NAMES[1:])


def test_a_profile_counts_as_set(tmp_path: Path) -> None:
    (tmp_path / "profiles.toml").write_text(f'active = "mine"\n[profiles.mine]\n{NAMES[0]} = "7"\n')
    program = (
        "import json, sys; from pathlib import Path\n"
        "from prefect_governor.flows.server.background import BackgroundServer\n"
        "server = BackgroundServer(Path(sys.argv[1]))\n"
        "print(json.dumps(server._environment(4300)))"
    )
    environment = {name: value for name, value in os.environ.items() if name not in NAMES}
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "governor")],
        env={**environment, "PREFECT_HOME": str(tmp_path), "PREFECT_PROFILE": "mine"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert NAMES[0] not in told
    assert {name: told[name] for name in NAMES[1:]} == {
        each.variable: each.text for each in SETTINGS[1:]
    }
    assert BackgroundServer(tmp_path / "governor").home == tmp_path
