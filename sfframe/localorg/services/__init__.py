"""What the embedded org does: one service per kind of request. They know rows and definitions, but no HTTP."""
