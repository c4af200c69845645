"""Where calls come from: one folder for each framework or client library.

What belongs here: hooks into libraries, and reading what they say. What never does: deciding
whether a call counts (that is the ledger's), and a library's name in another folder.
"""
