"""A real nginx with the module, between the two sides of upstream.py, and what the tests of the module share."""
from feed import FeedFiles, replace
from upstream import *

BUILD = os.path.dirname(PROGRAM)
# It has one thread, and is built plain and for the address sanitizer only.
MODULE = os.path.join(os.path.dirname(BUILD) if SANITIZER == "tsan" else BUILD,
                      "ngx_http_subtoken_module.so")
NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")


def module_env():
    """The environment of an nginx with the module."""
    env = dict(os.environ)
    if SANITIZER == "asan":  # nginx itself is not built with it: the library has to come first
        lib = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True)
        env["LD_PRELOAD"] = lib.stdout.strip()
        # What nginx keeps to its end is its own; what the module loses, its memory shows (see leaks).
        env["ASAN_OPTIONS"] = "detect_leaks=0:quarantine_size_mb=1"
    return env


class Nginx(Program):
    """nginx in front of an upstream; server and http are pieces of configuration, in which %(name)s
    stands for dir, data, secrets, feed, upstream, www."""

    def __init__(self, server="", http="", main="", answer=None, workers=1, feed=True, data=None, module=MODULE):
        self.dir = shared_dir()
        self.data = data or data_dir()
        self.key = make_key(self.data, "account,inventories,characters,history_api,database_api")
        self.secrets = os.path.join(self.dir, "secrets")
        shutil.copy(os.path.join(self.data, "secrets"), self.secrets)
        share(self.secrets)
        self.signer = read_ring(self.secrets)[0]
        self.feed = FeedFiles(os.path.join(self.dir, "revoked"), self.signer)
        if feed:
            self.feed.publish(["nobody"])
        self.upstream = Upstream(os.path.join(self.dir, "up"), answer)
        self.socket = os.path.join(self.dir, "in")
        self.conf = os.path.join(self.dir, "nginx.conf")
        self.pieces = {"server": server, "http": http, "main": main, "workers": workers, "module": module}
        self.configure()

    def configure(self, **changed):
        self.pieces.update(changed)
        names = {"dir": self.dir, "secrets": self.secrets, "feed": self.feed.path, "up": self.upstream.path}
        text = """load_module %(module)s; pid %(dir)s/pid; error_log %(dir)s/error.log info;
        worker_processes %(workers)d; %(user)s env LD_PRELOAD; env ASAN_OPTIONS; %(main)s
        events { worker_connections 512; }
        http {
          access_log %(dir)s/access.log; add_header X-Result $subtoken_result always;
          client_body_temp_path %(dir)s/t1; proxy_temp_path %(dir)s/t2; fastcgi_temp_path %(dir)s/t3;
          uwsgi_temp_path %(dir)s/t4; scgi_temp_path %(dir)s/t5;
          subtoken_secrets %(secrets)s; subtoken_revocations %(feed)s;
          proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
          upstream api { server unix:%(up)s; keepalive 8; }
          %(http)s
          server { listen unix:%(dir)s/in;
          %(server)s
          }
        }
        """
        for name in ("http", "server", "main"):
            text = text.replace("%%(%s)s" % name, self.pieces[name])
        for name in re.findall(r"%\(\w+\)[sd]", text):
            value = dict(names, module=self.pieces["module"], workers=self.pieces["workers"],
                         user="user www-data;" if ROOT else "")[name[2:-2]]
            text = text.replace(name, str(value))
        with open(self.conf, "w") as f:
            f.write(text)
        return self

    def command(self):
        return [NGINX, "-p", self.dir, "-c", self.conf], module_env()

    def check(self):
        """nginx -t: (exit code, what it says)."""
        cmd, env = self.command()
        p = subprocess.run(cmd + ["-t"], capture_output=True, env=env, timeout=60)
        return p.returncode, p.stderr.decode("utf-8", "replace")

    def start(self):
        cmd, env = self.command()
        self.launch(cmd + ["-g", "daemon off;"], env)
        return self

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, value, trace):
        self.process.send_signal(signal.SIGQUIT)
        try:
            code = self.process.wait(timeout=120)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError("nginx did not stop: %s" % self.errors()[-3000:])
        self.stop_upstream()
        # "nobody" is a socket at which nobody listens.
        text = "".join(l for l in self.errors().splitlines(True) if "/nobody" not in l)
        for bad in ("Sanitizer", "runtime error", "[alert]", "[crit]", "exited on signal"):
            assert bad not in text, ([l for l in text.splitlines() if bad in l][:5], text[-3000:])
        assert code == 0 or kind, (code, text[-3000:])

    def errors(self):
        out = ""
        for name in ("error.log", "out"):
            path = os.path.join(self.dir, name)
            if os.path.exists(path):
                out += open(path, errors="replace").read()
        return out

    def log(self, name="access.log"):
        return open(os.path.join(self.dir, name), errors="replace").read()

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def workers(self):
        children = "/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)
        return [int(x) for x in open(children).read().split()]

    def ask(self, target, *headers, token=None, method="GET", body=None):
        if token is not None:
            headers += ("Authorization: Bearer " + token,)
        self.last = ask(self.socket, target, headers, method, body)
        return self.last

    def status(self, target, *headers, **more):
        return self.ask(target, *headers, **more).status

    def token(self, *args):
        if "--permissions" not in args:
            args += ("--permissions", "account,inventories")
        return issue(self.data, self.key["key"], *args)


