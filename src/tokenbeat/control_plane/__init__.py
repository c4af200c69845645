"""The control plane: takes heartbeats, keeps them exactly, and tells what a fleet has spent.

The only place of the package that imports FastAPI and SQLAlchemy (extra ``server``).
"""
