"""Counts every token an agent system spends: once, by model and by caller."""
