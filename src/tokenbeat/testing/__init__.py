"""For our users and us: a model server with scripted usage, and fixtures."""
