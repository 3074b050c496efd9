"""subtoken_status of the nginx module: what its workers count, in both text formats; what its variables are in the log
lines of refused requests; trace context."""
from metrics_text import read_metrics, total
from nginx import *

STATUS = "location = /metrics { subtoken off; subtoken_status; access_log off; }"
OPENMETRICS = "application/openmetrics-text"
PLAIN = "text/plain; version=0.0.4; charset=utf-8"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def metrics(n, accept=None):
    answer = n.ask("/metrics", *(["Accept: " + accept] if accept else []))
    assert answer.status == 200, (answer.status, answer.body)
    return read_metrics(answer.body)


def decisions(n):
    """What came of how many requests: those above zero."""
    out = {}
    for (name, labels), value in metrics(n).items():
        if name == "subtoken_nginx_decisions_total" and value:
            reason = dict(labels)["reason"]
            out[reason] = out.get(reason, 0) + int(value)
    return out


@test
def each_format_is_to_be_had():
    """By Accept, as Prometheus and others ask; GET and HEAD alone; promtool takes the plain one."""
    prometheus = OPENMETRICS + ";version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
    plain = "text/plain;q=0.5, "  # what is taken where OpenMetrics is not named, or not in a way that can be read
    cases = [(None, True), ("*/*", True), ("text/plain", False), ("text/html", True), ("", True), (OPENMETRICS, True), (prometheus, True),
             ("text/*", False), ("application/*", True), (OPENMETRICS + "; version=\"1.0.0\" ; q=0.5, text/plain;q=0.4", True),
             (OPENMETRICS + ";q=0.4, text/plain;q=0.5", False), (OPENMETRICS + ";q=0.5, text/plain;q=0.5", True), ("text/plain;version=0.0.4", False),
             ("text/plain;version=3, " + OPENMETRICS + ";q=0.1", True), (OPENMETRICS + ";q=0, */*;q=0.1", False), ("text/plain;q=0, */*", True),
             ("TEXT/PLAIN", False), (",;=,;;,text/plain", False), ("text/plain;q=0.001, text/*;q=0", False),
             ("text/plain;q=0.9, text/plain;q=0.1, " + OPENMETRICS + ";q=0.5", False), ("\ttext/plain\t;\tq=0.5\t,\t" + OPENMETRICS + ";q=0.4", False)]
    cases += [(plain + OPENMETRICS + rest, False) for rest in (";version=2.0.0", ";q=0", ";q=2", ";q=", ";q=0.5555", ";q=.5", ";q=1.001", ";q=0,6", ";q=-1", "2", "; q = 1", ";q=05", ";q=0.5x", ";q=0./5", ";version=\"1.0.0")]
    cases += [(plain + OPENMETRICS + rest, True) for rest in (";version=0.0.1", ";Q=1.000", ";q=0.501", ";q=1.", ";escaping=allow-utf-8")]
    with Nginx(ON + STATUS) as n:
        n.ask("/a", token=n.token())
        for accept, openmetrics in cases:
            answer = n.ask("/metrics", *(["Accept: " + accept] if accept is not None else []))
            kind = answer.header("Content-Type")
            assert kind == (OPENMETRICS + "; version=1.0.0; charset=utf-8" if openmetrics else PLAIN), (accept, kind)
            assert answer.body.endswith("# EOF\n") == openmetrics and answer.header("Cache-Control") == "no-store", accept
            assert ("# TYPE subtoken_nginx_decisions counter\n" in answer.body) == openmetrics, accept
        head = n.ask("/metrics", method="HEAD")
        assert (head.status, head.body) == (200, "") and int(head.header("Content-Length")) > 1000
        assert n.status("/metrics", method="POST", body=b"x") == 405
        plain = n.ask("/metrics", "Accept: text/plain").body
        assert read_metrics(plain) == read_metrics(n.ask("/metrics", "Accept: " + OPENMETRICS).body)
        p = subprocess.run(["promtool", "check", "metrics"], input=plain.encode(), capture_output=True)
        assert (p.returncode, p.stdout + p.stderr) == (0, b""), (p.stdout, p.stderr)


