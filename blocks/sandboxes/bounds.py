"""What a program in a sandbox may use. Pure."""

from pydantic import BaseModel, ConfigDict, Field

MIB = 1024 * 1024


class SandboxBounds(BaseModel):
    """The most that one sandbox may use; whoever goes beyond ends, and alone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    memory_mib: int = Field(
        default=256, ge=16, le=1_048_576, title="Memory (MiB)", description="Of all its processes."
    )
    cpus: float = Field(
        default=1.0,
        gt=0,
        le=1024,
        title="CPUs",
        description="Cores' worth of time: 0.5 is half a core.",
    )
    processes: int = Field(
        default=64, ge=2, le=32_768, title="Processes", description="Processes and threads at once."
    )
    open_files: int = Field(
        default=256, ge=32, le=1_048_576, title="Open files", description="Of each process."
    )
    workspace_mib: int = Field(
        default=64,
        ge=1,
        le=1_048_576,
        title="Workspace (MiB)",
        description="All that it may write. It counts as memory of the machine.",
    )
    workspace_files: int = Field(
        default=4_096,
        ge=16,
        le=10_000_000,
        title="Workspace (files)",
        description="Files and folders that it may make.",
    )
    output_kib: int = Field(
        default=256,
        ge=1,
        le=1_048_576,
        title="Output (KiB)",
        description="Standard output and standard error together.",
    )
    seconds: float = Field(
        default=60.0, gt=0, le=86_400, title="Seconds", description="Wall time of one program."
    )
