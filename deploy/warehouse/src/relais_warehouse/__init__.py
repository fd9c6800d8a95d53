"""From topics to tables, on one machine: a sink into Iceberg, dbt's models over it in DuckDB, a report."""
