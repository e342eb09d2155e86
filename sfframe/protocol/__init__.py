"""One module per Salesforce resource: builds a Call, a request and how to read its answer. No I/O at all."""

from sfframe.protocol.call import Call, Reply, Streamed

__all__ = ["Call", "Reply", "Streamed"]
