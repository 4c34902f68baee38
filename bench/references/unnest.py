"""Nested documents into a parent and a child table, by DuckDB alone: `unnest.py WAREHOUSE FILE`."""

import sys

import duckdb

warehouse, file = sys.argv[1:]
with duckdb.connect(warehouse) as database:
    database.execute(f"CREATE TEMP TABLE read AS SELECT * FROM read_json('{file}')")
    database.execute("""
        CREATE TABLE documents AS
        SELECT id, title, created, customer.name AS customer__name, customer.city AS customer__city,
               customer.tier AS customer__tier, customer.score AS customer__score
        FROM read""")
    database.execute("""
        CREATE TABLE items AS
        SELECT doc, idx, item.sku AS sku, item.quantity AS quantity, item.price AS price, item.gift AS gift
        FROM (SELECT id AS doc, generate_subscripts(items, 1) - 1 AS idx, unnest(items) AS item FROM read)""")
