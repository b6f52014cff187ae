"""A research run: a plan, its sub-agents, the lead that may change it, and the synthesis."""
