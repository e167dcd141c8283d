"""A program that answers as Grafana does once it is up, and keeps what it was told at its start.

It writes its arguments and its variables to the file that the variable FAKE_GRAFANA_TOLD names.
"""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

variables = {name: value for name, value in os.environ.items() if name.startswith("GF_")}
Path(os.environ["FAKE_GRAFANA_TOLD"]).write_text(json.dumps([sys.argv[1:], variables]))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/api/health" else 404)
        self.end_headers()


HTTPServer(("127.0.0.1", int(os.environ["GF_SERVER_HTTP_PORT"])), Handler).serve_forever()