@test
def every_decision_is_counted_once():
    """By its reason, whatever it took: variables that read it early, error pages, subrequests; and by its status."""
    server = """subtoken on; subtoken_policy %(dir)s/policy.json; set $early $subtoken_result;
      location / { proxy_pass http://api; }
      location /login/ { error_page 401 403 /page; proxy_pass http://api; }
      location = /page { return 200 "log in"; }
      location = /off { subtoken off; return 200 "x"; }
      location = /denied { deny all; proxy_pass http://api; }
      location = /mirror { mirror /a; proxy_pass http://api; }
    """ + STATUS
    n = Nginx(server)
    policy(n, {"default": "deny", "routes": [{"path": "/a", "needs": ["account"]}, {"path": "/adm", "needs": ["admin"]},
        {"path": "/pub", "public": True}, {"path": "/page", "public": True}, {"path": "/login/x", "needs": ["admin"]},
        {"path": "/denied", "public": True}, {"path": "/mirror", "needs": ["account"]}]})
    with n:
        t = n.token()
        seen = [n.status(*w, token=k) for w, k in [
            (["/a"], t), (["/a"], None), (["/adm"], t), (["/nowhere"], t), (["/pub"], t), (["/login/x"], t), (["/login/x"], None),
            (["/a"], "x.y.z"), (["/a"], t[:-2] + ("AA" if t[-2:] != "AA" else "BB")), (["/off"], t), (["/denied"], t), (["/a%2fb"], t)]]
        assert seen == [200, 401, 403, 403, 200, 403, 401, 401, 401, 200, 403, 400], seen
        assert n.status("/mirror", token=t) == 200
        expected = {}
        for reason in ["ok", "auth_missing", "perm", "url", "public", "perm", "auth_missing", "malformed", "mac", "bad_target", "ok", "ok"]:
            expected[reason] = expected.get(reason, 0) + 1
        wait(lambda: sum(decisions(n).values()) >= sum(expected.values()), "each is counted")
        assert decisions(n) == expected, (decisions(n), expected)
        found = metrics(n)
        assert total(found, "subtoken_nginx_http_requests_total", code="403") == 3, found  # not the one that deny refused
        count = total(found, "subtoken_nginx_http_request_duration_seconds_count")
        assert count == total(found, "subtoken_nginx_http_requests_total") == sum(expected.values()) - 1  # without the subrequest
        assert count == total(found, "subtoken_nginx_http_request_duration_seconds_bucket", le="+Inf")


@test
def workers_count_apart_and_go_on():
    """Each under its number, over a reload, and when another takes its place; those that are gone load nothing."""
    with Nginx(ON + STATUS, http=WORKER, workers=2) as n:
        t = n.token()
        assert of_both(n, 200, t)
        def of(reason="ok"):
            found = metrics(n)
            return [total(found, "subtoken_nginx_decisions_total", worker=str(w), reason=reason) for w in (0, 1)]
        wait(lambda: min(of()) >= 1, "both have counted")
        before, old = of(), n.workers()
        n.reload()
        wait(lambda: len(n.workers()) == 2 and not set(old) & set(n.workers()) and of_both(n, 200, t), "both are new")
        wait(lambda: sum(of()) > sum(before) and min(a - b for a, b in zip(of(), before)) >= 0, "they count on")
        pids, before = n.workers(), of()
        os.kill(pids[0], signal.SIGTERM)
        wait(lambda: len(n.workers()) == 2 and pids[0] not in n.workers(), "another takes its place")
        assert min(a - b for a, b in zip(of(), before)) >= 0
        def ages():
            return sorted(dict(l)["worker"] for (name, l) in metrics(n) if name == "subtoken_nginx_feed_age_seconds")
        wait(lambda: ages() == ["0", "1"], "both have their data")
        n.configure(workers=1)
        n.reload()
        wait(lambda: len(n.workers()) == 1 and ages() == ["0"], "one is left")
        assert min(a - b for a, b in zip(of(), before)) >= 0


