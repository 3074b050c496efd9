"""DATA and its files as the tests read and write them: modes, digests, keys by the hundred, the ring; a server that
refuses to start, its events, one connection to it, and clients that go on while something changes."""
import http.client, sqlite3, threading
from support import *


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def mode(path):
    return os.stat(path).st_mode & 0o7777


def write(path, text, permissions=None):
    with open(path, "wb") as f:
        f.write(text if isinstance(text, bytes) else text.encode())
    if permissions is not None:
        os.chmod(path, permissions)


def secrets_of(data):
    return os.path.join(data, "secrets")


class Client:
    """One keep-alive connection."""

    def __init__(self, server):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)

    def ask(self, path, credential=None, headers=None):
        headers = dict(headers or {})
        if credential:
            headers["Authorization"] = "Bearer " + credential
        self.connection.request("GET", path, headers=headers)
        answer = self.connection.getresponse()
        body = answer.read()
        self.headers = answer.headers  # of the last answer
        return answer.status, json.loads(body) if body else None

    def make(self, key, query=""):
        status, body = self.ask("/v2/createsubtoken" + query, key)
        assert status == 200, (status, body)
        return body["subtoken"]

    def status(self, credential, path="/v2/tokeninfo"):
        return self.ask(path, credential)[0]

    def close(self):
        self.connection.close()


def kid_of(token):
    return json.loads(unb64(token.split(".")[0])).get("kid")


def kids(data):
    return [r["kid"] for r in json.loads(run("secret", "list", "--json", data=data)[1])]


def events(server, name):
    return [e for e in server.log_lines() if e["event"] == name]


def starts(data, *args):
    """(exit code, stderr) of a server that is to refuse its start; None when it serves."""
    p = subprocess.Popen([PROGRAM, "serve", "--listen", "127.0.0.1:0", "--data", data, *args],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    err = b""
    for line in p.stderr:
        err += line
        if b'"listening"' in line:
            p.kill()
            err += p.stderr.read()
            break
    code = p.wait(timeout=120)
    p.stdout.close()
    p.stderr.close()
    text = err.decode("utf-8", "replace")
    assert "Sanitizer" not in text and "runtime error" not in text, text
    return None if '"listening"' in text else (code, text)


GOOD = b64(hashlib.sha256(b"a secret for a test").digest())
MORE = [b64(hashlib.sha256(b"secret %d" % i).digest()) for i in range(20)]


def with_keys(count):
    key = {"id": "0000"}
    while key["id"][-4:].isdigit():  # its copies have numbers there
        data = data_dir()
        key = make_key(data)
    db = sqlite3.connect(db_of(data))
    for i in range(count):
        db.execute("INSERT INTO keys (id, digest, sub, name, owner, permissions, created_at, expires_at, "
                   "disabled, changed_at, deleted_at) SELECT substr(id, 1, 32) || printf('%04d', ?1), randomblob(32), "
                   "substr(sub, 1, 39) || printf('%04d', ?1), name, owner, permissions, created_at, "
                   "expires_at, disabled, changed_at, deleted_at FROM keys WHERE id = ?2", (i, key["id"]))
    db.commit()
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    assert not os.path.exists(db_of(data) + "-wal")
    return data, key


# ---- the ring while servers run ----

class Traffic:
    """Four clients that make and use tokens all the time; no request may fail."""

    def __init__(self, *servers, key):
        self.servers, self.key = servers, key
        self.done, self.count, self.failures, self.old = threading.Event(), 0, [], []
        self.threads = [threading.Thread(target=self.go, args=(i,)) for i in range(4)]

    def go(self, number):
        try:
            clients = [Client(s) for s in self.servers]
            turn = number
            while not self.done.is_set():
                issuer, user = clients[turn % len(clients)], clients[(turn // 2) % len(clients)]
                turn += 1
                token = issuer.make(self.key, "?permissions=account")
                status, body = user.ask("/v2/tokeninfo?v=latest", token)
                if (status, (body or {}).get("type")) != (200, "Subtoken"):
                    self.failures.append((kid_of(token), status, body))
                for old in list(self.old):
                    if user.status(old) != 200:
                        self.failures.append(("old", kid_of(old)))
                if user.status(self.key) != 200:
                    self.failures.append("key")
                self.count += 1
                time.sleep(0.002)
        except BaseException:
            self.failures.append(traceback.format_exc())

    def __enter__(self):
        [t.start() for t in self.threads]
        wait(lambda: self.count > 20 or self.failures)
        return self

    def __exit__(self, kind, value, trace):
        self.done.set()
        [t.join() for t in self.threads]
        if kind is None:
            assert not self.failures, self.failures[:3]
            assert self.count > 20, self.count


def config_file(text):
    path = os.path.join(scratch(), "config.json")
    write(path, text if isinstance(text, str) else json.dumps(text))
    return path
