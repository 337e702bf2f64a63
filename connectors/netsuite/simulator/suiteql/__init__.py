"""SuiteQL over the simulated account: a small part of the language, done for real.

    syntax.py   the tree a query becomes
    parser.py   text → tree; refuses what it does not understand
    tables.py   the tables and their columns, each a function of a stored document
    engine.py   tree + tables → rows
    service.py  `POST /services/rest/query/v1/suiteql`

Understood: `SELECT columns FROM table [alias] {[INNER|LEFT] JOIN table [alias] ON …} [WHERE …] [ORDER BY …]` with
`= != <> < <= > >= IN BETWEEN LIKE IS [NOT] NULL AND OR NOT`, `?`, `COUNT(*)` without grouping, and the functions
`TO_CHAR TO_DATE TO_TIMESTAMP NVL GREATEST ABS UPPER LOWER BUILTIN.DF` and `SYSDATE`. All else is refused with 400.
"""
