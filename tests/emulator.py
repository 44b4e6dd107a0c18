"""AWS for the tests marked as needing it: moto's server on a free port, which is the first line that this prints.

DynamoDB decides about one write of an item after the other. moto's threads check a condition and write afterwards, so
that two of them can both succeed; here they take turns.
"""

import threading

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

emulated = DomainDispatcherApplication(create_backend_app)
turns = threading.Lock()


def application(environ, start_response):
    if environ.get("HTTP_X_AMZ_TARGET", "").startswith("DynamoDB"):
        with turns:
            return list(emulated(environ, start_response))
    return emulated(environ, start_response)


server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler)
print(server.port, flush=True)
server.serve_forever()
