"""What drivers are to be called with, and what databases are to be asked, by entry."""

from __future__ import annotations

from typing import Any

from tests.connectors.dialects import SECRET

CONNECTING: dict[str, dict[str, Any]] = {
    "clickhouse": {
        "host": "db.example.com", "port": 8443, "database": "shop", "username": "dango", "password": SECRET,
        "secure": True, "verify": True, "ca_cert": "/ca.pem",
    },
    "cockroachdb": {
        "host": "db.example.com", "port": 26257, "dbname": "shop", "user": "dango", "password": SECRET,
        "sslmode": "verify-full", "sslrootcert": "system", "sslcert": "/crt", "sslkey": "/key",
    },
    "databricks": {
        "server_hostname": "db.example.com", "access_token": SECRET, "http_path": "/sql/1.0/warehouses/x",
        "catalog": "main", "schema": "default",
    },
    "mssql": {
        "host": "db.example.com:1433", "database": "shop", "user": "dango", "password": SECRET,
        "encryption": "require",
    },
    "oracle": {
        "dsn": "tcps://db.example.com:1521/FREE", "user": "dango", "password": SECRET,
        "wallet_location": "/wallet", "wallet_password": SECRET,
    },
    "redshift": {
        "host": "db.example.com", "port": 5439, "dbname": "shop", "user": "dango", "password": SECRET,
        "sslmode": "verify-full",
    },
    "snowflake": {
        "account": "my-org-acme", "host": "my-org-acme.snowflakecomputing.com", "user": "dango", "database": "shop",
        "schema": "public", "warehouse": "LOADING", "role": "READER", "authenticator": "snowflake_jwt",
        "private_key_file": "/key.p8", "private_key_file_pwd": SECRET,
    },
    "trino": {
        "host": "db.example.com", "port": 443, "catalog": "hive", "schema": "shop", "user": "dango",
        "http_scheme": "https", "verify": "/ca.pem",
    },
}  # fmt: skip


SELECTED = {
    "mssql": (
        ["timestamp", "sql_variant"],
        (
            "TOP __[POSTCOMPILE_param_1] CAST(shop.orders.timestamp AS BIGINT) AS timestamp, "
            "CAST(shop.orders.sql_variant AS NVARCHAR(max)) AS sql_variant FROM shop.orders "
            "WHERE shop.orders.timestamp >= CAST(CAST(%(timestamp_1)s AS BIGINT) AS BINARY(8))"
        ),
    ),
    "oracle": (
        ["TIMESTAMP", "INTERVAL DAY TO SECOND"],
        (
            'shop.orders."TIMESTAMP", to_char(shop.orders."INTERVAL DAY TO SECOND") AS "INTERVAL DAY TO SECOND" '
            'FROM shop.orders WHERE shop.orders."TIMESTAMP" >= :TIMESTAMP_1'
        ),
    ),
    "snowflake": (
        ["TIMESTAMP_LTZ", "VARIANT"],
        (
            'shop.orders."TIMESTAMP_LTZ", to_json(to_variant(shop.orders."VARIANT")) AS "VARIANT" FROM shop.orders '
            'WHERE shop.orders."TIMESTAMP_LTZ" >= %(TIMESTAMP_LTZ_1)s'
        ),
    ),
    "bigquery": (
        ["TIMESTAMP", "STRUCT"],
        (
            "`orders`.`TIMESTAMP`, to_json_string(`orders`.`STRUCT`) AS `STRUCT` FROM `shop`.`orders` "
            "WHERE `orders`.`TIMESTAMP` >= %(TIMESTAMP_1:TIMESTAMP)s"
        ),
    ),
    "redshift": (
        ["timestamptz", "super", "interval"],
        (
            "shop.orders.timestamptz, json_serialize(shop.orders.super) AS super, "
            "CAST(shop.orders.interval AS VARCHAR(65535)) AS interval FROM shop.orders "
            "WHERE shop.orders.timestamptz >= %(timestamptz_1)s"
        ),
    ),
    "clickhouse": (
        ["DateTime", "JSON", "UUID"],
        (
            "`shop`.`orders`.`DateTime`, toJSONString(`shop`.`orders`.`JSON`) AS `JSON`, "
            "toString(`shop`.`orders`.`UUID`) AS `UUID` FROM `shop`.`orders` "
            "WHERE `shop`.`orders`.`DateTime` >= toDateTime64(%(DateTime_1)s, %(toDateTime64_1)s, %(toDateTime64_2)s)"
        ),
    ),
    "cockroachdb": (
        ["timestamptz", "interval"],
        (
            "shop.orders.timestamptz, CAST(shop.orders.interval AS TEXT) AS interval FROM shop.orders "
            "WHERE shop.orders.timestamptz >= %(timestamptz_1)s"
        ),
    ),
    "trino": (
        ["timestamp(6) with time zone", "array(bigint)"],
        (
            'shop.orders."timestamp(6) with time zone", json_format(CAST(shop.orders."array(bigint)" AS JSON)) '
            'AS "array(bigint)" FROM shop.orders WHERE shop.orders."timestamp(6) with time zone" >= ?'
        ),
    ),
    "databricks": (
        ["timestamp", "variant"],
        (
            "shop.orders.timestamp, to_json(shop.orders.variant) AS variant FROM shop.orders "
            "WHERE shop.orders.timestamp >= :`timestamp_1`"
        ),
    ),
}
