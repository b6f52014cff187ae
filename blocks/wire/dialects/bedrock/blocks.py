"""The blocks of a conversation with Converse: what they add up to, and which have no bound."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import prefect_governor.blocks.wire.dialects.bedrock.rules as rules
from prefect_governor.blocks.errors import NotBounded
from prefect_governor.blocks.wire.dialects.bedrock.requests import claude_of
from prefect_governor.blocks.wire.requests.images import claude_image_tokens
from prefect_governor.blocks.wire.requests.unseen import Unseen


@dataclass
class Blocks:
    """What the blocks of a request add up to: `image_bytes` are no text, `image_tokens` their
    bound, `count` those that the provider may wrap in words of its own."""

    model: str
    unseen: Unseen
    image_bytes: int = 0
    image_tokens: int = 0
    count: int = 0

    def messages(self, fields: Mapping[str, Any]) -> int:
        """Checks every block; returns how many messages there are, the system prompt among
        them. Raises NotBounded, naming what has no bound."""
        messages = fields.get("messages")
        if not isinstance(messages, list) or not all(isinstance(each, dict) for each in messages):
            raise NotBounded("`messages` is not a list of messages, so the call has no bound")
        for message in messages:
            for name in message:
                if name not in ("role", "content"):
                    raise NotBounded(f"`{name}` in a message has no rule here: leave it out")
            self._content(message.get("content"))
        self._content(fields.get("system"))
        return len(messages) + 1

    def _content(self, content: Any) -> None:
        if content is None:
            return
        if not isinstance(content, list) or not all(isinstance(each, dict) for each in content):
            raise NotBounded("a message's `content` is not a list of blocks")
        for block in content:
            self.count += 1
            for name, value in block.items():
                self._block(name, value)

    def _block(self, name: str, value: Any) -> None:
        if name in rules.BYTE_BLOCKS or name in (rules.CACHE_POINT, rules.JSON_BLOCK):
            return
        if name in rules.HOLDERS:
            held = _object(name, value)
            _not_cited(held)
            self._content(held.get("content"))
        elif name == "image":
            self._image(_object(name, value))
        elif name == "document":
            self._document(_object(name, value))
        elif name in rules.UNSEEN_BLOCKS:
            self.unseen.met(f"`{name}`", rules.UNSEEN_BLOCKS[name], "Send what it holds as text")
            self.unseen.audio = True
        else:
            why = rules.REFUSED_BLOCKS.get(name, "blocks of this kind have no rule here")
            raise NotBounded(f"a block {name!r} has no bound: {why}. Send it as text")

    def _image(self, image: Mapping[str, Any]) -> None:
        source = _object("image.source", image.get("source"))
        named = claude_of(self.model) or self.model
        self.image_tokens += self.unseen.image(lambda _: claude_image_tokens(named), None)
        if isinstance(source.get("bytes"), str):
            self.image_bytes += len(source["bytes"])

    def _document(self, document: Mapping[str, Any]) -> None:
        _not_cited(document)
        for name, value in _object("document.source", document.get("source")).items():
            if name in rules.UNSEEN_DOCUMENTS:
                what = f"a document from {name!r}"
                self.unseen.met(what, rules.UNSEEN_DOCUMENTS[name], "Send its text")
            elif name == rules.DOCUMENT_CONTENT:
                self._content(value)
            elif name != rules.DOCUMENT_TEXT:
                raise NotBounded(
                    f"a document from {name!r} has no bound: documents of this source have no rule"
                    " here. Send its text"
                )


def _object(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise NotBounded(f"`{name}` must be an object, so the call has no bound")
    return value


def _not_cited(block: Mapping[str, Any]) -> None:
    cited = block.get("citations")
    if isinstance(cited, dict) and cited.get("enabled"):
        raise NotBounded(
            "`citations` have no bound: the provider adds instructions and marks of unknown length"
        )
