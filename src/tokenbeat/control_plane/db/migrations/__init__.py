"""The schema's history. A table never changes but by a new file in ``versions``."""