@test
def what_is_loaded_is_told():
    """Sequence, age and size of the revocation data, the ring, and which file on disk is not in use."""
    server = "subtoken on; subtoken_policy %(dir)s/policy.json; subtoken_max_age 200; " + UP + STATUS
    n = Nginx(server)
    path = policy(n, {"default": "token"})
    with n:
        files = lambda: {(dict(l)["kind"], dict(l)["file"]): v for (name, l), v in metrics(n).items() if name == "subtoken_nginx_file_ok"}
        assert files() == {("revocations", n.feed.path): 1, ("secrets", n.secrets): 1, ("policy", path): 1}
        n.feed.publish(["a", "b", "c"])
        wait(lambda: total(metrics(n), "subtoken_nginx_feed_entries") == 3, "it is loaded")
        found = metrics(n)
        assert total(found, "subtoken_nginx_feed_sequence") == n.feed.sequence
        assert 0 <= total(found, "subtoken_nginx_feed_age_seconds") < 200 == total(found, "subtoken_nginx_feed_max_age_seconds")
        assert total(found, "subtoken_nginx_ring_secrets") == 1 and total(found, "subtoken_nginx_build_info") == 1
        assert abs(total(found, "subtoken_nginx_worker_start_time_seconds") - time.time()) < 600
        good = {name: open(name, "rb").read() for name in (path, n.secrets, n.feed.path)}
        for kind, name in (("policy", path), ("secrets", n.secrets), ("revocations", n.feed.path)):
            replace(name, b"bad")
            share(name)
            wait(lambda: [k for k, ok in files().items() if not ok] == [(kind, name)], "it is not in use: " + kind)
            replace(name, good[name])
            share(name)
            wait(lambda: min(files().values()) == 1, "it is again: " + kind)
    n = Nginx(ON + STATUS, feed=False)
    with n:
        assert "subtoken_nginx_feed_age_seconds{worker=\"0\",kind=\"revocations\",file=\"%s\"} +Inf\n" % n.feed.path in n.ask("/metrics").body
    n = Nginx("subtoken_secrets \"%(dir)s/s\\\"\\\\ e\"; " + ON + STATUS)
    shutil.copy(n.secrets, os.path.join(n.dir, "s\"\\ e"))
    share(os.path.join(n.dir, "s\"\\ e"))
    with n:
        assert ("secrets", os.path.join(n.dir, "s\"\\ e")) in {
            (dict(l)["kind"], dict(l)["file"]) for (name, l) in metrics(n) if name == "subtoken_nginx_file_ok"}


@test
def many_files_and_one_of_them_twice_make_no_series_twice():
    """The same revocation data with two leeways, two sizes; a path of the same length; more policies than are shown."""
    places = "".join("location /%d { subtoken_policy %%(dir)s/p%d; proxy_pass http://api; }" % (i, i) for i in range(33))
    n = Nginx(ON + """location /leeway { subtoken_leeway 2m; proxy_pass http://api; }
      location /size { subtoken_revocations %(feed)s max=1m; proxy_pass http://api; }
      location /other { subtoken_revocations %(dir)s/another; proxy_pass http://api; }
      location /young { subtoken_max_age 200; proxy_pass http://api; }""" + places + STATUS)
    for i in range(33):
        policy(n, {"default": "token"}, "p%d" % i)
    with n:
        t = n.token()
        assert [n.status("/" + at, token=t) for at in ("a", "leeway", "size", "other", "young", "32")] == [200, 200, 200, 503, 200, 200]
        text = n.ask("/metrics", "Accept: text/plain").body
        p = subprocess.run(["promtool", "check", "metrics"], input=text.encode(), capture_output=True)
        assert (p.returncode, p.stdout + p.stderr) == (0, b""), (p.stdout, p.stderr)
        shown = [(dict(l)["file"], v) for (name, l), v in read_metrics(text).items() if name == "subtoken_nginx_file_ok"]
        assert len(shown) == len(set(shown)) == 32 - 2, ("data of one path is shown once, and has three of the 32 entries", shown)
        assert dict(shown)[n.feed.path] == 1 and dict(shown)[n.dir + "/another"] == 0 and n.secrets in dict(shown), shown
        assert 'subtoken_nginx_feed_max_age_seconds{worker="0",kind="revocations",file="%s"} 200\n' % n.feed.path in text, "its smallest"


