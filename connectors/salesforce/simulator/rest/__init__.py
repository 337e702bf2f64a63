"""The REST API under /services/data/vXX.0: open this folder to change what one resource answers.

`calls.py` is a request and an answer without HTTP around them (composite runs calls inside calls), `dispatch.py` says
which resource a path means, and each other module is one family of resources.
"""
