"""Where the rows of the embedded org lie: one DuckDB database, its tables, counters, ids and settings."""
