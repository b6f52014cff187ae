"""What a workspace may hold. Pure."""

import errno
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from prefect_governor.blocks.errors import ConfigurationError

MIB = 1024 * 1024


class WorkspaceFull(OSError):
    """What is to be written does not fit the workspace's bounds. Nothing of it was written."""

    def __init__(self, message: str) -> None:
        super().__init__(errno.EDQUOT, message)
        self.message = message

    def __str__(self) -> str:
        return self.message


class WorkspaceBounds(BaseModel):
    """The most that one workspace may hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_mib: int = Field(
        default=64, ge=1, le=1_048_576, title="Size (MiB)", description="All its files together."
    )
    max_files: int = Field(
        default=4_096, ge=1, le=10_000_000, title="Files", description="Files and folders together."
    )
    max_depth: int = Field(
        default=32,
        ge=1,
        le=256,
        title="Depth",
        description="Folders in one another, and the file in them.",
    )

    # What a person sets to give it more: bytes, files.
    said: ClassVar[tuple[str, str]] = ("max_mib", "max_files")

    @property
    def max_bytes(self) -> int:
        return self.max_mib * MIB


BOUNDS = WorkspaceBounds()


def checked_bounds(**given: int) -> WorkspaceBounds:
    """Bounds that a person gave. Raises ConfigurationError, with the field and what it may be."""
    try:
        return WorkspaceBounds(**given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ConfigurationError(
            f"{first['loc'][0]} of a workspace: {first['msg']}, not {first['input']!r}"
        ) from None


class Allowance:
    """What may still be written into one workspace."""

    def __init__(self, bounds: WorkspaceBounds, *, size: int = 0, files: int = 0) -> None:
        self.bounds = bounds
        self._size, self._files = size, files

    def take(self, *, size: int = 0, files: int = 0) -> None:
        """So many bytes, files and folders more. Raises WorkspaceFull where they do not fit, and
        takes none of them then."""
        if self._size + size > self.bounds.max_bytes:
            raise WorkspaceFull(
                f"the workspace would hold {(self._size + size) / MIB:,.1f} MiB of at most"
                f" {self.bounds.max_mib:,} MiB: write less, or give it more ({self.bounds.said[0]})"
            )
        if self._files + files > self.bounds.max_files:
            raise WorkspaceFull(
                f"the workspace would hold more than {self.bounds.max_files:,} files and folders:"
                f" write fewer, or give it more ({self.bounds.said[1]})"
            )
        self._size += size
        self._files += files
