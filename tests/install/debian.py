"""The Debian packages in a fresh Debian that really boots (systemd-nspawn, with a network of its own): they are installed,
configured, used, upgraded from an older version and purged. `make deb-test`: needs root and takes minutes.
SUBTOKEN_OLD=REV: which version it is upgraded from; the one before there were packages, if not said.
The base system is kept in build/debian/base; remove it to have a newer one."""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from installed import *

wait = functools.partial(wait, seconds=120)
BUILD = os.path.dirname(PROGRAM)
DEB, WORK = os.path.join(BUILD, "deb"), os.path.join(BUILD, "debian")
BASE = os.path.join(WORK, "base")
NEEDS = ["systemd", "systemd-sysv", "dbus", "nginx-light", "curl", "python3", "libsqlite3-0", "libpq5", "libargon2-1",
         "libutf8proc2", "libcurl4", "logrotate", "bash-completion", "gcc", "libc6-dev", "pkgconf"]
OLD = os.environ.get("SUBTOKEN_OLD", "96c5a626")
NAMES = ["subtoken", "libsubtoken0", "libsubtoken-dev", "libnginx-mod-http-subtoken", "python3-subtoken"]
# What no package of ours has changed, and changes all the same.
RESTLESS = re.compile(r"/(proc|sys|dev|run|tmp|root|var/tmp|var/cache|var/log/(journal|dpkg|apt|alternatives|nginx|faillog|lastlog"
                      r"|btmp|wtmp)|var/lib/(dpkg|systemd|apt|logrotate|dbus|private|nginx)|etc/(ld\.so\.cache|passwd|group|shadow"
                      r"|gshadow|subuid|subgid|mtab|machine-id|resolv\.conf|\.updated|\.pwd\.lock|hostname|localtime))\b"
                      r"|/var/\.updated|/usr/lib/python3.*/__pycache__|/.*\.pyc$")


signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the machines end with us


def mirror():
    for line in sh("apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)", "Created-By: Packages").splitlines():
        if line.startswith("Debian|Debian|"):
            return line.split("|")[2]
    raise AssertionError("apt knows no mirror of Debian: apt-get update")


def base():
    """A minimal Debian with what our packages depend on; no network is needed afterwards."""
    complete = os.path.join(BASE, "etc/complete")
    if not os.path.exists(complete) or read(complete).split() != NEEDS:
        shutil.rmtree(BASE, ignore_errors=True)
        os.makedirs(WORK, exist_ok=True)
        code = re.search(r"VERSION_CODENAME=(\w+)", read("/etc/os-release"))[1]
        sh("debootstrap", "--variant=minbase", "--include=" + ",".join(NEEDS), code, BASE, mirror())
        with open(complete, "w") as f:
            f.write("\n".join(NEEDS))
    return BASE


