"""TLS in front of a server, as nginx would stand there: clients that insist on https, and an issuer, which is an https URL."""
import ssl, threading

from support import *


def certificate(directory):
    """The key and the certificate of localhost."""
    key, cert = (os.path.join(directory, name) for name in ("key.pem", "cert.pem"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
                    "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert],
                   check=True, capture_output=True, timeout=60)
    return key, cert


class TlsFront:
    """Listens first, so that its address can be the issuer; bytes go on to `port` once that is set."""

    def __init__(self):
        self.key, self.cert = certificate(scratch())
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.cert, self.key)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = "https://localhost:%d" % self.socket.getsockname()[1]
        self.port = None
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        try:
            with self.context.wrap_socket(client, server_side=True) as inner, \
                    socket.create_connection(("127.0.0.1", self.port), timeout=60) as upstream:
                inner.settimeout(60)
                back = threading.Thread(target=pump, args=(upstream, inner), daemon=True)
                back.start()
                pump(inner, upstream)
                back.join(60)
        except OSError:
            client.close()

    def close(self):
        self.socket.close()


def pump(source, to):
    try:
        while data := source.recv(65536):
            to.sendall(data)
        to.shutdown(socket.SHUT_WR)
    except OSError:
        pass
