"""Text out of bytes: by what they declare, as UTF-8, by a guess that is said.

May import: blocks.
Begin with: decoding.py.
"""

from prefect_governor.flows.items.encodings.binary import is_binary
from prefect_governor.flows.items.encodings.decoding import Decoded, decoded

__all__ = ["Decoded", "decoded", "is_binary"]
