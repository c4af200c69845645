"""The page at ``/``: the fleet's spending, live. Plain files, served from the package."""
