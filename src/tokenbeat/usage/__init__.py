"""What one call used, who made it and in which run: values only, no I/O, no OpenTelemetry."""
