"""The database: engine, tables, migrations and queries. Nothing outside this package knows Piccolo."""
