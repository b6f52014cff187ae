"""The same work, done by each of those that are compared, in an environment of its own each."""
