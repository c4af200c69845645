"""The demo: a research agent, counted at five doors that must agree."""
