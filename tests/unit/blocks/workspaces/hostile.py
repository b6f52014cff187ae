"""Archives as a program that wants out would make them."""

import tarfile
from collections.abc import Iterator

BLOCK = 512
END = bytes(2 * BLOCK)


def member(
    name: str,
    data: bytes = b"",
    *,
    kind: bytes = tarfile.REGTYPE,
    leads_to: str = "",
    mode: int = 0o644,
    size: int | None = None,
    pax: "dict[str, str] | None" = None,
) -> bytes:
    """One member; `size` is what its header claims, of `data` by default."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, leads_to, mode
    info.size = len(data) if size is None else size
    info.pax_headers = pax or {}
    if pax is None:
        header = info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
    else:
        header = info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
    return header + data + bytes(-len(data) % BLOCK)


def folder(name: str) -> bytes:
    return member(name, kind=tarfile.DIRTYPE, mode=0o755)


def archive(*members: bytes) -> Iterator[bytes]:
    """In chunks that end anywhere."""
    whole = b"".join(members) + END
    for at in range(0, len(whole), 1000):
        yield whole[at : at + 1000]