class Machine:
    """The base system, booted, with a disk in memory over it. Its commands run in all of its namespaces."""

    def __init__(self):
        self.log = os.path.join(scratch(), "log")
        self.process = subprocess.Popen(
            ["systemd-nspawn", "--quiet", "--directory", base(), "--volatile=overlay", "--machine", "subtoken-%d-%d" % (os.getpid(), id(self)),
             "--private-network", "--register=no", "--keep-unit", "--boot", "--console=pipe"],
            stdin=subprocess.DEVNULL, stdout=open(self.log, "w"), stderr=subprocess.STDOUT)
        atexit.register(self.stop)
        # Its first child is not yet the init of the container.
        wait(lambda: self.find_leader() and
             self.run("systemctl", "is-system-running", check=False).strip() in ("running", "degraded"), "it boots")
        self.root = "/proc/%s/root" % self.leader

    def find_leader(self):
        assert self.process.poll() is None, read(self.log)
        children = read("/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)).split()
        self.leader = children[0] if children else None
        return self.leader is not None

    def run(self, *command, check=True, stdin=""):
        p = subprocess.run(["nsenter", "-t", self.leader, "-a", "--"] + list(command), input=stdin, capture_output=True, text=True,
                           env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"})
        assert not check or p.returncode == 0, (command, p.returncode, p.stdout[-3000:], p.stderr[-3000:])
        return p.stdout if check else p.stdout + p.stderr

    def sh(self, text, **options):
        return self.run("sh", "-euc", text, **options)

    def write(self, path, text):
        with open(self.root + path, "w") as f:
            f.write(text)

    def install(self, paths):
        for path in paths:
            shutil.copy(path, self.root + "/root/")
        return self.run("dpkg", "--force-confdef", "--force-confold", "-i", *("/root/" + os.path.basename(p) for p in paths))

    def files(self):
        found = set()
        for folder, dirs, files in os.walk(self.root):
            inside = folder[len(self.root):]
            dirs[:] = [d for d in dirs if not RESTLESS.match(inside + "/" + d)]
            found.update(inside + "/" + name for name in dirs + files if not RESTLESS.match(inside + "/" + name))
        return found

    def property(self, unit, name):
        return self.run("systemctl", "show", "-p", name, "--value", unit).strip()

    def journal(self, unit="subtoken"):
        return self.run("journalctl", "-u", unit, "-o", "cat", "--no-pager", check=False)

    def get(self, path, *args, port=8080):
        """The status and the body."""
        out = self.run("curl", "-s", "-w", "\n%{http_code}", "http://127.0.0.1:%d%s" % (port, path), *args, check=False)
        body, _, status = out.rpartition("\n")
        return int(status), body

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()


def built(out=DEB, names=NAMES):
    return [path for path in sorted(glob.glob(os.path.join(out, "*.deb"))) if os.path.basename(path).split("_")[0] in names]


def wait_active(machine, unit="subtoken"):
    wait(lambda: machine.run("systemctl", "is-active", unit, check=False).strip() == "active", unit + " is active")


@functools.lru_cache(None)
def machine():
    """The one in which all packages are installed; what it held before is in machine.before."""
    m = Machine()
    m.before = m.files()
    m.install(built())
    return m


@functools.lru_cache(None)
def user():
    m = machine()
    m.run("subtoken-admin", "user", "create", "alice", "--permissions", "users,keys,audit,account,inventories", stdin=PASSWORD + "\n")
    return "alice:" + PASSWORD


def make_subtoken(m, *parameters):
    status, body = m.get("/v2/createsubtoken?" + "&".join(parameters), "-u", user())
    assert status == 200, (status, body)
    return json.loads(body)["subtoken"]


@test
def another_folder_gives_the_same_bits():
    out = os.path.join(scratch(), "another", "folder-with-a-longer-name")
    sh("sh", "src/packaging/build.sh", out, cwd=ROOT, preexec_fn=lambda: os.umask(0o077))
    digests = [{os.path.basename(p): hashlib.sha256(open(p, "rb").read()).hexdigest() for p in glob.glob(os.path.join(d, "*.deb"))}
               for d in (DEB, out)]
    assert len(digests[0]) >= 5 and digests[0] == digests[1], digests


@test
def installing_starts_a_server_on_loopback():
    m = machine()
    wait_active(m)
    assert m.get("/healthz")[0] == 200 and m.get("/readyz")[0] == 200
    assert m.property("subtoken", "StatusText") == "listening on http://127.0.0.1:8080", m.property("subtoken", "StatusText")
    assert m.property("subtoken", "User") == "subtoken" and m.property("subtoken", "NRestarts") == "0"
    assert m.run("systemctl", "is-enabled", "subtoken").strip() == "enabled"
    for unit in ("subtoken-pull.service", "subtoken-backup.timer"):
        assert m.run("systemctl", "is-enabled", unit, check=False).strip() == "disabled", unit
    # 0A: it listens. Addresses are in hexadecimal, of the machine's byte order.
    listening = [l.split()[1] for name in ("tcp", "tcp6") for l in m.run("cat", "/proc/net/" + name).splitlines()[1:]
                 if l.split()[3] == "0A"]
    assert "0100007F:1F90" in listening and not [a for a in listening if a.endswith(":1F90") and a != "0100007F:1F90"], listening
    assert m.run("stat", "-c", "%U %G %a", "/var/lib/subtoken").strip() == "subtoken subtoken 700"
    assert m.run("stat", "-c", "%U %a", "/var/lib/subtoken/secrets").strip() == "subtoken 600"
    assert '"listening"' in m.journal()


@test
def the_first_user_makes_a_subtoken():
    m = machine()
    token = make_subtoken(m, "permissions=account", "urls=/v2/tokeninfo")
    status, body = m.get("/v2/tokeninfo?v=latest", "-H", "Authorization: Bearer " + token)
    assert status == 200 and json.loads(body)["permissions"] == ["account"], body
    assert "alice" in m.run("subtoken-admin", "user", "list")
    refused = m.run("runuser", "-u", "nobody", "--", "subtoken-admin", "user", "list", check=False)
    assert "only root and the user subtoken" in refused, refused


@test
def a_reload_takes_new_settings_whole_or_not_at_all():
    m = machine()
    m.write("/etc/subtoken/config.json", '{"listen": "127.0.0.1:8080", "rate": {"per_second": 1, "burst": 1}}')
    m.run("systemctl", "reload", "subtoken")
    wait(lambda: '"reloaded"' in m.journal(), "the log says reloaded")
    wait_active(m)
    m.write("/etc/subtoken/config.json", '{"listen": "127.0.0.1:8080", "rats": 1}')
    m.run("systemctl", "reload", "subtoken")
    wait(lambda: '"reload_failed"' in m.journal(), "the log says reload_failed")
    wait(lambda: "the old settings are in force" in m.property("subtoken", "StatusText"), "the status says so")
    wait_active(m)
    assert m.get("/healthz")[0] == 200
    m.write("/etc/subtoken/config.json", '{"listen": "127.0.0.1:8080"}')
    m.run("systemctl", "reload", "subtoken")
    wait(lambda: "old settings" not in m.property("subtoken", "StatusText"), "the status is good again")


@test
def logrotate_takes_the_log_away_and_lines_go_on():
    m = machine()
    m.write("/etc/subtoken/config.json", '{"listen": "127.0.0.1:8080", "log": "/var/log/subtoken/subtoken.log"}')
    m.run("systemctl", "reload", "subtoken")
    wait(lambda: m.get("/healthz") and os.path.exists(m.root + "/var/log/subtoken/subtoken.log"), "there is a log")
    m.run("logrotate", "-f", "/etc/logrotate.d/subtoken")
    user = m.run("id", "-u", "subtoken").strip()  # never as root in a directory that is the user's
    assert "switching euid from 0 to %s " % user in m.sh("logrotate -d /etc/logrotate.d/subtoken 2>&1")

    def goes_on():
        m.get("/v2/nowhere")
        return "/v2/nowhere" in read(m.root, "var/log/subtoken/subtoken.log")
    wait(goes_on, "the new file gets lines")
    assert '"log_reopened"' in read(m.root, "var/log/subtoken/subtoken.log")
    assert os.path.getsize(m.root + "/var/log/subtoken/subtoken.log.1") > 0
    m.write("/etc/subtoken/config.json", '{"listen": "127.0.0.1:8080"}')
    m.run("systemctl", "reload", "subtoken")


@test
def a_server_that_died_or_hangs_is_started_again():
    m = machine()
    os.makedirs(m.root + "/etc/systemd/system/subtoken.service.d")
    m.write("/etc/systemd/system/subtoken.service.d/watchdog.conf", "[Service]\nWatchdogSec=2\n")
    m.sh("systemctl daemon-reload; systemctl restart subtoken")
    for number in ("KILL", "STOP"):
        pid = m.property("subtoken", "MainPID")
        m.sh("kill -%s %s" % (number, pid))
        wait(lambda: m.property("subtoken", "MainPID") not in ("0", pid) and m.get("/healthz")[0] == 200, "another one runs")
    assert "watchdog" in m.journal().lower(), m.journal()
    m.sh("rm -r /etc/systemd/system/subtoken.service.d; systemctl daemon-reload; systemctl reset-failed; systemctl restart subtoken")
    wait_active(m)


@test
def a_copy_of_the_store_is_made_and_old_ones_go():
    m = machine()
    user()
    m.sh("sed -i 's/^KEEP=.*/KEEP=2/' /etc/default/subtoken-backup")
    assert m.run("stat", "-c", "%U %a", "/var/backups/subtoken").strip() == "subtoken 700"
    m.run("systemctl", "enable", "--now", "subtoken-backup.timer")
    assert m.property("subtoken-backup.timer", "NextElapseUSecRealtime")
    made = set()
    for count in (1, 2, 2):
        m.run("systemctl", "start", "subtoken-backup.service")
        assert m.property("subtoken-backup", "Result") == "success", m.journal("subtoken-backup")
        files = set(os.listdir(m.root + "/var/backups/subtoken"))
        assert len(files) == count and len(files - made) == 1, (files, made)
        made |= files
        now = int(time.time())
        wait(lambda: int(time.time()) > now, "the next second")
    copy = "/var/backups/subtoken/" + max(made)
    assert m.run("stat", "-c", "%U %a", copy).strip() == "subtoken 600"
    assert b"alice" in open(m.root + copy, "rb").read()
    # Where the unit may not write it fails, and that is seen; a drop-in allows it.
    m.sh("install -d -o subtoken -m 700 /srv/copies; sed -i 's|^DIRECTORY=.*|DIRECTORY=/srv/copies|' /etc/default/subtoken-backup")
    m.run("systemctl", "start", "subtoken-backup.service", check=False)
    assert "subtoken-backup.service" in m.run("systemctl", "--failed", "--no-legend", "--plain"), m.journal("subtoken-backup")
    m.sh("mkdir -p /etc/systemd/system/subtoken-backup.service.d")
    m.write("/etc/systemd/system/subtoken-backup.service.d/place.conf", "[Service]\nReadWritePaths=/srv/copies\n")
    m.sh("systemctl daemon-reload; systemctl start subtoken-backup.service")
    assert len(os.listdir(m.root + "/srv/copies")) == 1, m.journal("subtoken-backup")
    m.sh("rm -r /srv/copies /etc/systemd/system/subtoken-backup.service.d; systemctl daemon-reload")


@test
def a_server_whose_database_comes_up_late_starts():
    m = machine()
    m.sh("mkdir -p /etc/systemd/system/subtoken.service.d")
    m.write("/etc/systemd/system/subtoken.service.d/quick.conf", "[Service]\nRestartSec=50ms\n")
    before = read(m.root, "etc/subtoken/config.json")
    m.write("/etc/subtoken/config.json", '{"listen": "127.0.0.1:8080", "store": "postgresql://subtoken@127.0.0.1:5/subtoken"}')
    m.sh("systemctl daemon-reload; systemctl restart subtoken || true")
    wait(lambda: int(m.property("subtoken", "NRestarts")) > 10, "it is tried again and again")
    assert m.property("subtoken", "ActiveState") in ("activating", "deactivating"), m.property("subtoken", "ActiveState")
    m.write("/etc/subtoken/config.json", before)
    wait_active(m)
    m.sh("rm -r /etc/systemd/system/subtoken.service.d; systemctl daemon-reload")


def edge(m, more=""):
    """nginx on port 8081, with the module and a key of its own; more is for its configuration."""
    if not os.path.exists(m.root + "/etc/subtoken/edge.key"):
        m.sh("umask 077; subtoken-admin key create --name edge --permissions revocations > /etc/subtoken/edge.key;"
             "chown root:subtoken /etc/subtoken/edge.key; chmod 640 /etc/subtoken/edge.key;"
             "install -o root -g www-data -m 640 /var/lib/subtoken/secrets /etc/subtoken/secrets")
        m.write("/etc/default/subtoken-pull", "FROM=http://127.0.0.1:8080\nOPTIONS=\n")
        m.run("systemctl", "enable", "--now", "subtoken-pull")
        wait_active(m, "subtoken-pull")
    m.write("/etc/nginx/conf.d/api.conf", """
subtoken_secrets /etc/subtoken/secrets;
subtoken_revocations /var/lib/subtoken-pull/revocations;
server { listen 127.0.0.1:8081; subtoken on; location / { root /srv; try_files /welcome =404; } }
""" + more)
    m.write("/srv/welcome", "welcome\n")
    m.sh("nginx -t; systemctl restart nginx")
    wait_active(m, "nginx")


@test
def nginx_with_the_packaged_module_refuses_what_is_revoked():
    m = machine()
    edge(m)
    assert "sequence=" in m.property("subtoken-pull", "StatusText"), m.property("subtoken-pull", "StatusText")
    token = make_subtoken(m, "permissions=account", "urls=/v2/account")
    head = ("-H", "Authorization: Bearer " + token)

    def answer():
        return m.get("/v2/account", *head, port=8081)
    # Before its workers have read the files they answer 503.
    wait(lambda: answer()[0] != 503, "the edge is fresh")
    assert answer() == (200, "welcome\n"), (answer(), m.run("tail", "/var/log/nginx/error.log"))
    assert m.get("/v2/account/bank", *head, port=8081)[0] == 403
    assert m.get("/v2/account", port=8081)[0] == 401
    m.run("subtoken-admin", "revoke", stdin=token)
    wait(lambda: answer()[0] == 401, "the edge refuses it")


@test
def nginx_runs_the_module_that_an_upgrade_has_brought():
    """And answers while it is replaced."""
    m = machine()
    edge(m)
    module = "/usr/lib/nginx/modules/ngx_http_subtoken_module.so"

    def loaded():
        """[inode, path] of each part of it in each process; one that ends meanwhile has none."""
        maps = m.sh("for pid in $(pidof nginx); do cat /proc/$pid/maps || true; done", check=False)
        return [line.split(None, 5)[4:] for line in maps.splitlines() if line.endswith((module, module + " (deleted)"))]

    def of_this_file():
        found, inode = loaded(), str(os.stat(m.root + module).st_ino)
        return found and all(mapped == [inode, module] for mapped in found)
    wait(of_this_file, "it runs with the module")
    asked = subprocess.Popen(["nsenter", "-t", m.leader, "-a", "--", "sh", "-c", """while [ ! -e /tmp/enough ]; do
        curl -s -o /dev/null -w '%{http_code}\\n' http://127.0.0.1:8081/; done"""], stdout=subprocess.PIPE, text=True)
    m.install(built(names=["libnginx-mod-http-subtoken"]))
    wait(of_this_file, "all of its processes have the new one")
    m.write("/tmp/enough", "")
    answers = asked.communicate(timeout=60)[0].split()
    assert len(answers) > 1 and set(answers) <= {"401", "503"}, answers  # 503: a worker that has not yet read its files
    wait_active(m, "nginx")
    assert m.property("nginx", "MainPID") == read(m.root, "run/nginx.pid").strip()


def browse(m, step, stdin=""):
    """A step of page.mjs, in the machine's network; what it has printed for us."""
    out = os.path.join(scratch(), "out")
    p = subprocess.run(["nsenter", "-t", m.leader, "-n", "node", os.path.join(HERE, "page.mjs"), PROGRAM], input=stdin, text=True,
                       capture_output=True, env=dict(os.environ, STEP=step, OUT=out, URL="http://127.0.0.1:8080"))
    assert p.returncode == 0, (p.stdout[-3000:], p.stderr[-3000:])
    return read(out)


def prometheus(m, targets):
    """That of this machine, in the network of the other: answers what an expression is."""
    d = scratch()
    with open(os.path.join(d, "prometheus.yml"), "w") as f:
        json.dump({"global": {"scrape_interval": "1s"}, "scrape_configs": [
            {"job_name": name, "static_configs": [{"targets": [target]}]} for name, target in targets.items()]}, f)
    p = subprocess.Popen(["nsenter", "-t", m.leader, "-n", "prometheus", "--config.file=" + d + "/prometheus.yml", "--storage.tsdb.path=" + d + "/data",
                          "--web.listen-address=127.0.0.1:9090"], stdout=subprocess.DEVNULL, stderr=open(d + "/log", "w"))
    atexit.register(p.kill)

    def value(expression):
        status, body = m.get("/api/v1/query", "-G", "--data-urlencode", "query=" + expression, port=9090)
        found = json.loads(body)["data"]["result"] if status == 200 else []
        return float(found[0]["value"][1]) if found else 0.0
    return value


@test
def the_page_nginx_and_prometheus_see_one_subtoken_live_and_end():
    m = machine()
    user()
    m.write("/etc/subtoken/config.json", '{"listen": "127.0.0.1:8080", "metrics_listen": "127.0.0.1:9464"}')
    m.run("systemctl", "restart", "subtoken")
    edge(m, "server { listen 127.0.0.1:8088; location /metrics { subtoken_status; } }")
    m.write("/etc/default/subtoken-pull", "FROM=http://127.0.0.1:8080\nOPTIONS=--metrics-listen 127.0.0.1:9465\n")
    m.run("systemctl", "restart", "subtoken-pull")
    value = prometheus(m, {"server": "127.0.0.1:9464", "nginx": "127.0.0.1:8088", "pull": "127.0.0.1:9465"})
    wait(lambda: value("sum(up)") == 3, "Prometheus scrapes all three")
    made = json.loads(browse(m, "make"))
    head = ("-H", "Authorization: Bearer " + made["subtoken"])
    assert m.get("/v2/tokeninfo?v=latest", "-H", "Authorization: Bearer " + made["key"])[0] == 200
    wait(lambda: m.get("/v2/account", *head, port=8081)[0] != 503, "the edge is fresh")
    assert m.get("/v2/account", *head, port=8081) == (200, "welcome\n")
    browse(m, "revoke", made["subtoken"])
    wait(lambda: m.get("/v2/account", *head, port=8081)[0] == 401, "the edge refuses it")
    for expression in ("sum(subtoken_tokens_issued_total)", 'sum(subtoken_nginx_decisions_total{reason="ok"})',
                       'sum(subtoken_nginx_decisions_total{reason="revoked"})', 'sum(subtoken_http_requests_total{job="server"})'):
        wait(lambda: value(expression) >= 1, "Prometheus sees %s" % expression)


@test
def a_program_is_built_with_the_library_and_decides_as_python_does():
    def text(value):
        return value.encode().hex()
    m = machine()
    token = make_subtoken(m, "permissions=account", "urls=/v2/account")
    now = int(time.time())
    lines = [("version",), ("ring", text(read(m.root, "var/lib/subtoken/secrets"))), ("verifier", 60, 365 * 86400, "-", "-", "without")]
    lines += [("verify", at, text("GET"), text(path), text(need) + ",", text(token))
              for at, path, need in ((now, "/v2/account", "account"), (now, "/v2/account/bank", "account"), (now, "/v2/account", "keys"),
                                     (now + 366 * 86400, "/v2/account", "account"))]
    asked = "".join("\t".join(str(field) for field in line) + "\n" for line in lines)
    for name in ("verdicts.c", "verdicts.py"):
        shutil.copy(os.path.join(HERE, name), m.root + "/root/")
    m.sh("cd /root; flags=$(pkg-config --cflags --libs subtoken); build() { cc -std=c11 -Wall -Wextra -Werror verdicts.c \"$@\"; };"
         "build $flags -o shared; build -Wl,-Bstatic $flags -Wl,-Bdynamic -o static")
    assert SONAME in m.run("ldd", "/root/shared") and SONAME not in m.run("ldd", "/root/static")
    answers = m.run("/root/shared", stdin=asked)
    for other in (["/root/static"], ["python3", "/root/verdicts.py"]):
        assert m.run(*other, stdin=asked) == answers, other
    seen = [line.split("\t")[:2] for line in answers.splitlines()]
    assert seen == [[VERSION], ["ok", "0"], ["ok"], ["ok", "200"], ["url", "403"], ["perm", "403"], ["expired", "401"]], answers


@test
def bash_completes_the_command():
    completed = ("source /usr/share/bash-completion/bash_completion; _completion_loader subtoken; complete -p subtoken;"
                 "COMP_WORDS=(subtoken ver) COMP_CWORD=1; _subtoken subtoken ver subtoken; echo \"${COMPREPLY[@]}\"")
    how, words = machine().run("bash", "-c", completed).splitlines()
    assert how == "complete -F _subtoken subtoken" and {"verify", "version"} <= set(words.split()) and "serve" not in words, (how, words)


@test
def an_upgrade_loses_nothing():
    m = Machine()
    m.install([old_package()])
    wait_active(m)
    m.run("subtoken-admin", "user", "create", "bob", "--permissions", "account,keys", stdin=PASSWORD + "\n")
    m.write("/etc/subtoken/config.json", '{"listen": "127.0.0.1:8085", "max_life": "60d"}')
    m.run("systemctl", "restart", "subtoken")
    wait(lambda: m.get("/healthz", port=8085)[0] == 200, "the old one serves")
    status, body = m.get("/v2/createsubtoken?permissions=account", "-u", "bob:" + PASSWORD, port=8085)
    assert status == 200, body
    head = ("-H", "Authorization: Bearer " + json.loads(body)["subtoken"])
    secrets, old_audit = read(m.root, "var/lib/subtoken/secrets"), m.run("subtoken-admin", "audit", "--json").splitlines()
    old_key = m.run("subtoken-admin", "key", "create", "--name", "laptop", "--permissions", "account").strip()
    m.install(built(names=["subtoken"]))
    wait(lambda: m.get("/readyz", port=8085)[0] == 200, "the new one serves, with the settings of before")
    assert m.property("subtoken", "Type") == "notify"
    assert read(m.root, "var/lib/subtoken/secrets") == secrets
    for credential in (head, ("-H", "Authorization: Bearer " + old_key), ("-u", "bob:" + PASSWORD)):
        assert m.get("/v2/tokeninfo", *credential, port=8085)[0] == 200, credential
    for line in old_audit:
        assert line in m.run("subtoken-admin", "audit", "--json"), line
    m.stop()


@functools.lru_cache(None)
def old_package():
    """Today's package with the program of an older commit, which did not know Type=notify."""
    tree, packed = os.path.join(WORK, "old"), os.path.join(scratch(), "packed")
    shutil.rmtree(tree, ignore_errors=True)
    os.makedirs(tree)
    sh("sh", "-c", 'git archive "$1" | tar -x -C "$2" && cp -a third_party/src "$2/third_party/" && make -C "$2" CC="$3" build/subtoken',
       "sh", OLD, tree, "ccache gcc" if shutil.which("ccache") else "gcc", cwd=ROOT)
    sh("dpkg-deb", "-R", built(names=["subtoken"])[0], packed)
    shutil.copy(os.path.join(tree, "build/subtoken"), os.path.join(packed, "usr/bin/subtoken"))
    for path, changes in (("DEBIAN/control", [("^Version: .*", "Version: 0.3.0~old")]),
                          ("lib/systemd/system/subtoken.service", [("^Type=notify", "Type=exec"), ("^WatchdogSec=.*\n", "")])):
        text = read(packed, path)
        for pattern, by in changes:
            text, count = re.subn(pattern, by, text, flags=re.M)
            assert count == 1, (path, pattern)
        with open(os.path.join(packed, path), "w") as f:
            f.write(text)
    os.remove(os.path.join(packed, "DEBIAN/md5sums"))
    out = os.path.join(scratch(), "subtoken_0.3.0~old.deb")
    sh("dpkg-deb", "--root-owner-group", "-b", packed, out)
    return out


@test
def a_purge_leaves_nothing_but_data():
    m = machine()
    user()
    m.run("dpkg", "--remove", *NAMES)
    assert m.run("systemctl", "is-active", "subtoken", check=False).strip() == "inactive"
    assert m.get("/healthz")[0] == 0
    assert os.path.exists(m.root + "/etc/subtoken/config.json") and os.path.exists(m.root + "/var/lib/subtoken/subtoken.db")
    m.sh("rm -f /etc/subtoken/secrets /etc/nginx/conf.d/api.conf /srv/welcome")  # what we have put there
    m.write("/etc/subtoken/edge.key", "a key")
    m.write("/var/backups/subtoken/mine", "a copy")
    m.run("dpkg", "--purge", *NAMES)
    left = {path for path in m.files() - m.before if not path.startswith(("/var/lib/subtoken/", "/var/backups/subtoken/"))}
    assert left == {"/var/lib/subtoken", "/var/backups/subtoken"}, left
    data = set(os.listdir(m.root + "/var/lib/subtoken"))
    assert {"subtoken.db", "secrets"} <= data and "config.json" not in data, data
    assert not (m.before - m.files()), m.before - m.files()
    m.install(built(names=["subtoken"]))  # and again, on the data that were left
    wait_active(m)
    status, body = m.get("/v2/createsubtoken?permissions=account", "-u", user())
    assert status == 200, body


main()
