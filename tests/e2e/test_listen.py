"""Where the server listens: several addresses, sockets in the file system, IPv6; why it cannot; and
the signals that it is sent."""
import http.client, pwd, resource, stat

from support import *

BOOK = "192.0.2.1"  # RFC 5737: no address of any machine


class Listening(Server):
    """One that listens where its configuration says."""
    threads = None  # some tests have hundreds of connections

    def __init__(self, listen, data=None, **config):
        super().__init__(data, {"listen": listen, **config})
        at = self.cmd.index("--listen")
        del self.cmd[at:at + 2]
        self.places = [listen] if isinstance(listen, str) else listen

    def start(self):
        self.stderr = open(self.log_path, "ab")
        before = self.log().count('"listening"')
        self.process = subprocess.Popen(self.cmd, stdout=subprocess.DEVNULL, stderr=self.stderr)
        deadline = time.time() + 120
        while self.log().count('"listening"') < before + len(self.places):
            assert self.process.poll() is None and time.time() < deadline, self.log()
            time.sleep(0.02)
        self.names = re.findall(r'"listening","detail":"([^"]*)"', self.log())[-len(self.places):]
        for port in re.findall(r":(\d+)$", "\n".join(self.names), re.M):
            openapi.watch(int(port))
        return self


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(self.path)


def status(connection, target="/healthz", **headers):
    connection.request("GET", target, headers={k.replace("_", "-"): v for k, v in headers.items()})
    answer = connection.getresponse()
    answer.read()
    return answer.status


def over(host, port, target="/healthz", **headers):
    connection = http.client.HTTPConnection(host, port, timeout=30)
    try:
        return status(connection, target, **headers)
    finally:
        connection.close()


def unix(path, target="/healthz", **headers):
    connection = Unix(path)
    try:
        return status(connection, target, **headers)
    finally:
        connection.close()


def refused(listen, *texts, **config):
    s = Listening(listen, **config)
    p = subprocess.run(s.cmd, capture_output=True, timeout=60)
    *logged, err = p.stderr.decode().splitlines(True)
    assert p.returncode == 3 and err.startswith("subtoken serve: "), p
    assert not logged or "metrics_listen" in config and '"metrics_listening"' in logged.pop() and not logged, p
    for text in texts:
        assert text in err, (text, err)
    return err


@test
def the_server_listens_at_several_addresses():
    """F4: addresses and a socket, each with its own line, each answered, none forgotten at the end."""
    path = os.path.join(scratch(), "s")
    with Listening(["127.0.0.1:0", "127.0.0.2:0", "unix:" + path]) as s:
        ports = [int(re.fullmatch(r"http://127\.0\.0\.%d:(\d+)" % n, s.names[n - 1])[1]) for n in (1, 2)]
        assert s.names[2] == "unix:" + path
        for _ in range(3):
            assert over("127.0.0.1", ports[0]) == 200 and over("127.0.0.2", ports[1]) == 200
            assert unix(path) == 200
        # One that is busy does not keep the others waiting.
        many = [Unix(path) for _ in range(200)]
        for c in many:
            c.connect()
        assert over("127.0.0.1", ports[0]) == 200 and over("127.0.0.2", ports[1]) == 200
        assert all(status(c) == 200 for c in many)
        [c.close() for c in many]
        lines = [l["remote"] for l in s.requests(202)]
        assert set(lines) == {"127.0.0.1", "unix:"}, set(lines)
        assert "not_behind_tls" not in s.log()
    assert not os.path.exists(path)
    for port in ports:
        try:
            over("127.0.0.1", port)
            raise AssertionError("still there")
        except OSError:
            pass


@test
def ipv6_accepts_ipv4_too():
    try:
        port = free_port("::")
    except OSError:
        return "no IPv6 here"
    with Listening("[::]:%d" % port) as s:
        assert over("127.0.0.1", port) == 200 and over("::1", port) == 200
        assert s.names == ["http://[::]:%d" % port] and "not_behind_tls" in s.log()
        lines = [l["remote"] for l in s.requests(2)]
        assert sorted(lines) == ["127.0.0.1", "::1"], lines  # an IPv4 address as it is
    # Beside an IPv4 one on that port it leaves IPv4 to it.
    with Listening(["0.0.0.0:%d" % port, "[::]:%d" % port], behind_tls=True) as s:
        assert over("127.0.0.1", port) == 200 and over("::1", port) == 200
    # The same proxy by either.
    with Listening("[::]:%d" % port, behind_tls=True, trusted_proxies=["127.0.0.1"]) as s:
        assert over("127.0.0.1", port, X_Forwarded_For="203.0.113.9") == 200
        assert s.requests()[-1]["remote"] == "203.0.113.9"


