"""PostgreSQL clusters of a test's own, in temporary folders, beside whatever the system runs: a primary, standbys that
are synchronous or not, promotion, kill -9. On a unix socket and on 127.0.0.1, without a password; never as root. As a
program, `postgres.py COMMAND...` runs a command with a cluster, whose address is in SUBTOKEN_TEST_POSTGRES."""
import atexit, glob, os, pwd, random, re, shutil, signal, socket, subprocess, sys, tempfile, time

PROGRAMS = next(iter(sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda p: -int(p.split("/")[-2]))), None)
OWNER = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
SETTINGS = {"max_connections": 400, "shared_buffers": "32MB", "max_wal_size": "256MB", "logging_collector": "off",
            "wal_level": "replica", "max_wal_senders": 8, "hot_standby": "on", "wal_receiver_timeout": "10s",
            "wal_retrieve_retry_interval": "200ms", "log_min_duration_statement": -1}
# What a crash of the machine would lose; a kill -9 of all its processes loses nothing.
QUICK = {"fsync": "off", "full_page_writes": "off"}
# Stops a cluster and removes it once the test has ended, however it did.
GUARD = """read _; pid=$(head -n 1 "$0/data/postmaster.pid" 2>/dev/null) &&
    { kill -QUIT $pid; kill -CONT $pid; for _ in 1 2 3 4 5 6 7 8 9 10; do
      kill -0 $pid || break; sleep 0.3; done; kill -KILL $pid; } 2>/dev/null; rm -rf "$0" """


def as_owner(*words):
    """A command of PostgreSQL, which refuses to be root."""
    words = [os.path.join(PROGRAMS, words[0]), *words[1:]]
    if os.geteuid() == 0:
        words = ["setpriv", "--reuid=" + OWNER, "--regid=" + OWNER, "--init-groups", *words]
    return words


def call(*words, **more):
    p = subprocess.run(as_owner(*words), capture_output=True, text=True, cwd="/", timeout=120, **more)
    assert p.returncode == 0, (words, p.returncode, p.stdout[-2000:], p.stderr[-2000:])
    return p.stdout


