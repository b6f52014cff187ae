"""Names: what a name in a workspace may be, and what the folder of an item is called. Pure.

A name is relative, with slashes. What leads out of the folder is refused, and what another system
or a person would take for another name.
"""

import hashlib
import re
import unicodedata
from dataclasses import dataclass

# Of one part, what filesystems take (ext4, XFS and APFS have 255); of the whole, what is far below
# the 4,096 of Linux's PATH_MAX wherever the workspace stands.
MOST_PART_BYTES = 255
MOST_NAME_BYTES = 1_024
# Begins what is being written and has no name yet.
PARTIAL = ".partial-"

# Keys that are names of folders as they stand.
_PLAIN = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}[a-z0-9_-]|[a-z0-9]")
_UNSAFE = re.compile(r"[^a-z0-9_.-]+")
_LONGEST_SLUG = 48
# Turn text around, so that a name is read as another one.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Control characters, half characters, separators of lines and paragraphs.
_CONTROL = frozenset(["Cc", "Cs", "Zl", "Zp"])
_SHOWN = 200


class NameRefused(ValueError):
    """A name that a workspace does not take. The message names it and says why."""

    def __init__(self, name: str, reason: str) -> None:
        self.refused = Refused(shown(name), reason)
        super().__init__(str(self.refused))


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that is not taken into a workspace, or out of one.

    Attributes:
        name: as a person can read it: control characters escaped, cut where it is long.
        reason: why, as "a symbolic link".
    """

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


def shown(name: str) -> str:
    """A hostile name on one line: what is no letter, mark, number or sign is escaped."""
    cut = name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…"
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in cut)


def parts_of(name: str, *, max_depth: int) -> tuple[str, ...]:
    """The parts of a relative name; none for the folder itself.

    Raises NameRefused for an absolute name, for `..`, for what is too long or too deep, and for
    characters that no name should have.
    """
    if name.startswith("/"):
        raise NameRefused(name, "an absolute name")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise NameRefused(name, "it leads out of the workspace")
    if _size(name) > MOST_NAME_BYTES or any(_size(part) > MOST_PART_BYTES for part in parts):
        raise NameRefused(
            name, f"longer than {MOST_NAME_BYTES:,} bytes, or a part than {MOST_PART_BYTES}"
        )
    if any(unicodedata.category(each) in _CONTROL for each in name):
        raise NameRefused(name, "a control character, or bytes that are no UTF-8")
    if any(each in _TURNING or each == "\\" for each in name):
        raise NameRefused(name, "a character that other systems read as something else")
    if any(part.startswith(PARTIAL) for part in parts):
        raise NameRefused(name, f"{PARTIAL} begins what is not yet written whole")
    if len(parts) > max_depth:
        raise NameRefused(name, too_deep(max_depth))
    return parts


def too_deep(max_depth: int) -> str:
    """Why a name is refused that has more parts."""
    return f"deeper than {max_depth} folders"


def _size(name: str) -> int:
    return len(name.encode("utf-8", "surrogatepass"))


def folded(part: str) -> str:
    """What filesystems that ignore case take a name for (APFS, NTFS, ext4 with casefold): without
    case, composition, and characters that are not seen. Two names of one folder must differ in
    this."""
    plain = unicodedata.normalize("NFD", unicodedata.normalize("NFD", part).casefold())
    return "".join(each for each in plain if not _unseen(each))


def _unseen(character: str) -> bool:
    code = ord(character)
    return (
        unicodedata.category(character) == "Cf"
        or 0xFE00 <= code <= 0xFE0F
        or 0xE0100 <= code <= 0xE01EF
    )


def folder_name(*keys: str) -> str:
    """What the folder of an item is called: of ASCII, in lower case, of at most 81 characters, and
    another one for other keys, also where case is ignored. A short plain key is its own folder's
    name; of any other the name has what can be read, and 128 bits of its hash."""
    if len(keys) == 1 and _PLAIN.fullmatch(keys[0]):
        return keys[0]
    told = "\x00".join(f"{len(key)}:{key}" for key in keys)
    digest = hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    readable = _UNSAFE.sub("-", "/".join(keys).casefold()).strip("-.")[-_LONGEST_SLUG:]
    # No plain key has a "~".
    return f"{readable.strip('-.') or 'item'}~{digest}"
