"""The books: each call is entered here once; everything that is shown is a view of them.

What belongs here: reports and how they become entries, cells, runs, cuts, snapshots, the journal
and its replay. What never does: OpenTelemetry, a framework's or a provider's name, the network.
"""
