"""HAProxy with the module (src/edge/haproxy), with rules and files of a test's own."""
import fcntl, struct
from proxies import *

SUBTOKEN_LUA = os.path.join(EDGE, "haproxy", "subtoken.lua")
DENY = "http-request deny deny_status 503 unless { var(txn.subtoken) -m beg pass }"
ACTION = "http-request lua.subtoken\n  " + DENY
# With bodies=on.
BODIES = """http-request lua.subtoken
  http-request wait-for-body time 10s if { var(txn.subtoken) -m str body }
  http-request lua.subtoken if { var(txn.subtoken) -m str body }
  """ + DENY
USER = "user www-data\n  group www-data" if ROOT else ""


def quick():
    """The lines of the example, in which the converter goes before the action."""
    text = open(os.path.join(EXAMPLES, "haproxy-module.cfg")).read()
    lines = [l.strip() for l in text.splitlines() if re.match(r"  http-request .*(set-var|add-header)", l)]
    assert len(lines) == 7 and "lua.subtoken_decide" in lines[3], lines
    return "\n  ".join(l.replace(" unless own", "") for l in lines) + """
  http-request lua.subtoken unless { var(txn.subtoken) -m found }
  """ + DENY


class Haproxy(Program):
    """rules: those of its frontend. It passes what is left to the upstream, or with tail=... does that instead."""

    def __init__(self, rules=ACTION, settings="", tail="default_backend api", main="", load="lua-load-per-thread",
                 policy=POLICY, bind="", defaults="", feed=True, below="", user=USER, api=None):
        self.dir = shared_dir()
        self.data = data_dir()
        self.key = make_key(self.data, "account,inventories,characters,history_api")
        self.files = os.path.join(self.dir, below) if below else self.dir
        os.makedirs(self.files, exist_ok=True)
        self.secrets = os.path.join(self.files, "secrets")
        self.copy_secrets()
        self.feed = FeedFiles(os.path.join(self.files, "revoked"), read_ring(self.secrets)[0])
        if feed:
            self.feed.publish(["nobody"])
        self.policy = os.path.join(self.files, "policy.json")
        self.put_policy(policy)
        self.upstream = Upstream(os.path.join(self.dir, "up"))
        self.socket = os.path.join(self.dir, "in")
        self.conf = os.path.join(self.dir, "haproxy.cfg")
        every = "secrets=%s revocations=%s policy=%s %s" % (self.secrets, self.feed.path, self.policy, settings)
        self.write("""global
  log stdout format raw local0 info
  %s
  setenv SUBTOKEN_MODULE "%s"
  lua-prepend-path %s/?.so cpath
  %s %s
  %s
defaults
  mode http
  log global
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  timeout http-request 10s
  log-format "%%HM %%HPO %%ST result=%%[lua.subtoken_result] sub=%%[lua.subtoken_sub] may=%%[lua.subtoken_permissions]"
  %s
frontend in
  bind unix@%s mode 666
  %s
  %s
  %s
backend api
  server api %s
""" % (user, every, HAPROXY_MODULE, load, SUBTOKEN_LUA, main, defaults, self.socket, bind, rules, tail,
       api or "unix@" + self.upstream.path))

    def write(self, text):
        with open(self.conf, "w") as f:
            f.write(text)

    def copy_secrets(self):
        new = self.secrets + ".new"
        shutil.copy(os.path.join(self.data, "secrets"), new)
        share(new)
        os.rename(new, self.secrets)

    def put_policy(self, policy):
        replace(self.policy, (policy if isinstance(policy, str) else json.dumps(policy)).encode())
        os.chmod(self.policy, 0o644)

    def check(self):
        """haproxy -c: (exit code, what it says)."""
        p = subprocess.run([HAPROXY, "-c", "-f", self.conf], capture_output=True, text=True, timeout=60)
        return p.returncode, p.stdout + p.stderr

    def __enter__(self):
        self.launch([HAPROXY, "-db", "-f", self.conf])
        return self

    def answers(self):
        """It binds one after the other, and each can be reached before the next is there."""
        with open(self.conf) as f:
            bound = re.findall(r"^\s*bind (?:unix@(\S+)|127\.0\.0\.1:(\d+))", f.read(), re.M)
        try:
            for path, port in bound:
                with socket.socket(socket.AF_UNIX if path else socket.AF_INET) as s:
                    s.connect(path or ("127.0.0.1", int(port)))
        except OSError:
            return False
        return bound != []

    def __exit__(self, kind, *error):
        code = end_haproxy(self.process)
        self.stop_upstream()
        assert kind or code in (0, 143, -15) and "Segmentation" not in self.text(), (code, self.text()[-3000:])

    def token(self, *args):
        if "--permissions" not in args:
            args += ("--permissions", "account,inventories")
        return issue(self.data, self.key["key"], *args)

    def ask(self, target, *headers, token=None, method="GET", body=None):
        if token is not None:
            headers += (auth(token),)
        return ask(self.socket, target, headers, method, body)

    def status(self, target, *headers, **more):
        return self.ask(target, *headers, **more).status


# ---- HTTP/2 ----

def h2_literal(name, value):
    return b"\0" + bytes([len(name)]) + name + h2_length(len(value)) + value


def h2_length(n):
    """As HPACK has it, without Huffman's code."""
    if n < 127:
        return bytes([n])
    out, n = b"\x7f", n - 127
    while n >= 128:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def h2_frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def h2_frames(data):
    """[(kind, flags, payload)] of those that are whole."""
    at, out = 0, []
    while at + 9 <= len(data) and at + 9 + int.from_bytes(data[at:at + 3], "big") <= len(data):
        end = at + 9 + int.from_bytes(data[at:at + 3], "big")
        out.append((data[at + 3], data[at + 4], data[at + 9:end]))
        at = end
    return out


def h2_status(block):
    """HAProxy puts it first: from HPACK's table, or in digits."""
    if block[0] & 0x80:
        return (200, 204, 206, 304, 400, 404, 500)[(block[0] & 0x7f) - 8]
    assert block[0] in (0x08, 0x48) and block[1] == 3, block
    return int(block[2:5])


def h2_send(path, lines, *data, at_once=False):
    """One request of HTTP/2 with its body in frames; without any, its headers end it. The status and body of the answer."""
    frames = [h2_frame(1, 4 | (not data), 1, b"".join(h2_literal(n.encode(), v.encode()) for n, v in lines))]
    frames += [h2_frame(0, i + 1 == len(data), 1, each) for i, each in enumerate(data)]
    frames[0] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + h2_frame(4, 0, 0, b"") + frames[0]
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(30)
        s.connect(path)
        for part in [b"".join(frames)] if at_once else frames:
            s.sendall(part)
            wait(lambda: not pending(s), "HAProxy has read it")
        received = b""
        while True:
            got = s.recv(65536)
            received += got
            told = h2_frames(received)
            ended = any(kind in (0, 1) and flags & 1 or kind in (3, 7) for kind, flags, _ in told)
            if ended or not got:
                heads = [payload for kind, _, payload in told if kind == 1]
                return h2_status(heads[0]) if heads else None, b"".join(p for kind, _, p in told if kind == 0).decode()


def pending(s):
    """Bytes that the other side has not read yet (SIOCOUTQ)."""
    return struct.unpack("i", fcntl.ioctl(s, 0x5411, b"\0" * 4))[0] > 0
