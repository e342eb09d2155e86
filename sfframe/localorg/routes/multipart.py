"""Bodies of several parts, as forms with files have them: the parts by their names."""

from __future__ import annotations

import email
import email.policy


def parts(content_type: str, body: bytes) -> dict[str, tuple[str, bytes]]:
    """Content type and content of every part; line ends of the framing may be LF too (bulk2.md 2.3)."""
    boundary = email.message_from_string(f"Content-Type: {content_type}\n\n", policy=email.policy.HTTP).get_boundary()
    pieces = body.split(f"--{boundary}".encode())[1:-1] if boundary else []
    found: dict[str, tuple[str, bytes]] = {}
    for framed in pieces:
        # One line end belongs to the boundary before and one to the boundary behind.
        piece = framed.removeprefix(b"\r").removeprefix(b"\n").removesuffix(b"\n").removesuffix(b"\r")
        crlf, lf = piece.find(b"\r\n\r\n"), piece.find(b"\n\n")
        at, gap = (crlf, 4) if crlf >= 0 and (lf < 0 or crlf < lf) else (lf, 2)
        head = email.message_from_bytes(piece[: max(at, 0)], policy=email.policy.HTTP)
        name = head.get_param("name", header="content-disposition")
        found[str(name)] = (head.get_content_type(), piece[at + gap :] if at >= 0 else b"")
    return found
