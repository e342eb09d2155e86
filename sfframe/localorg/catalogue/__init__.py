"""What the embedded org knows of its objects: definitions, the standard ones, deploys, describes. No rows, no HTTP."""
