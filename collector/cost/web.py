"""A web server on the loopback and its client: prints how many pages were fetched whole.

Usage: web.py COUNT. One connection a page, as a busy site without keep-alive has them.
"""
import http.client
import http.server
import sys
import threading

PAGE = b"x" * 4096


class Pages(http.server.BaseHTTPRequestHandler):
    """Gives the same page for every path."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_):
        """Says nothing: printing is not what is measured."""


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
threading.Thread(target=server.serve_forever, daemon=True).start()
fetched = 0
for _ in range(int(sys.argv[1])):
    client = http.client.HTTPConnection("127.0.0.1", server.server_port)
    client.request("GET", "/")
    fetched += client.getresponse().read() == PAGE
    client.close()
server.shutdown()
print(fetched)
