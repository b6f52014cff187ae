"""The store that processes share, and the one decision that every call passes."""
