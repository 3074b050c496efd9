"""GET /metrics of the server, at both its places, and of `pull`: the formats, which checkers of others read (promtool, and
the parser of Python's client for OpenMetrics), what is counted, what no label ever holds, and the trace context in the
log. What real scrapes make of it: test_prometheus.py."""
import http.client
from collections import Counter
from feed import *
from machine import alone
from manpages import PAGES, literals, section

OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
HOSTILE = 'x"\\\n{}/<script>'


class Metered(SmallServer):
    """A server with metrics_listen; its port is metrics_port."""

    def __init__(self, data=None, config=None):
        super().__init__(data, {**(config or {}), "metrics_listen": "127.0.0.1:0"})

    def start(self):
        super().start()
        self.metrics_port = metrics_port(self.log())
        return self


def metrics_port(log):
    return int(re.findall(r'"metrics_listening","detail":"http://[^"]*:(\d+)"', log)[-1])


def get(port, path="/metrics", method="GET", headers={}, body=None):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        c.request(method, path, headers=headers, body=body)
        r = c.getresponse()
        return r.status, dict((n.lower(), v) for n, v in r.getheaders()), r.read().decode()
    finally:
        c.close()


def parse(text):
    """{name: {frozenset(labels): value}} of samples, read by rules of our own: what is not one line of the form is wrong."""
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name, labels, value = re.fullmatch(r'([a-z_]+)(?:\{(.*)\})? (-?[0-9.]+)', line).groups()
        pairs = re.findall(r'([a-z]+)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)', labels or "")
        assert ",".join('%s="%s"' % p for p in pairs) == (labels or ""), line
        key = frozenset(pairs)
        assert key not in found.setdefault(name, {}), "twice: " + line
        found[name][key] = float(value)
    return found


def sample(metrics, name, **labels):
    return metrics.get(name, {}).get(frozenset(labels.items()), 0)


def metrics_of(port):
    status, headers, text = get(port)
    assert status == 200 and headers["content-type"] == OPEN and text.endswith("# EOF\n"), (status, headers, text[:200])
    return parse(text)


def checked_by_promtool(text):
    p = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    assert p.returncode == 0 and p.stderr.strip() == "", (p.stdout, p.stderr)


def checked_by_the_python_client(text):
    from prometheus_client.openmetrics.parser import text_string_to_metric_families
    return {f.name: f for f in text_string_to_metric_families(text)}


def counted(server, requests):
    """The metrics once so many requests are: one is counted when its answer has been sent."""
    found = {}
    wait(lambda: found.update(metrics_of(server.metrics_port))
         or sum(found.get("subtoken_http_requests_total", {}).values()) >= requests, "%d requests are counted" % requests)
    return found


def exercise(server):
    """A request of each kind; the metrics once they are counted."""
    key = make_key(server.data, "account,revocations")["key"]
    let_others_learn()
    token = curl(server.url + "/v2/createsubtoken?permissions=account", *bearer(key)).json()["subtoken"]
    curl(server.url + "/v2/createsubtoken", *bearer("nonsense"))
    for url, method in (("/v2/account", "GET"), ("/v2/account?q", "GET")):
        curl(server.url + "/v2/authorize", *bearer(token), "-H", "X-Original-URI: " + url, "-H", "X-Original-Method: " + method)
    curl(server.url + "/v2/authorize", *bearer(forged(token)), "-H", "X-Original-URI: /", "-H", "X-Original-Method: GET")
    curl(server.url + "/v2/keys/01234567-89AB-CDEF-0123-456789ABCDEF", *bearer(key))
    with http_client(server) as c:
        c.request("GET", "/v2/revocations", headers={"Authorization": "Bearer " + key})
        assert c.getresponse().read()
    return counted(server, 7)


class http_client:
    def __init__(self, server):
        self.c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)

    def __enter__(self):
        return self.c

    def __exit__(self, *ignored):
        self.c.close()


