"""Salesforce: open this folder to change what ordermesh reads from, or writes to, a Salesforce org."""
