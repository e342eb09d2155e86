"""HTTP of the embedded org: reads requests, asks a service, words the answer."""
