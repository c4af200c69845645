"""What the control plane knows, as JSON: by service, model, caller and more, in all and over time.

``repository`` reads the tables, ``service`` adds up, ``routes`` answers. Every report keeps one
law: its rows and its ``rest`` add up to its totals, ``other`` and ``unattributed`` included.
"""
