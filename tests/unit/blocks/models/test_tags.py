"""Tags of a call are the governor's, whichever of its doors it comes by."""

from typing import Any

import pytest

from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.models.completion import acompletion, completion
from prefect_governor.blocks.models.library.module import litellm
from tests.unit.blocks.models.network import ADDRESS, Network, quiet
from tests.unit.fakes import FakeGoverning, chat_reply

pytestmark = quiet
CALL: dict[str, Any] = {
    "model": "openai/some-model",
    "messages": [{"role": "user", "content": "What is it?"}],
    "max_tokens": 20,
    **ADDRESS,
}


async def test_tags_are_the_governors_and_not_sent_to_litellm(
    network: Network, governing: FakeGoverning, monkeypatch: pytest.MonkeyPatch
) -> None:
    network.answer(chat_reply())
    given: list[tuple[str, ...]] = []
    limits = FakeGoverning.limits

    def asked(self: FakeGoverning, **more: Any) -> Any:
        given.append(more["tags"])
        return limits(self, **more)

    monkeypatch.setattr(FakeGoverning, "limits", asked)
    library = litellm()
    taken: list[dict[str, Any]] = []
    real = library.acompletion

    async def seen(**arguments: Any) -> Any:
        taken.append(arguments)
        return await real(**arguments)

    monkeypatch.setattr(library, "acompletion", seen)
    with scope(Scope(governing, tags=("here",))):
        await acompletion(**CALL, tags=("bulk",))
        completion(**CALL, tags=("bulk",))
    assert {tuple(sorted(each)) for each in given} == {("bulk", "here")}
    assert "tags" not in taken[0]


async def test_one_text_for_tags_is_refused_before_it_becomes_its_letters(
    network: Network, governing: FakeGoverning
) -> None:
    with scope(Scope(governing)), pytest.raises(ConfigurationError, match="one text"):
        await acompletion(**CALL, tags="bulk")
    assert not network.requests
