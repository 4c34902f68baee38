"""A project with sources, schedules and secrets of every kind, and what each of them needs."""

from __future__ import annotations

SOURCES = """\
version: 1
destination: lake
destinations:
  lake: {type: postgres, credentials: "env:LAKE_URL"}
  other: {type: postgres}
defaults: {schedule: "15 */6 * * *"}
sources:
  - name: shop
    type: dlt_native
    schedule: 0 9 * * MON-FRI
    dlt_native:
      source_module: shop
      source_function: orders
      function_kwargs: {token: "env:shop_token", hint: "env:SHOP_HINT?"}
  - name: issues
    type: github
    github: {owner: acme, repo: shop}
  - name: issues_of_tools
    extends: issues
    destination: other
    schedule: 30 6 1,15 * SUN
    github: {repo: tools, token: "env:GITHUB_TOKEN"}
  - name: off
    type: dlt_native
    enabled: false
    dlt_native: {source_module: shop, source_function: orders, function_kwargs: {token: "env:OFF_TOKEN"}}
"""
SECRETS = """\
[sources.issues]
token = "Q7secretQ7"

[sources.shop]
key = "env:SHOP_KEY"

[destination.other.credentials]
password = "Q7secretQ7"
"""
DOTENV = "SHOP_KEY=Q7secretQ7\nSOURCES__SHOP__PIN=Q7secretQ7\nANYONES=Q7secretQ7\nDANGO_LEASE_SECONDS=60\n"
FILES = {"sources": SOURCES, ".dlt/secrets.toml": SECRETS, ".env": DOTENV, "custom_sources/shop.py": "orders = None\n"}

NEEDED = {
    "shop": ["SOURCES__SHOP__KEY", "shop_token", "SHOP_HINT", "LAKE_URL", "SOURCES__SHOP__PIN", "ANYONES"],
    "issues": ["SOURCES__ISSUES__TOKEN", "LAKE_URL", "ANYONES"],
    "issues_of_tools": ["DESTINATION__OTHER__CREDENTIALS__PASSWORD", "GITHUB_TOKEN", "ANYONES"],
}
"""By source; what `.dlt/secrets.toml` only refers to (SHOP_KEY) is given by itself instead."""
TIMES = {"shop": "0 9 * * 1-5", "issues": "15 */6 * * *", "issues_of_tools": "30 6 1,15 * 0"}

EMBEDDED = """\
version: 1
sources:
  - name: shop
    type: dlt_native
    dlt_native: {source_module: shop, source_function: orders}
"""


def many(count: int) -> str:
    """A project with so many sources, each with a secret of its own."""
    blocks = (
        f"  - {{name: s{nth}, type: dlt_native, schedule: '{nth % 60} {nth % 24} * * *',"
        f" dlt_native: {{source_module: shop, source_function: orders, function_kwargs: {{key: 'env:KEY_{nth}'}}}}}}\n"
        for nth in range(count)
    )
    return "version: 1\ndestination: lake\ndestinations: {lake: {type: postgres}}\nsources:\n" + "".join(blocks)
