"""`python -m reference.provisioner --host H --port P`: serve the lifecycle API until told to end."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import sys
from typing import NoReturn

from .settings import Settings, SettingsError, read_settings

log = logging.getLogger(__name__)

UNUSABLE = 2
"""Exit status when the provisioner cannot serve with what it was given."""


def main() -> None:
    arguments = _arguments()
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    try:
        settings = read_settings(os.environ)
    except SettingsError as error:
        _refuse(f"the environment is not usable:\n{error}")
    try:
        # Before the slow imports, so that whoever connects meanwhile waits in the queue and is not refused.
        listener = socket.create_server((arguments.host, arguments.port), backlog=1024)
    except OSError as error:
        _refuse(
            f"cannot listen on {arguments.host}:{arguments.port}: {error.strerror}; choose another --port"
        )
    with listener:
        _serve(settings, listener)


def _serve(settings: Settings, listener: socket.socket) -> None:
    import uvicorn

    from .api import create_app
    from .service import build
    from .store import StoreError

    try:
        service = build(settings)
    except StoreError as error:
        _refuse(str(error))
    # uvicorn shuts down on the signal, then raises it again: for an end in order, not by the default action.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        service.start()
        host, port = listener.getsockname()[:2]
        log.info("serving on http://%s:%d", host, port)
        server = uvicorn.Server(
            uvicorn.Config(
                create_app(service),
                log_config=None,
                access_log=False,
                lifespan="off",
                timeout_graceful_shutdown=2,
                server_header=False,
            )
        )
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        log.info("interrupted")
    finally:
        service.close()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="reference.provisioner", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one, which the log names")
    return parser.parse_args()


def _refuse(why: str) -> NoReturn:
    sys.stderr.write(f"reference.provisioner: {why}\n")
    sys.exit(UNUSABLE)


if __name__ == "__main__":
    main()