def unused_port():
    """Below those that the kernel gives to clients: it stays free while its server is down."""
    while True:
        port = random.randrange(15000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


class Cluster:
    """A cluster that does not run yet. durable: with fsync. settings: more of postgresql.conf."""

    def __init__(self, durable=False, settings=None, name="primary"):
        assert PROGRAMS, "PostgreSQL is not installed"
        self.name, self.process, self.databases, self.durable = name, None, 0, durable
        base = tempfile.gettempdir()
        if len(base) > 40:  # the path of a unix socket has at most 107 bytes
            base = "/tmp"
        self.dir = tempfile.mkdtemp(prefix="subtoken-pg-", dir=base)
        self.guard = subprocess.Popen(["sh", "-c", GUARD, self.dir], stdin=subprocess.PIPE, start_new_session=True,
                                      stderr=subprocess.DEVNULL)
        os.chmod(self.dir, 0o755)
        if os.geteuid() == 0:
            shutil.chown(self.dir, OWNER, OWNER)
        self.data = os.path.join(self.dir, "data")
        self.log_path = os.path.join(self.dir, "log")
        self.port = unused_port()
        self.settings = dict(SETTINGS, **({} if durable else QUICK), **(settings or {}))
        atexit.register(self.remove)
        self.make()

    def make(self):
        call("initdb", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8", "--auth=trust", "--username=postgres",
             "--pgdata=" + self.data)

    # ---- running ----

    def start(self, wait=True):
        settings = dict(self.settings, port=self.port, listen_addresses="127.0.0.1", unix_socket_directories=self.dir)
        words = [word for name, value in settings.items() for word in ("-c", "%s=%s" % (name, value))]
        deadline = time.time() + 60
        while True:
            with open(self.log_path, "ab") as log:
                self.process = subprocess.Popen(as_owner("postgres", "-D", self.data, *words), stdin=subprocess.DEVNULL,
                                                stdout=log, stderr=log, cwd="/", start_new_session=True)
            while wait and self.process.poll() is None and not self.ready():
                assert time.time() < deadline, self.log()[-3000:]
                time.sleep(0.03)
            if self.process.poll() is None:
                return self
            # What is left of one that was killed holds its shared memory for a moment.
            assert time.time() < deadline and "is still in use" in self.log()[-600:], self.log()[-3000:]
            time.sleep(0.1)

    def ready(self):
        return subprocess.run([os.path.join(PROGRAMS, "pg_isready"), "-q", "-h", self.dir, "-p", str(self.port)],
                              capture_output=True).returncode == 0

    def running(self):
        return self.process is not None and self.process.poll() is None

    def processes(self):
        """The postmaster, then its children."""
        path = "/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)
        with open(path) as f:
            return [self.process.pid] + [int(p) for p in f.read().split()]

    def stop(self, number=signal.SIGINT):
        """SIGINT ends the sessions, SIGQUIT ends like a crash."""
        if self.running():
            self.process.send_signal(number)
            self.process.send_signal(signal.SIGCONT)
            try:
                self.process.wait(timeout=120)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self):
        """kill -9 of all of it at once, as when its machine goes."""
        if not self.running():
            return
        self.process.send_signal(signal.SIGSTOP)
        for pid in reversed(self.processes()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()

    def freeze(self, frozen=True):
        """Nothing of it runs, and its connections stay."""
        for pid in self.processes():
            os.kill(pid, signal.SIGSTOP if frozen else signal.SIGCONT)

    def restart(self):
        self.stop()
        return self.start()

    def remove(self):
        if self.process is not None and self.running():
            self.stop(signal.SIGQUIT)
        if self.guard.poll() is None:
            self.guard.stdin.close()
            self.guard.wait()

    def __enter__(self):
        return self if self.running() else self.start()

    def __exit__(self, kind, value, trace):
        self.remove()

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    # ---- talking to it ----

    def uri(self, database="postgres", tcp=False, port=None):
        """tcp: by 127.0.0.1 instead of the unix socket; port: of a proxy in front of it."""
        if tcp or port:
            return "postgresql://postgres@127.0.0.1:%d/%s" % (port or self.port, database)
        return "postgresql://postgres@/%s?host=%s&port=%d" % (database, self.dir, self.port)

    def environment(self):
        """In which PostgreSQL's own programs, and a URI without a host, mean this cluster."""
        return dict(os.environ, PGHOST=self.dir, PGPORT=str(self.port), PGUSER="postgres",
                    PATH=PROGRAMS + ":" + os.environ["PATH"])

    def psql(self, sql, database="postgres"):
        """The rows as text: columns are parted by |."""
        p = subprocess.run([os.path.join(PROGRAMS, "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-d",
                            self.uri(database)], input=sql, capture_output=True, text=True, timeout=120)
        assert p.returncode == 0, (sql, p.stderr, self.log()[-1500:])
        return p.stdout.rstrip("\n")

    def database(self, name=None):
        """A new empty database: its name."""
        self.databases += 1
        name = name or "d%d_%d" % (os.getpid(), self.databases)
        self.psql('CREATE DATABASE "%s"' % name)
        return name

    # ---- standbys ----

    def standby(self, name="standby", synchronous=True, durable=False):
        """A standby that follows this one, running. synchronous: a commit here waits for it from now on."""
        other = Standby(self, name, durable)
        other.start()
        if synchronous:
            self.synchronous(name)
        deadline = time.time() + 60
        wanted = "sync" if synchronous else "async"
        while self.psql("SELECT sync_state FROM pg_stat_replication WHERE application_name = '%s' AND state = "
                        "'streaming'" % name) != wanted:
            assert time.time() < deadline, (other.log()[-2000:], self.log()[-1000:])
            time.sleep(0.05)
        return other

    def synchronous(self, name=""):
        """Of whom a commit waits; "": of none."""
        self.psql("ALTER SYSTEM SET synchronous_standby_names = '%s'" % name)
        self.psql("SELECT pg_reload_conf()")

    def promote(self):
        self.psql("SELECT pg_promote(true, 60)")


class Running(Cluster):
    """A cluster that somebody else has started."""

    def __init__(self, uri):
        self.dir, self.port = re.search(r"host=([^&]*)&port=(\d+)", uri).groups()
        self.databases, self.log_path = 0, os.path.join(self.dir, "log")
        self.port = int(self.port)

    def running(self):
        return True


class Standby(Cluster):
    """A cluster that follows another."""

    def __init__(self, primary, name, durable):
        self.primary = primary
        super().__init__(durable, name=name)

    def make(self):
        call("pg_basebackup", "--no-sync", "--checkpoint=fast", "--wal-method=stream", "--pgdata=" + self.data,
             "--dbname=" + self.primary.uri().replace("/postgres?", "/?"))
        self.follow(self.primary)

    def follow(self, primary):
        """Of whom it is a standby, from its next start on."""
        self.primary = primary
        with open(os.path.join(self.data, "postgresql.auto.conf"), "a") as f:
            f.write("primary_conninfo = 'host=127.0.0.1 port=%d user=postgres application_name=%s'\n"
                    "synchronous_standby_names = ''\n" % (primary.port, self.name))
        path = os.path.join(self.data, "standby.signal")
        with open(path, "w"):
            pass
        if os.geteuid() == 0:
            shutil.chown(path, OWNER, OWNER)


_shared = []


def shared():
    """One for all tests of a file: that of SUBTOKEN_TEST_POSTGRES, or else of its own."""
    if not _shared:
        there = os.environ.get("SUBTOKEN_TEST_POSTGRES")
        _shared.append(Running(there) if there else Cluster().start())
    return _shared[0]


def standby_of(primary, synchronous=True, **more):
    return primary.standby(synchronous=synchronous, **more)


def main():
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    with Cluster() as cluster:
        sys.exit(subprocess.run(sys.argv[1:], env=dict(os.environ, SUBTOKEN_TEST_POSTGRES=cluster.uri())).returncode)


if __name__ == "__main__":
    main()
