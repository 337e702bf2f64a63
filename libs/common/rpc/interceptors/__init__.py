"""What happens to every call, one behaviour a file; `libs/common/rpc/door.py` puts them in order."""
