"""`ordermesh demo`: a day of orders in a minute, with faults, and the proof from the two ledgers.

command.py     options, exit code, last line
story.py       what happens, in order
goods.py       companies, products and orders, drawn from a seed
vendors.py     the two simulators as their operators see them
submission.py  how a sales system hands orders in: at most 32 at a time, same key on every repeat
watch.py       what the mesh says of the orders meanwhile
proof.py       what the ledgers say in the end
report.py      the table and the JSON line
stage.py       progress, with a terminal and without
"""
