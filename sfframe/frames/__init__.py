"""Dataframes: any frame in, every failing cell, every answer joined to its row. Never HTTP."""