@test
def each_failure_says_what_and_where():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused("127.0.0.1:%d" % port, "cannot listen on 127.0.0.1:%d" % port, "another program listens there")
        path = os.path.join(scratch(), "s")
        refused(["unix:" + path, "127.0.0.1:%d" % port], "another program listens there")
        assert not os.path.exists(path)  # what could be had is given back
    refused(BOOK + ":8080", "cannot listen on %s:8080" % BOOK, "this machine has no such address")
    refused("unix:/nowhere/at/all", "cannot listen on unix:/nowhere/at/all", "No such file or directory")
    with Listening(["127.0.0.1:0"]) as s:  # the same one twice
        port = s.names[0].rsplit(":", 1)[1]
    twice = "the settings name this place twice"
    refused(["127.0.0.1:" + port] * 2, "cannot listen on 127.0.0.1:" + port, twice)
    refused(["0.0.0.0:" + port, "127.0.0.1:" + port], "cannot listen on 127.0.0.1:" + port, twice)
    refused(["unix:" + path] * 2, "cannot listen on unix:" + path, twice)
    refused("127.0.0.1:" + port, "cannot listen on 127.0.0.1:" + port, twice, metrics_listen="127.0.0.1:" + port)
    refused("unix:" + path, "cannot listen on unix:" + path, twice, metrics_listen="unix:" + path)
    assert not os.path.exists(path)
    for bad in ([], "nonsense", ["127.0.0.1:0", 5], ["127.0.0.1:0", "unix:relative"], ["127.0.0.1:0"] * 17):
        assert "line 1, column 2" in refused(bad, '"listen" must be ADDRESS:PORT'), bad
    if os.geteuid() == 0 and int(open("/proc/sys/net/ipv4/ip_unprivileged_port_start").read()) > 100:
        nobody = pwd.getpwnam("nobody")
        data = os.path.join(scratch(), "var")
        os.chmod(os.path.dirname(data), 0o777)
        s = Listening("127.0.0.1:99", data=data)
        os.chmod(s.dir, 0o755)
        program = os.path.join(scratch(), "subtoken")  # where anybody may read it
        os.chmod(os.path.dirname(program), 0o755)
        shutil.copy(PROGRAM, program)
        p = subprocess.run([program, *s.cmd[1:]], capture_output=True, timeout=60, user="nobody", group=nobody.pw_gid,
                           extra_groups=[])
        assert p.returncode == 3 and b"cannot listen on 127.0.0.1:99: ports below 1024 need root" in p.stderr, p


@test
def a_unix_socket_has_its_mode_and_owner():
    path = os.path.join(scratch(), "subtoken.sock")
    s = Listening("unix:" + path).start()
    mode = os.stat(path).st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o660, oct(mode)
    assert os.listdir(os.path.dirname(path)) == ["subtoken.sock"]
    # It is in use: nobody else gets it, and nothing happens to it.
    inode = os.stat(path).st_ino
    refused("unix:" + path, "another program listens there")
    assert os.stat(path).st_ino == inode and unix(path) == 200
    # Whoever dies leaves it behind; the next one takes its place.
    s.process.kill()
    s.process.wait()
    assert os.path.exists(path)
    s.start()
    assert unix(path) == 200 and os.stat(path).st_ino != inode
    # Another took its place in turn: that is not ours to remove.
    os.rename(path, path + ".ours")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        s.stop()
        assert os.path.exists(path)
    os.unlink(path)
    # A file that is no socket stays what it is, and so does what a link leads to.
    with open(path, "w") as f:
        f.write("precious")
    refused("unix:" + path, "no socket")
    os.rename(path, path + ".file")
    os.symlink(path + ".file", path)
    refused("unix:" + path, "no socket")
    assert open(path + ".file").read() == "precious"


@test
def two_that_start_at_once_do_not_share_a_socket():
    path = os.path.join(scratch(), "s")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)  # left by somebody
    servers = [Listening("unix:" + path) for _ in range(4)]
    processes = [subprocess.Popen(s.cmd, stderr=open(s.log_path, "wb")) for s in servers]
    deadline = time.time() + 120
    while sum(p.poll() is None for p in processes) > 1 and time.time() < deadline:
        time.sleep(0.02)
    living = [p for p in processes if p.poll() is None]
    assert len(living) == 1, [s.log() for s in servers]
    deadline = time.time() + 120
    while True:
        try:
            assert unix(path) == 200
            break
        except OSError:
            assert time.time() < deadline
            time.sleep(0.05)
    living[0].terminate()
    assert living[0].wait(timeout=120) == 0 and not os.path.exists(path)
    assert all(p.returncode == 3 for p in processes if p is not living[0])


