"""What comes from outside and is shown in passing: one line, as it is seen. Pure."""

import re

# Line ends, and characters that are not seen or turn what stands around them.
_CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]+"
)


def one_line(text: str, most: int) -> str:
    """`most` characters of it."""
    line = " ".join(_CONTROLS.sub(" ", text[: 4 * most]).split())
    return line if len(line) <= most else f"{line[:most]}…"
