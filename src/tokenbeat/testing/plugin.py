"""Fixtures for suites that test what their agents spend."""
