"""HAProxy with the module (src/edge/haproxy), with rules and files of a test's own."""
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

    def __exit__(self, kind, *error):
        self.process.terminate()
        code = self.process.wait(timeout=30)
        self.stop_upstream()
        assert kind or code in (0, 143, -15), (code, self.text()[-3000:])

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