@test
def questions_are_counted():
    """By what came of them, with the time that they took, and those that an answer of before spared."""
    n, end = with_endpoint("subtoken on; subtoken_fallback /ask; " + UP + STATUS + " location /n { subtoken_fallback /ask-nobody; proxy_pass http://api; }")
    end.say["Bearer SLOW"] = (429, {"Retry-After": "3"})
    with n:
        def of(result):
            return total(metrics(n), "subtoken_nginx_fallback_requests_total", result=result)
        assert n.status("/a", token="KEY") == 200 and n.status("/a", token="KEY") == 200
        assert n.status("/a", token="OTHER") == 401 and n.status("/a", token="SLOW") == 429 and n.status("/n", token="KEY") == 503
        assert [of(r) for r in ("ok", "unknown", "throttled", "failed")] == [1, 1, 1, 1]
        found = metrics(n)
        assert total(found, "subtoken_nginx_fallback_cache_hits_total") == 1
        assert total(found, "subtoken_nginx_fallback_duration_seconds_count") == 4
        wait(lambda: decisions(n) == {"ok": 2, "key_unknown": 1, "login_throttled": 1, "store_error": 1}, "they are decided")


@test
def no_status_no_memory():
    """Without such a location nothing is counted; the directive stands in a location alone, once."""
    n = Nginx(ON)
    with n:
        assert n.status("/a", token=n.token()) == 200
        assert not any("subtoken_status" in l for l in open("/proc/%d/maps" % n.process.pid))
    for server in ("subtoken_status; " + ON, ON + "location = /m { subtoken_status; subtoken_status; }",
                   ON + "location = /m { subtoken_status on; }"):
        n.configure(server=server)
        code, said = n.check()
        assert code == 1 and "subtoken_status" in said, said


# ---- log lines ----

@test
def refused_requests_are_named_in_the_log():
    """Whose subtoken it was, as far as its signature is good; and nothing else may read that as an identity."""
    server = """subtoken on; subtoken_policy %(dir)s/policy.json; set $early "$subtoken_sub$subtoken_result";
      subtoken_fallback /ask; add_header X-Sub "[$subtoken_sub]" always;
      location / { proxy_pass http://api; }
      location /page/ { error_page 401 403 @login; proxy_pass http://api; }
      location @login { subtoken off; proxy_set_header X-Who "[$subtoken_sub]"; proxy_pass http://api; }
      location /moved/ { error_page 403 /open; proxy_pass http://api; }
      location = /open { proxy_set_header X-Who "[$subtoken_sub]"; proxy_pass http://api; }
      location /any/ { satisfy any; allow all; proxy_set_header X-Who "[$subtoken_sub]"; proxy_pass http://api; }
    """
    log = "log_format who '$request_uri|$status|$subtoken_result|$subtoken_sub|$subtoken_tid|$subtoken_permissions'; access_log %(dir)s/who.log who;"
    n, end = with_endpoint(server, http=log)
    policy(n, {"default": "deny", "routes": [{"path": "/adm", "needs": ["admin"]}, {"path": "/ok", "needs": ["account"]},
        {"path": "/page/x", "needs": ["admin"]}, {"path": "/moved/x", "needs": ["admin"]}, {"path": "/open", "public": True},
        {"path": "/any/x", "needs": ["admin"]}]})
    with n:
        t = n.token()
        sub, tid = payload(t)["sub"], t.rsplit(".", 1)[1][:16]
        named = "|%s|%s|account,inventories" % (sub, tid)
        expired = jwt(n.signer, dict(payload(t), iat=1000, exp=2000))
        forged = t.rsplit(".", 1)[0] + "." + "A" * 43
        key = "|" + KEY["X-Subtoken-Sub"] + "|-|account"
        cases = [("/ok", t, "200|ok" + named), ("/adm", t, "403|perm" + named), ("/none", t, "403|url" + named),
                 ("/ok", expired, "401|expired|%s|%s|account,inventories" % (sub, expired.rsplit(".", 1)[1][:16])),
                 ("/ok", forged, "401|mac|-|-|-"), ("/ok", None, "401|auth_missing|-|-|-"), ("/ok", "KEY", "200|ok" + key),
                 ("/adm", "KEY", "403|perm" + key), ("/ok", "OTHER", "401|key_unknown|-|-|-"), ("/a%2fb", t, "400|bad_target" + named)]
        for target, token, expected in cases:
            n.ask(target, token=token)
            assert n.last.header("X-Sub") == "[%s]" % (expected.split("|")[2] if "|ok|" in expected else ""), (target, token)
            wait(lambda: n.log("who.log").count("\n") >= cases.index((target, token, expected)) + 1, "the line")
            assert n.log("who.log").splitlines()[-1] == target + "|" + expected, (n.log("who.log").splitlines()[-1], expected)
        for target in ("/page/x", "/moved/x", "/any/x"):
            lines = n.log("who.log").count("\n")
            answer = n.ask(target, token=t)
            seen = dict(json.loads(answer.body)["headers"])
            assert seen["X-Who"] == "[]" and seen.get("X-Subtoken-Sub", "") == "", (target, seen)
            wait(lambda: n.log("who.log").count("\n") > lines, "the line")
            assert n.log("who.log").splitlines()[-1].split("|", 2)[2] == "perm" + named, n.log("who.log").splitlines()[-1]


