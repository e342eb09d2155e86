"""Conversations with the org that last: bytes, files and job ids, never a dataframe."""