@test
def both_formats_are_what_others_read():
    with Metered() as server:
        exercise(server)
        status, headers, text = get(server.metrics_port, headers={"Accept": "text/plain"})
        assert status == 200 and headers["content-type"] == TEXT and "# EOF" not in text
        checked_by_promtool(text)
        plain = parse(text)
        _, headers, text = get(server.metrics_port)
        assert headers["content-type"] == OPEN
        families = checked_by_the_python_client(text)
        assert families["subtoken_http_requests"].type == "counter"
        assert families["subtoken_http_request_duration_seconds"].type == "histogram"
        assert families["subtoken_build"].type == "info"
        opened = parse(text)
        assert set(plain) == set(opened)
        for name in set(plain) - {"process_cpu_seconds_total"}:
            assert set(plain[name]) == set(opened[name]), name


@test
def who_asks_chooses_the_format():
    prometheus = ("application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
                  "text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
    newer = ("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
             "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
             "text/plain;version=0.0.4;q=0.3,*/*;q=0.2")
    with Metered() as server:
        for accept, wanted in ((prometheus, OPEN), (newer, OPEN), ("*/*", OPEN), ("text/plain;version=0.0.4", TEXT),
                               ("text/*", TEXT), ("application/openmetrics-text;q=0.1,text/plain;q=0.2", TEXT)):
            assert get(server.metrics_port, headers={"Accept": accept})[1]["content-type"] == wanted, accept


@test
def what_happens_is_counted():
    with Metered() as server:
        before = metrics_of(server.metrics_port)
        assert sample(before, "subtoken_tokens_issued_total") == 0
        assert sample(before, "subtoken_decisions_total", reason="ok") == 0
        assert frozenset([("event", "store_error")]) in before["subtoken_log_events_total"]
        assert "subtoken_feed_sequence" not in before
        after = exercise(server)
        requests = "subtoken_http_requests_total"
        assert sample(after, requests, route="/v2/createsubtoken", method="GET", code="200") == 1
        assert sample(after, requests, route="/v2/createsubtoken", method="GET", code="401") == 1
        assert sample(after, requests, route="/v2/keys/*", method="GET", code="403") == 1
        assert sample(after, requests, route="/v2/authorize", method="GET", code="200") == 2
        assert sample(after, "subtoken_tokens_issued_total") == 1
        assert sample(after, "subtoken_decisions_total", reason="ok") == 2
        assert sample(after, "subtoken_decisions_total", reason="mac") == 1
        assert sample(after, "subtoken_http_refusals_total", reason="mac") == 1
        durations = after["subtoken_http_request_duration_seconds_count"]
        assert sum(durations.values()) == sum(after[requests].values())
        assert sample(after, "subtoken_http_request_duration_seconds_bucket", route="/v2/authorize", le="+Inf") == 3
        buckets = [sample(after, "subtoken_http_request_duration_seconds_bucket", route="/v2/authorize", le=le)
                   for le in re.findall(r'route="/v2/authorize",le="([^"]+)"', get(server.metrics_port)[2])]
        assert buckets == sorted(buckets) and len(buckets) == 18, buckets
        assert sample(after, "subtoken_keys") in (0, 1)  # at most a minute old
        assert sample(after, "subtoken_feed_sequence") > 0 and sample(after, "subtoken_feed_age_seconds") <= 60
        assert sample(after, "subtoken_ring_secrets") == 1
        assert sample(after, "subtoken_store_up") == 1
        assert sample(after, "subtoken_store_info", kind="postgresql" if STORE else "sqlite") == 1
        assert sample(after, "subtoken_http_threads") == 16
        assert sample(after, "process_resident_memory_bytes") > 1000000
        assert abs(sample(after, "process_start_time_seconds") - time.time()) < 300
        assert sample(after, "process_open_fds") > 5 and sample(after, "process_threads") > 16


@test
def keys_are_counted_and_those_that_end_soon():
    data = data_dir()
    for expires in ("never", "1d", "29d", "31d"):
        make_key(data, "account", "--expires", expires)
    with Metered(data) as server:
        found = metrics_of(server.metrics_port)
        assert sample(found, "subtoken_keys") == 4 and sample(found, "subtoken_keys_expiring") == 2

        def logged():
            return Counter(l["event"] for l in server.log_lines() if l["event"] != "request")
        wait(lambda: "keys_expiring" in logged())
        # Whatever writes it, each line is counted.
        wait(lambda: {dict(k)["event"]: int(v) for k, v in
                      metrics_of(server.metrics_port)["subtoken_log_events_total"].items() if v > 0} == dict(logged()))


@test
def the_key_needs_the_permission():
    with Metered() as server:
        good, poor = make_key(server.data, "metrics,account")["key"], make_key(server.data, "account")["key"]
        let_others_learn()
        assert curl(server.url + "/metrics").status == 401
        refused = curl(server.url + "/metrics", *bearer(poor))
        assert refused.status == 403 and refused.json() == {"text": "requires scope metrics"}
        answer = curl(server.url + "/metrics", *bearer(good))
        assert answer.status == 200 and answer.header("Content-Type") == OPEN and answer.body.endswith("# EOF\n")
        assert answer.header("Cache-Control") == "no-store"
        token = curl(server.url + "/v2/createsubtoken?permissions=metrics&urls=/metrics", *bearer(good)).json()["subtoken"]
        narrowed = curl(server.url + "/metrics", *bearer(token), "-H", "Accept: text/plain")
        assert narrowed.status == 200 and narrowed.header("Content-Type") == TEXT
        other = curl(server.url + "/v2/createsubtoken?permissions=account", *bearer(good)).json()["subtoken"]
        assert curl(server.url + "/metrics", *bearer(other)).status == 403
        head = curl(server.url + "/metrics", *bearer(good), "--head")
        assert head.status == 200 and int(head.header("Content-Length")) > 1000 and head.body == ""
        assert curl(server.url + "/metrics", "-X", "POST", *bearer(good)).status == 405


@test
def no_label_holds_what_a_caller_chose():
    with Metered() as server:
        key = json.loads(run("key", "create", "--name", "evil-name", "--permissions", "account", "--owner", "evil-owner",
                             "--json", data=server.data, check=0)[1])["key"]
        let_others_learn()
        with socket.create_connection(("127.0.0.1", server.port)) as s:
            for method, target in (("EVIL-METHOD", "/v2/keys"), ("GET", "/evil-path"), ("GET", "/v2/keys/evil-id"),
                                   ("GET", "/v2/authorize/evil"), ("PUT", "/page/evil-page"), ("GET", "/metrics/evil")):
                s.sendall(request(target, method, headers=["traceparent: evil-trace", "X-Evil: evil", "Origin: evil"], key=key))
                assert s.recv(65536)
        curl(server.url + "/v1/auth/login", "--json", '{"login":"evil-login","password":"evil-password"}')
        found = counted(server, 7)
        text = get(server.metrics_port)[2]
        assert "evil" not in text.lower(), [l for l in text.splitlines() if "evil" in l.lower()]
        assert sample(found, "subtoken_http_requests_total", route="other", method="GET", code="404") == 2
        assert any(dict(k)["method"] == "other" for k in found["subtoken_http_requests_total"])


@test
def the_place_for_metrics_has_nothing_else():
    with Metered() as server:
        port = server.metrics_port
        assert get(port, "/v2/keys")[0] == 404 and get(port, "/")[0] == 404
        status, headers, _ = get(port, method="POST")
        assert status == 405 and headers["allow"] == "GET, HEAD"
        assert get(port, method="POST", body="x")[0] == 413
        status, headers, text = get(port, method="HEAD")
        assert status == 200 and int(headers["content-length"]) > 1000 and text == ""
        assert get(port, "/metrics?collect=x")[0] == 200
        with socket.create_connection(("127.0.0.1", port)) as s:  # two in one packet, then nonsense
            s.sendall(request("/nothing") * 2 + b"nonsense\r\n\r\n")
            text = b""
            while more := s.recv(65536):
                text += more
            assert text.count(b"HTTP/1.1 404") == 2 and text.count(b"HTTP/1.1 400") == 1, text


@test
def who_does_not_end_a_request_keeps_nobody_from_asking():
    """More connections than there are places for, each in a way of its own: they make room at once."""
    with Metered() as server:
        port, key = server.metrics_port, private_file(make_key(server.data, "revocations")["key"])
        let_others_learn()
        log_path = os.path.join(scratch(), "log")
        p = subprocess.Popen([PROGRAM, "pull", "--from", server.url, "--to", os.path.join(scratch(), "feed"), "--key-file",
                              key, "--metrics-listen", "127.0.0.1:0"], stderr=open(log_path, "w"))
        try:
            wait(lambda: "metrics_listening" in open(log_path).read())
            for port in (server.metrics_port, metrics_port(open(log_path).read())):
                for begun in (b"", b"G", b"GET /metrics HTTP/1.1\r\nHost: x\r\n", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\nGET"):
                    crowd = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
                    for s in crowd:
                        try:
                            s.sendall(begun)
                        except ConnectionError:  # closed for another one already
                            pass
                    before = time.monotonic()
                    assert get(port)[0] == 200
                    assert alone(before) < 5, begun  # a request has ten seconds
                    for s in crowd:
                        s.close()
        finally:
            p.terminate()
            assert p.wait(timeout=60) == 0


@test
def who_does_not_take_an_answer_keeps_nobody_from_asking():
    with Metered() as server:
        crowd = []
        for _ in range(40):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            s.connect(("127.0.0.1", server.metrics_port))
            crowd.append(s)
            try:
                s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 400)
            except ConnectionError:  # closed for another one already
                pass

        def answered():
            try:
                return get(server.metrics_port)[0] == 200
            except (ConnectionError, http.client.HTTPException):
                return False
        before = time.monotonic()
        wait(answered)
        assert alone(before) < 8
        for s in crowd:
            s.close()


@test
def it_answers_when_every_thread_is_taken():
    with Metered(config={"threads": 2}) as server:
        held = []

        def taken():
            """Two threads wait for the rest of a request, which does not come; one that was cut is replaced."""
            if sample(metrics_of(server.metrics_port), "subtoken_http_connections") >= 2:
                return True
            held.append(socket.create_connection(("127.0.0.1", server.port)))
            held[-1].sendall(b"GET /healthz HTTP/1.1\r\n")

        wait(taken)
        for s in held:
            s.close()


@test
def they_can_be_turned_off():
    with SmallServer(config={"metrics": False}) as server:
        key = make_key(server.data, "metrics")["key"]
        let_others_learn()
        answer = curl(server.url + "/metrics", *bearer(key))
        assert answer.status == 404 and "metrics" in answer.json()["text"]
        server.write_config({"metrics": True})
        server.process.send_signal(signal.SIGHUP)
        wait(lambda: curl(server.url + "/metrics", *bearer(key)).status == 200)
        server.write_config({"metrics_listen": "127.0.0.1:0"})
        server.process.send_signal(signal.SIGHUP)
        wait(lambda: "metrics_listen: a new value needs a restart" in server.log())
        found = parse(curl(server.url + "/metrics", *bearer(key)).body)
        assert sample(found, "subtoken_config_last_reload_successful") == 0
        assert sample(found, "subtoken_log_events_total", event="reload_failed") == 1
    data = data_dir()
    for config, says in (({"metrics": False, "metrics_listen": "127.0.0.1:0"}, "metrics_listen needs metrics"),
                         ({"metrics_listen": "nowhere"}, '\\"metrics_listen\\" must be'), ({"metrics": 1}, "true or false")):
        path = private_file(json.dumps(config))
        code, _, err = run("serve", "--config", path, "--listen", "127.0.0.1:0", data=data)
        assert code != 0 and says.replace("\\", "") in err, (config, err)


@test
def a_place_that_is_taken_is_named():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        path = private_file(json.dumps(dict({"store": store_of(data)} if (data := data_dir()) and store_of(data) else {},
                                            metrics_listen="127.0.0.1:%d" % s.getsockname()[1])))
        code, _, err = run("serve", "--config", path, "--listen", "127.0.0.1:0", data=data)
        assert code == 3 and "cannot listen on 127.0.0.1:%d" % s.getsockname()[1] in err, err


@test
def a_secret_keeps_its_age():
    data = data_dir()
    with Metered(data) as server:
        wait(lambda: sample(metrics_of(server.metrics_port), "subtoken_ring_secret_age_seconds", kid="-", signs="true") >= 1)
    run("secret", "rotate", data=data, check=0)
    with Metered(data) as server:
        ages = metrics_of(server.metrics_port)["subtoken_ring_secret_age_seconds"]
        assert len(ages) == 2, ages
        old = ages[frozenset([("kid", "-"), ("signs", "false")])]
        (new,) = [v for k, v in ages.items() if dict(k)["signs"] == "true"]
        assert old >= 1 and old >= new, ages


@test
def pull_has_its_own():
    with SmallServer() as server:
        key_path = private_file(make_key(server.data, "revocations")["key"])
        let_others_learn()
        d = scratch()
        log_path = os.path.join(d, "log")
        p = subprocess.Popen([PROGRAM, "pull", "--from", server.url, "--to", os.path.join(d, "feed"), "--key-file", key_path,
                              "--metrics-listen", "127.0.0.1:0"], stderr=open(log_path, "w"))
        try:
            wait(lambda: "metrics_listening" in open(log_path).read())
            port = metrics_port(open(log_path).read())
            wait(lambda: sample(metrics_of(port), "subtoken_pull_sequence") > 0)
            found = metrics_of(port)
            assert sample(found, "subtoken_pull_rounds_total", outcome="current") >= 1
            assert sample(found, "subtoken_pull_rounds_total", outcome="failed") == 0
            assert sample(found, "subtoken_pull_age_seconds") < 60
            assert sample(found, "subtoken_pull_snapshot_bytes") == os.path.getsize(os.path.join(d, "feed"))
            assert abs(sample(found, "subtoken_pull_last_success_timestamp_seconds") - time.time()) < 60
            assert sample(found, "subtoken_log_events_total", event="pulled") >= 1
            checked_by_promtool(get(port, headers={"Accept": "text/plain"})[2])
            checked_by_the_python_client(get(port)[2])
            described(set(found), "Pull")
            server.stop()
            wait(lambda: sample(metrics_of(port), "subtoken_pull_rounds_total", outcome="failed") >= 1)
        finally:
            p.terminate()
            assert p.wait(timeout=60) == 0
        for args, says in ((["--once", "--metrics-listen", "127.0.0.1:0"], "not for --once"),
                           (["--metrics-listen", "x"], "--metrics-listen must be")):
            code, _, err = run("pull", "--from", server.url, "--to", os.path.join(d, "feed"), "--key-file", key_path, *args)
            assert code == 2 and says in err, err


def described(names, heading):
    """Each sample's family is in subtoken_metrics(7), and each of those under the heading is there."""
    page = PAGES["subtoken_metrics.7"]
    shown = {h: set(re.findall(r"^\.It Va (\w+)$", re.search(r"^\.Ss %s\n(.*?)(?=^\.S[sh] )" % h, page, re.S | re.M).group(1), re.M))
             for h in ("The server", "Pull", "Both")}
    optional = {"process_virtual_memory_max_bytes"}
    have = {re.sub(r"(_seconds)_(bucket|sum|count)$", r"\1", n) for n in names} | optional
    assert have == shown[heading] | shown["Both"], have ^ (shown[heading] | shown["Both"])


@test
def the_manual_names_each():
    with Metered() as server:
        described(set(exercise(server)) | {"subtoken_http_notices_total"}, "The server")
    (config,) = literals(section("subtoken_metrics.7", "EXAMPLES"))
    path = private_file(config.replace("/etc/prometheus/subtoken.key", private_file("key")))
    subprocess.run(["promtool", "check", "config", path], check=True, stdout=subprocess.DEVNULL)


@test
def a_trace_is_in_the_log():
    trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    good = "00-%s-%s-01" % (trace, span)
    good_ones = [good, "cc-%s-%s-01-what-comes-later" % (trace, span)]
    bad_ones = [good.upper(), good[:-1], good + "-x", good.replace(trace, "0" * 32), good.replace(span, "0" * 16),
                "ff" + good[2:], good.replace("-", "_"), good + ", " + good, HOSTILE.replace("\n", ""), ""]
    with SmallServer() as server:
        for i, value in enumerate(good_ones + bad_ones):  # the lines may be in another order
            curl(server.url + "/healthz/%d" % i, "-H", "Traceparent: " + value)
        curl(server.url + "/healthz/twice", "-H", "traceparent: " + good, "-H", "traceparent: " + good)
        count = len(good_ones + bad_ones) + 1
        lines = {l["path"].rpartition("/")[2]: (l.get("trace_id"), l.get("span_id")) for l in server.requests(count)}
        for i in range(count - 1):
            assert lines[str(i)] == ((trace, span) if i < len(good_ones) else (None, None)), (i, lines)
        assert lines["twice"] == (None, None)


main()
