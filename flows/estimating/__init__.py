"""What goes into an estimate: the calls that are planned, what past ones were like, the pace."""
