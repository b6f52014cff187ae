"""AWS's event streams (`application/vnd.amazon.eventstream`), split without losing or changing a
byte. The reading is botocore's, which proves each message's checksums.

The format: docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from prefect_governor.blocks.errors import ConfigurationError

MEDIA_TYPE = "application/vnd.amazon.eventstream"
BOTOCORE = "botocore"
INSTALL = "install it with: pip install 'prefect-governor[bedrock]'"


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its bytes as they came, what it is by its headers, its payload.

    `kind` is the event's type, "" for what is no event: an exception that ends the stream.
    """

    raw: bytes
    kind: str
    payload: bytes


def check_installed() -> None:
    """Raises ConfigurationError where the package that reads these streams is missing."""
    if find_spec(BOTOCORE) is None:
        raise ConfigurationError(
            f"a stream of Amazon Bedrock's cannot be read without botocore: {INSTALL}"
        )


class MessageSplitter:
    """Splits bytes that arrive in any pieces into messages.

    `broken` once a checksum did not hold: of what comes after it nothing is read.
    """

    def __init__(self) -> None:
        """Raises ConfigurationError where botocore is missing."""
        check_installed()
        from botocore.eventstream import EventStreamBuffer

        self._buffer: Any = EventStreamBuffer()
        self._raw = b""
        self.broken = False

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that these bytes complete."""
        from botocore.eventstream import ParserError

        self._raw += data
        if self.broken:
            return
        self._buffer.add_data(data)
        try:
            for each in self._buffer:
                size = each.prelude.total_length
                raw, self._raw = self._raw[:size], self._raw[size:]
                headers = each.headers
                event = headers.get(":message-type") == "event"
                yield Message(raw, str(headers.get(":event-type")) if event else "", each.payload)
        except (ParserError, KeyError, ValueError, struct.error):
            self.broken = True

    def rest(self) -> bytes:
        """What was fed and belongs to no whole message; it is given once."""
        rest, self._raw = self._raw, b""
        return rest
