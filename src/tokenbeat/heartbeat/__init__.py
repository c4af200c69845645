"""Cumulative cells on the wire: message, sender, transport, exporter and reader."""
