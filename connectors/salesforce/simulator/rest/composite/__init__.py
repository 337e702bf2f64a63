"""/composite and below, many calls in one.

`requests.py` runs whole calls after one another (composite, batch), `collections.py` many records of one verb,
`tree.py` parents with their children.
"""
