"""The block types, imported: what the `prefect.collections` entry point names.

Prefect imports the entry point's module before it looks a block type up, and when its server
starts; only classes that exist by then are known. The names of `prefect_governor.blocks` are lazy,
so naming the package there would register none of them.
"""

from prefect_governor.blocks.budget import Budget
from prefect_governor.blocks.governor import Governor
from prefect_governor.blocks.model import Model
from prefect_governor.blocks.sandbox import Sandbox

__all__ = ["Budget", "Governor", "Model", "Sandbox"]