def jwt(signer, claims, header=None):
    """A token of any claims, signed by hand; signer: (kid, secret)."""
    kid, secret = signer
    return sign(secret, claims, header or {"alg": "HS256", "typ": "JWT", **({"kid": kid} if kid else {})})


def sub_of(token):
    return payload(token)["sub"]


# ---- what the tests of the module share ----

UP = "location / { proxy_pass http://api; }"
ON = "subtoken on; " + UP
WORKER = "add_header X-Worker $pid always;"
INVALID = '{"text":"Invalid access token"}'


def echoed(answer):
    assert answer.status == 200, (answer.status, answer.headers, answer.body)
    return json.loads(answer.body)


def header_sent(answer, name):
    """What the upstream was sent as this header, or None."""
    found = [v for n, v in echoed(answer)["headers"] if n.lower() == name.lower()]
    assert len(found) < 2, found
    return found[0] if found else None


def policy(n, data, name="policy.json"):
    path = os.path.join(n.dir, name)
    replace(path, (data if isinstance(data, str) else json.dumps(data)).encode())
    os.chmod(path, 0o644)
    return path


def result(n):
    """$subtoken_result of the last request."""
    return n.last.header("X-Result")


def of_both(n, status, token):
    """Does each of two workers (http=WORKER) answer so, and neither otherwise before?"""
    answered = set()
    for _ in range(400):
        if n.ask("/a", token=token).status != status:
            return False
        answered.add(n.last.header("X-Worker"))
        if len(answered) == 2:
            return True
    return False


def identity(headers):
    """What an upstream takes for the identity: any spelling that it may fold to X-Subtoken-*."""
    return {re.sub(r"[^A-Za-z0-9]", "-", n).title(): v for n, v in headers
            if re.match(r"x[^a-z0-9]subtoken[^a-z0-9]", n, re.I)}


def identity_sent(answer):
    headers = echoed(answer)["headers"]
    count = sum(1 for n, _ in headers if re.match(r"x[^a-z0-9]subtoken[^a-z0-9]", n, re.I))
    found = identity(headers)
    assert count == len(found), headers
    return found


def of_token(token):
    claims = payload(token)
    return {"X-Subtoken-Sub": claims["sub"], "X-Subtoken-Permissions": ",".join(claims["permissions"]),
            "X-Subtoken-Expires": str(claims["exp"])}


KEY = {"X-Subtoken-Sub": "k" * 43, "X-Subtoken-Key": "ID", "X-Subtoken-Owner": "o",
       "X-Subtoken-Permissions": "account", "X-Subtoken-Expires": "9999999999"}
ASK = """location = /ask { internal; subtoken off; proxy_pass http://api/v2/authorize; }
         location = /ask-nobody { internal; subtoken off; proxy_pass http://unix:%(dir)s/nobody:; }"""
FORGED = ["X-Subtoken-Sub: root", "x-SUBTOKEN-key: root", "X_Subtoken_Sub: root", "X-Subtoken_Owner: root",
          "X_SUBTOKEN-PERMISSIONS: all", "x-subtoken-expires: 9", "X-Subtoken-Other: root", "X-Subtoken-: root"]
ODD = ["X.Subtoken.Sub: root", "X-Subtoken.Owner: root", "X~Subtoken-Sub: root"]
LOOSE = "underscores_in_headers on; ignore_invalid_headers off;"


def with_endpoint(server, http="", **more):
    end = Endpoint()
    end.say["Bearer KEY"] = (200, KEY)
    return Nginx(server + ASK, http=http, answer=end, **more), end
