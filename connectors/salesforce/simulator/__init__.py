"""A laptop-sized Salesforce org: open it to change what the stand-in org accepts, refuses or answers.

Speaks Salesforce's REST and login wire formats well enough for simple-salesforce and jsforce to work unmodified.
Start at `app.py` (which URL goes where), `catalog/` (which objects and fields exist), `org.py` (how records change)
and `rules.py` (what the org refuses).
"""
