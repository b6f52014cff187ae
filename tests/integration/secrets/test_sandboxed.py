"""A program in a sandbox gets at no key of the process that runs it."""

import json

import pytest

from prefect_governor.blocks.sandbox import Sandbox

KEY = "Sb9-5c0ffee1d2"
PROGRAM = f"""
import json, os, sys
print(json.dumps({{"environment": dict(os.environ), "words": sys.argv, "code": {KEY!r}}}))
"""


@pytest.mark.usefixtures("sandboxes")
async def test_program_finds_no_key_in_environment_words_or_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ACME_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}-2")
    sandbox = Sandbox(seconds=20)
    result = await sandbox.run(
        ["python3", "-", f"--key={KEY}"],
        stdin=PROGRAM.encode(),
        environment={"ACME_API_KEY": KEY, "PLAIN": "as it is"},
    )
    assert result.exit == 0, result
    found = json.loads(result.stdout)
    assert found["environment"]["ACME_API_KEY"] == found["code"] == "[redacted]"
    assert found["environment"]["PLAIN"] == "as it is"
    assert found["words"][1] == "--key=[redacted]"
    assert KEY not in result.stdout
    # Of ours it has no other.
    assert not {*found["environment"]} & {"OPENAI_API_KEY", "PREFECT_HOME", "USER"}
