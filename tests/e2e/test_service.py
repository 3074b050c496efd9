"""What systemd is told by `serve` and `pull`, and when: sd_notify(3) over a real socket."""
from support import *


class Manager:
    """systemd's side of NOTIFY_SOCKET."""

    def __init__(self, **environment):
        self.path = os.path.join(scratch(), "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(60)
        self.env = dict(os.environ, NOTIFY_SOCKET=self.path, **environment)
        self.heard = []

    def hear(self, wanted):
        """Everything up to the first message that begins with wanted, as a list."""
        begin = len(self.heard)
        while not self.heard[begin:] or not self.heard[-1].startswith(wanted):
            self.heard.append(self.socket.recv(4096).decode())
        return self.heard[begin:]


@test
def serve_is_ready_when_it_answers():
    manager = Manager()
    with SmallServer(config={}, env=manager.env) as server:
        told = manager.hear("READY=1")
        assert told == ["STATUS=listening on " + server.url, "READY=1"], told
        assert request_status(server.url + "/healthz") == 200
        server.stop()
    assert manager.hear("STOPPING=1") == ["STOPPING=1"]


def request_status(url):
    return curl(url).status


@test
def a_reload_ends_in_ready_also_when_it_fails():
    manager = Manager()
    with SmallServer(config={}, env=manager.env) as server:
        manager.hear("READY=1")
        for config, status in (({"leeway": 30}, "STATUS=listening on "), ("{", "STATUS=the old settings are in force: ")):
            server.write_config(config)
            server.process.send_signal(signal.SIGHUP)
            told = manager.hear("READY=1")
            assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", told[0]) and told[1].startswith(status), told
            assert "\n" not in told[1] and "listening on " + server.url in told[1] and len(told) == 3, told


@test
def the_watchdog_hears_from_both_as_often_as_it_must():
    manager = Manager(WATCHDOG_USEC="400000")
    with SmallServer(config={}, env=manager.env) as server:
        manager.hear("READY=1")
        for _ in range(3):
            assert manager.hear("WATCHDOG=1")[-1] == "WATCHDOG=1"
        key = make_key(server.data, "revocations")["key"]
        puller = Manager(WATCHDOG_USEC="400000")
        p = subprocess.Popen([PROGRAM, "pull", "--from", server.url, "--to", os.path.join(scratch(), "revocations"),
                              "--key-file", private_file(key), "--every", "1h"], env=puller.env, stderr=subprocess.DEVNULL)
        try:
            told = puller.hear("READY=1")
            assert any(re.match(r"STATUS=sequence=\d+ ", m) for m in told), told
            for _ in range(3):  # while a request is held back by the server
                puller.hear("WATCHDOG=1")
        finally:
            p.terminate()
            assert p.wait(timeout=60) == 0
    # With another process's watchdog none of ours does anything.
    other = Manager(WATCHDOG_USEC="400000", WATCHDOG_PID="1")
    with SmallServer(config={}, env=other.env) as server:
        other.hear("READY=1")
        server.stop()
    assert "WATCHDOG=1" not in other.hear("STOPPING=1") + other.heard, other.heard


@test
def pull_is_ready_though_the_server_is_down():
    manager = Manager()
    port = free_port()
    p = subprocess.Popen([PROGRAM, "pull", "--from", "http://127.0.0.1:%d" % port, "--to", os.path.join(scratch(), "revocations"),
                          "--key-file", private_file("x" * 72)], env=manager.env, stderr=subprocess.DEVNULL)
    try:
        told = manager.hear("READY=1")
        assert told[0].startswith("STATUS=") and len(told[0]) > len("STATUS="), told
    finally:
        p.terminate()
        assert p.wait(timeout=60) == 0


main()
