"""The embedded org as a server: its application, and uvicorn in a thread of its own."""

from __future__ import annotations

import os
import socket
import struct
import threading

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import Scope

from sfframe.localorg.routes import (
    appearance,
    bulk1,
    bulk_query,
    catalogue,
    composite,
    ingest,
    limits,
    oauth,
    query,
    records,
    searching,
    soap,
    sobject_collections,
    tooling,
)
from sfframe.localorg.routes.decoding import Decoding
from sfframe.localorg.routes.failures import Failures, no_route
from sfframe.localorg.routes.faulty import Faulty
from sfframe.localorg.routes.gate import Gate
from sfframe.localorg.services.services import Services

_HOST = "127.0.0.1"
_LONGEST_HEAD = 1 << 20
_SMALL = 1024  # bytes; packing less than this costs more than it saves


def make_app(services: Services) -> Starlette:
    """The ASGI application over the services; all middleware streams bodies both ways.

    ``state.hang_up`` closes the connection of a request, for the faults that do (faulty.HangUp).
    """
    app = Starlette(
        routes=[
            *oauth.routes,
            *soap.routes,
            *catalogue.routes,
            *limits.routes,
            *query.routes,
            *bulk_query.routes,
            *ingest.routes,
            *bulk1.routes,
            *tooling.routes,
            *searching.routes,
            *appearance.routes,
            *composite.routes,
            *sobject_collections.routes,
            *records.routes,  # last: their paths take whatever stands below an object
        ],
        middleware=[
            Middleware(Faulty),
            Middleware(Failures),
            Middleware(GZipMiddleware, minimum_size=_SMALL, compresslevel=1),
            Middleware(Decoding),
            Middleware(Gate),
            Middleware(Failures),  # once more, so that a call that fails tells the day's usage too
        ],
        exception_handlers={HTTPException: no_route},
    )
    app.router.redirect_slashes = False  # the gate has cut what stood there; else nonsense is answered by a redirect
    app.state.services = services
    app.state.hang_up = _no_connection
    return app


def _no_connection(_scope: Scope, _reset: bool) -> None:
    raise ConnectionResetError("A declared fault ends this connection")


class _Uvicorn(uvicorn.Server):
    """Tells when it listens, so that stopping never overtakes starting."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = threading.Event()

    def hang_up(self, scope: Scope, reset: bool) -> None:
        """Close the connection of a request; only from the server's own thread."""
        for connection in self.server_state.connections:
            transport = connection.transport
            if transport.get_extra_info("peername")[:2] != scope["client"]:
                continue
            if reset:
                # To linger for no time makes the kernel send RST instead of FIN.
                pair = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
                transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pair)
                transport.abort()
            else:
                transport.close()
            return

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.listens.set()


class Server:
    """Serves the application on 127.0.0.1 until ``stop``. Port 0 takes a free one; ``port`` tells which.

    Raises OSError where the port is taken. Handles no signals and configures no logging.
    """

    def __init__(self, services: Services, port: int = 0) -> None:
        self._socket = _listening(port)
        self.port: int = self._socket.getsockname()[1]
        app = make_app(services)
        self._uvicorn = _Uvicorn(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                server_header=False,
                date_header=False,  # Faulty tells the org's own time
                timeout_graceful_shutdown=1,
                # Else uvicorn's words instead of the gate's answer a request line that is too long.
                h11_max_incomplete_event_size=_LONGEST_HEAD,
            )
        )
        app.state.hang_up = self._uvicorn.hang_up
        self._thread = threading.Thread(
            target=self._uvicorn.run, args=([self._socket],), name=f"sfframe-org-{self.port}", daemon=True
        )
        self._thread.start()
        self._uvicorn.listens.wait()

    @property
    def url(self) -> str:
        """Where the org is, without a slash at the end."""
        return f"http://{_HOST}:{self.port}"

    def stop(self) -> None:
        """Finish the requests that run (for a second at most) and let go of the port. A second call does nothing."""
        self._uvicorn.should_exit = True
        self._thread.join()


def _listening(port: int) -> socket.socket:
    # With proto named, asyncio sets TCP_NODELAY: else head and body of an answer are 40 ms apart (clients.md 2.12).
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((_HOST, port))
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener
