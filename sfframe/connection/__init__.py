"""The only place that knows httpx, sockets, tokens and logins."""
