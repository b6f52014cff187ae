"""`prefect-governor doctor`: what is installed, reachable and configured, and what to do next.

Spends and starts nothing. LiteLLM is not imported: it would cost seconds.
"""

from prefect_governor.flows.doctor.examine import examine
from prefect_governor.flows.doctor.finding import Finding

__all__ = ["Finding", "examine"]
