"""What records go through between a source and its destination: the built-ins, users' functions, and their chain.

It works on pages: lists of records, or Arrow tables. dlt and the project's configuration are not known here.
"""
