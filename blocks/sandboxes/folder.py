"""The host's folder of a sandbox's workspace: what of it a program changed."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, ClassVar

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.sandboxes.bounds import SandboxBounds
from prefect_governor.blocks.sandboxes.reasons import reason
from prefect_governor.blocks.sandboxes.results import SandboxResult
from prefect_governor.blocks.workspaces.bounds import WorkspaceBounds, WorkspaceFull
from prefect_governor.blocks.workspaces.packing import pack
from prefect_governor.blocks.workspaces.unpacking import unpack_into

_CHUNK = 256 * 1024
# To fill a workspace, or to pack it: it is memory that is copied.
PACKING_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Brought:
    """What came back: names of files that are new or changed, in order, and what was refused, as
    "name: why". `full`: whether there was more than the host's folder may hold."""

    files: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    full: bool = False


def with_files(result: SandboxResult, brought: Brought, bounds: SandboxBounds) -> SandboxResult:
    """A program's result with what it left. What did not all fit the host's folder is a workspace
    that was full: files with holes are longer than what they take. Pure."""
    result = replace(result, files=brought.files, refused=brought.refused)
    if not brought.full or result.bound is not None:
        return result
    return replace(result, bound="workspace", reason=reason("workspace", bounds))


class SandboxWorkspaceBounds(WorkspaceBounds):
    """Those of a workspace that programs of a Sandbox work on, which says them."""

    said: ClassVar[tuple[str, str]] = ("Sandbox.workspace_mib", "Sandbox.workspace_files")


def workspace_bounds(bounds: SandboxBounds) -> WorkspaceBounds:
    """What the folder may hold of a sandbox with these bounds."""
    return SandboxWorkspaceBounds(max_mib=bounds.workspace_mib, max_files=bounds.workspace_files)


def taken_along(folder: Path, bounds: SandboxBounds) -> Iterator[bytes]:
    """The host's folder as a tar archive, within the rules of workspaces. Raises, as it is read,
    ConfigurationError where there is more than a workspace holds, OSError."""
    try:
        yield from pack(folder, workspace_bounds(bounds))
    except WorkspaceFull:
        raise does_not_fit(folder, bounds) from None


def does_not_fit(folder: Path, bounds: SandboxBounds) -> ConfigurationError:
    """What is said of a folder that is more than a workspace holds."""
    return ConfigurationError(
        f"{folder} does not fit the sandbox's workspace of {bounds.workspace_mib:,} MiB and"
        f" {bounds.workspace_files:,} files: take less of it, or give the Sandbox more"
        " (workspace_mib, workspace_files)"
    )


def bring_back(
    folder: Path, archive: "IO[bytes] | Iterable[bytes]", bounds: SandboxBounds
) -> Brought:
    """Make the host's folder what a tar archive of the workspace is, within the rules of
    workspaces. Blocks. Raises OSError where the disk is full or the folder is gone."""
    before = _digests(folder)
    unpacked = unpack_into(folder, archive, workspace_bounds(bounds), exact=True)
    after = _digests(folder)
    changed = sorted(name for name, digest in after.items() if before.get(name) != digest)
    return Brought(tuple(changed), tuple(map(str, unpacked.refused)), unpacked.too_long)


def _digests(folder: Path) -> dict[str, bytes]:
    """Of each file. The folder is the host's own: what is in it was written by the rules."""
    found = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            if path.is_symlink() or not path.is_file():
                continue
            digest = hashlib.sha256()
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
            found[path.relative_to(folder).as_posix()] = digest.digest()
    return found
