"""Bytes that are broken at random, as disks, mails and programs break them."""

import io
import random
import zipfile


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The bytes with some of them changed, cut, doubled or zeroed; of a zip those of a member."""
    if data.startswith(b"PK\x03\x04") and chance.random() < 0.7:
        try:
            return _with_member(data, chance)
        except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, OSError):
            pass
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        if not found:
            break
        at = chance.randrange(len(found))
        length = min(len(found) - at, chance.choice((1, 4, 40, 400)))
        match chance.randrange(6):
            case 0:
                found[at] = chance.randrange(256)
            case 1:
                del found[at : at + length]
            case 2:
                # What takes time by the square of its length shows here.
                times = (1, 3, 100, 3_000) if length <= 40 else (1, 3, 100)
                found[at:at] = found[at : at + length] * chance.choice(times)
            case 3:
                found[at : at + length] = bytes(length)
            case 4:
                found[at : at + length] = chance.randbytes(length)
            case _:
                del found[at:]
    return bytes(found)


def _with_member(data: bytes, chance: random.Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {each.filename: archive.read(each) for each in archive.infolist()}
    name = chance.choice(sorted(members))
    members[name] = mutated(members[name], chance)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for each, content in members.items():
            archive.writestr(each, content)
    return file.getvalue()
