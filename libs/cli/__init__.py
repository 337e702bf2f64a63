"""The `ordermesh` command: the whole mesh on one machine.

Start at `__main__.py` for the commands, `mesh.py` for the mesh.
"""
