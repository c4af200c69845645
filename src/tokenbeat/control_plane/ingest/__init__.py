"""Heartbeats in: checked, taken by maximum, booked into minutes, acknowledged after the commit."""
