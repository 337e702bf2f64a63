"""Between NetSuite's vocabulary and the canonical one; open the module of a record for its rules.

All functions here are pure. A mapping has a name and a version that is stored with every attempt, such as
`netsuite.sales_order@1`. When what a mapping writes changes, the new function gets the next version and the old one
stays in its table for replays that pin it.
"""