@test
def a_subrequest_has_a_result_of_its_own():
    """With log_subrequest: that of what it asked for, whatever became of the main request."""
    server = """subtoken on; subtoken_policy %(dir)s/policy.json; log_subrequest on;
      location / { proxy_pass http://api; } location = /main { mirror /adm; proxy_pass http://api; }"""
    n = Nginx(server, http="log_format what '$uri $subtoken_result'; access_log %(dir)s/what.log what;")
    policy(n, {"default": "token", "routes": [{"path": "/adm", "needs": ["admin"]}]})
    with n:
        assert n.status("/main", token=n.token()) == 200
        wait(lambda: sorted(n.log("what.log").splitlines()) == ["/adm perm", "/main ok"], "two lines")


# ---- trace context ----

@test
def the_trace_goes_on():
    """Into the log, to the upstream as it came, and into the question about a key; what is malformed is in no log."""
    good = [TRACE, "00-" + "0" * 31 + "1-" + "0" * 15 + "1-00", "01" + TRACE[2:], "cc" + TRACE[2:] + "-more", "fe" + TRACE[2:] + "-"]
    bad = ["ff" + TRACE[2:], TRACE + "-x", TRACE[:-1], TRACE.upper(), "00-" + "0" * 32 + TRACE[35:], TRACE[:36] + "0" * 16 + "-01",
           TRACE.replace("-b7", "_b7"), TRACE[:-3] + "_01", TRACE[:-2] + "0g", "", "-", "00-x", "01" + TRACE[2:] + "x", "g" + TRACE[1:],
           "01" + TRACE[2:] + "-" + "x" * 500, "0x" + TRACE[2:], TRACE[:3] + "g" + TRACE[4:], TRACE[:50] + "A" + TRACE[51:]]
    server = "subtoken on; subtoken_fallback /ask; " + UP
    n, end = with_endpoint(server, http="log_format trace '[$subtoken_trace_id $subtoken_span_id]'; access_log %(dir)s/trace.log trace;")
    with n:
        t, lines = n.token(), 0
        def line(expected):
            nonlocal lines
            lines += 1
            wait(lambda: n.log("trace.log").count("\n") == lines, "the line")
            assert n.log("trace.log").splitlines()[-1] == expected, (n.log("trace.log").splitlines()[-1], expected)
        for value in good:
            assert header_sent(n.ask("/a", "traceparent: " + value, "tracestate: a=1", token=t), "traceparent") == value
            assert header_sent(n.last, "tracestate") == "a=1"
            line("[%s %s]" % (value[3:35], value[36:52]))
        for value in bad:
            n.ask("/a", "Traceparent: " + value, token=t)
            line("[- -]")
        n.ask("/a", "traceparent: " + TRACE, "traceparent: " + TRACE, token=t)
        line("[- -]")
        n.ask("/a", token=t)
        line("[- -]")
        n.ask("/a", "traceparent: " + TRACE)  # refused
        assert n.last.status == 401
        line("[%s %s]" % (TRACE[3:35], TRACE[36:52]))
        for token, value, sent in (("T1", TRACE, TRACE), ("T2", TRACE.upper(), None)):
            end.say["Bearer " + token] = (200, KEY)
            assert n.status("/a", "TraceParent: " + value, token=token) == 200
            assert end.asked[-1][1].get("traceparent") == sent, end.asked[-1]


main()
