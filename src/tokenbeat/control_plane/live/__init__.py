"""The fleet's report as a stream: whoever watches is told as soon as a beat changed it."""
