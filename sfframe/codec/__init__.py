"""Bytes and typed columns: what is written to an upload, and how an answer is read. No HTTP, no clock."""
