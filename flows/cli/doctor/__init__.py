"""`prefect-governor doctor`: what is installed, reachable and configured, and what to do next.

Spends nothing, and starts nothing but three lines in a sandbox. LiteLLM is not imported: it would
cost seconds.

May import: blocks, server.
Begin with: examine.py.
"""

from prefect_governor.flows.cli.doctor.examine import examine
from prefect_governor.flows.cli.doctor.finding import Finding

__all__ = ["Finding", "examine"]
