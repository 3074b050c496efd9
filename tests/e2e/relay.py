"""Servers of one database, and the relay of src/edge/examples/nginx-relay.conf in front of them in a real nginx, its
paths and addresses put elsewhere. For test_relay.py, and for bench/propagation.py."""
import http.client, ssl
from proxies import *


def certificate(folder):
    """For localhost and keys.example: of the relay, and of the servers."""
    cert, key = os.path.join(folder, "cert"), os.path.join(folder, "tls")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days",
                    "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,DNS:keys.example"],
                   check=True, capture_output=True)
    return cert, key


class Issuers:
    """Servers of one database; what they were asked for is in their logs."""

    def __init__(self, count=2, data=None):
        self.data = data or data_dir()
        self.key = make_key(self.data, "revocations", name="relay")
        self.servers = [SmallServer(self.data, {"threads": 64} if not SANITIZER else None) for _ in range(count)]

    def __enter__(self):
        for server in self.servers:
            server.start()
        return self

    def __exit__(self, kind, *error):
        for server in self.servers:
            server.stop(expect=None)

    def lines(self):
        return [l for s in self.servers for l in s.log_lines()
                if l["event"] == "request" and l.get("path") == "/v2/revocations"]

    def delete(self):
        """A key that is revoked: what it lists reaches the edges."""
        run("key", "delete", make_key(self.data, "account", name="gone")["id"], data=self.data, check=0)


class Relay(NginxProxy):
    """The certificates of the servers are checked: nginx itself stands in front of each for TLS."""

    def __init__(self, issuers):
        self.issuers, self.dir, self.name = issuers, shared_dir(), "nginx-relay.conf"
        self.port, inner = free_port(), free_port()
        self.url = "https://localhost:%d" % self.port
        self.cert, tls = certificate(self.dir)
        self.write_key(issuers.key["key"])
        fronts = [free_port() for _ in issuers.servers]
        pair = "ssl_certificate %s; ssl_certificate_key %s;" % (self.cert, tls)
        front = "".join("server { listen 127.0.0.1:%d ssl; %s access_log off; location / {"
                        " proxy_http_version 1.1; proxy_set_header Connection \"\";"
                        " proxy_pass http://127.0.0.1:%d; } }" % (port, pair, server.port)
                        for port, server in zip(fronts, issuers.servers))
        tmp = "".join("%s %s/%s;" % (n + "_temp_path", self.dir, n)
                      for n in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        self.changes = [("user www-data;", "user www-data;" if ROOT else ""), ("/run/subtoken-relay.pid", self.dir + "/pid"),
                        ("/var/log/nginx/", self.dir + "/"), ("/var/cache/nginx/subtoken-relay", self.dir + "/cache"),
                        ("worker_processes auto", "worker_processes 2"), ("listen 8443 ssl", "listen 127.0.0.1:%d ssl" % self.port),
                        ("/etc/subtoken/relay.crt", self.cert), ("/etc/subtoken/relay.key", tls),
                        ("/etc/subtoken/relay-key.conf;", self.key_file + ";"), ("allow 10.0.0.0/8", "allow 127.0.0.1"),
                        ("127.0.0.1:8089", "127.0.0.1:%d" % inner), ("/etc/ssl/certs/ca-certificates.crt", self.cert),
                        ("http {", "http {" + tmp + front)]
        self.changes += [("10.0.0.1%d:443" % (i + 1), "127.0.0.1:%d" % port) for i, port in enumerate(fronts)]
        if len(fronts) == 1:
            self.changes.append(("    server 10.0.0.12:443 max_fails=1 fail_timeout=2s;\n", ""))
        self.write(None)

    def places(self, endpoint):
        return self.changes

    def write_key(self, key):
        self.key_file = private_file('proxy_set_header Authorization "Bearer %s";\n' % key, "relay-key.conf")

    def answers(self):
        try:
            socket.create_connection(("localhost", self.port)).close()
            return True
        except OSError:
            return False

    def stop_upstream(self):
        pass

    def ask(self, query="", etag=None, method="GET", **headers):
        """(status, headers, body)"""
        tls = ssl.create_default_context(cafile=self.cert)
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=60, context=tls)
        if etag:
            headers["If-None-Match"] = etag
        connection.request(method, "/v2/revocations" + query, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, answer.headers, body

    def log(self, name):
        with open(os.path.join(self.dir, name)) as f:
            return f.read().splitlines()