@test
def a_proxy_at_a_unix_socket_is_trusted_by_the_setting_alone():
    """Callers through a socket are one, unless trusted_proxies says `unix:`."""
    path = os.path.join(scratch(), "s")
    for trusted, remote in (([], "unix:"), (["127.0.0.1"], "unix:"), (["unix:"], "203.0.113.9")):
        with Listening("unix:" + path, trusted_proxies=trusted) as s:
            assert unix(path, X_Forwarded_For="203.0.113.9:4711") == 200
            assert s.requests()[-1]["remote"] == remote, s.requests()


@test
def a_new_address_needs_a_restart():
    with Listening(["127.0.0.1:0"]) as s:
        for listen, word in ((["127.0.0.1:0", "127.0.0.2:0"], "reload_failed"), ("127.0.0.1:0", "reloaded"),
                             ("127.0.0.1:1", "reload_failed")):
            before = s.log().count('"%s"' % word)
            s.write_config({"listen": listen})
            s.process.send_signal(signal.SIGHUP)
            deadline = time.time() + 120
            while s.log().count('"%s"' % word) == before:
                assert time.time() < deadline, (listen, s.log())
                time.sleep(0.02)


@test
def the_demo_of_a_unix_socket_can_be_pasted():
    path, data = os.path.join(scratch(), "s"), data_dir()
    config = os.path.join(scratch(), "config")
    with open(config, "w") as f:
        json.dump({"listen": "unix:" + path}, f)
    p = subprocess.Popen([PROGRAM, "serve", "--demo", "--data", data, "--config", config], stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, text=True)
    lines = []
    while not any("/v1/auth/login" in l for l in lines):
        lines.append(p.stdout.readline())
    pasted = [l.strip() for l in lines if l.startswith("  curl ")]
    assert len(pasted) == 4, lines
    assert "on the page" not in "".join(lines), lines  # no browser opens a socket
    outs = [subprocess.run(["bash", "-c", l], capture_output=True, text=True, timeout=60).stdout for l in pasted]
    assert "subtoken" in outs[0] and '"type":"Subtoken"' in outs[1] and "text" in outs[2], outs
    assert "access_token" in outs[3], outs
    p.terminate()
    assert p.wait(timeout=120) == 0


# ---- signals (F5) ----

def wait_until(what, s):
    deadline = time.time() + 120
    while not what():
        assert time.time() < deadline and s.process.poll() is None, s.log()
        time.sleep(0.02)


@test
def sigusr1_reopens_the_log_alone():
    where = os.path.join(scratch(), "log")
    s = Listening("127.0.0.1:0", log=where)
    s.log = lambda: open(where).read() if os.path.exists(where) else ""
    with s:
        port = int(s.names[0].rsplit(":", 1)[1])
        os.rename(where, where + ".1")
        s.write_config("this is no configuration")  # which is not looked at
        s.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: '"log_reopened"' in s.log(), s)
        assert over("127.0.0.1", port) == 200
        wait_until(lambda: '"request"' in s.log(), s)
        assert '"request"' not in open(where + ".1").read()
        # One that cannot be opened: told in the old one, which goes on.
        os.rename(where, where + ".2")
        os.mkdir(where)
        s.process.send_signal(signal.SIGUSR1)
        old = lambda: open(where + ".2").read()
        wait_until(lambda: '"log_reopen_failed"' in old(), s)
        assert over("127.0.0.1", port) == 200
        os.rmdir(where)
        s.process.send_signal(signal.SIGHUP)  # still the configuration
        wait_until(lambda: '"reload_failed"' in old(), s)


@test
def sigquit_ends_it_well_and_sigusr2_does_not():
    for number in (signal.SIGQUIT, signal.SIGTERM, signal.SIGINT):
        path = os.path.join(scratch(), "s")
        with Listening(["127.0.0.1:0", "unix:" + path]) as s:
            for ignored in (signal.SIGUSR2, signal.SIGUSR2):
                before = s.log().count('"signal_ignored"')
                s.process.send_signal(ignored)
                wait_until(lambda: s.log().count('"signal_ignored"') > before, s)
            assert unix(path) == 200
            s.stop(number=number)
            events = [l["event"] for l in s.log_lines()]
            assert "stopping" in events and "drain_timeout" not in events and not os.path.exists(path), events


@test
def a_limit_of_file_sizes_does_not_kill_it():
    where = os.path.join(scratch(), "log")
    s = Listening("127.0.0.1:0", log=where)
    s.log = lambda: open(where).read() if os.path.exists(where) else ""
    with s:
        port = int(s.names[0].rsplit(":", 1)[1])
        resource.prlimit(s.process.pid, resource.RLIMIT_FSIZE, (1000, 1000))
        for _ in range(30):
            assert over("127.0.0.1", port) == 200
        time.sleep(0.1)
        assert s.process.poll() is None and over("127.0.0.1", port) == 200


main()
