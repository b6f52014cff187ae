"""`prefect-governor doctor`: what is installed, reachable and configured, and what to do next.

Spends nothing, and starts nothing but three lines in a sandbox. Whatever hangs is left after a
time. LiteLLM is not imported: it would cost seconds.

May import: agent, blocks, estimate, run, server.
Begin with: examine.py.
"""

from prefect_governor.flows.cli.doctor.examine import examine
from prefect_governor.flows.cli.doctor.finding import Finding, as_object, worst

__all__ = ["Finding", "as_object", "examine", "worst"]
