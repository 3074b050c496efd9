"""The module for Apache httpd beyond what the examples' tests ask of every edge: it decides offline, takes up what
changes, and holds where httpd has ways of its own."""
import multiprocessing.pool, threading
from proxies import *


def verdict(p, target, *headers, **more):
    answer = p.ask(target, *headers, **more)
    return answer.status, answer.body if answer.status != 200 else ""


@test
def subtokens_need_no_server():
    with Case() as c, ApacheProxy(c) as p:
        token = c.token()
        c.server.stop()
        assert p.ask("/v2/account", auth(token)).status == 200
        before = len(p.upstream.seen)
        answer = p.ask("/v2/account", "X-API-Key: " + c.key["key"])
        assert answer.status == 503 and answer.header("Retry-After") == "5" and answer.json()["text"], answer.status
        assert len(p.upstream.seen) == before
        c.server.start()


@test
def changed_files_are_taken_up():
    with Case() as c, ApacheProxy(c) as p:
        token = c.token()
        bank = c.token("--permissions", "guilds")
        assert p.ask("/v2/account", auth(token)).status == 200
        # A revocation, and its end; a token that was seen before is decided about anew.
        p.feed.publish([payload(token)["sub"]])
        wait(lambda: p.ask("/v2/account", auth(token)).status == 401, "the revocation")
        p.feed.publish(["nobody"])
        wait(lambda: p.ask("/v2/account", auth(token)).status == 200, "its end")
        # A policy; one that cannot be read changes nothing.
        policy = os.path.join(p.dir, "policy.json")
        assert p.ask("/v2/account", auth(bank)).status == 403
        replace(policy, b'{"default":"deny","routes":[{"path":"/v2/account","needs":["guilds"]}]}')
        wait(lambda: p.ask("/v2/account", auth(bank)).status == 200, "the policy")
        replace(policy, b'{"default":')
        wait(lambda: "SubtokenPolicy: " in p.written(), "the log")
        assert p.ask("/v2/account", auth(bank)).status == 200
        # A ring without the secret: what was cached under the old one is no longer good.
        secrets = os.path.join(p.dir, "secrets")
        old = open(secrets, "rb").read()
        replace(secrets, b"other:" + base64.urlsafe_b64encode(bytes(range(32))).rstrip(b"=") + b"\n")
        share(secrets)
        wait(lambda: p.ask("/v2/account", auth(token)).status == 401, "the ring")
        replace(secrets, b"broken\n")
        share(secrets)
        wait(lambda: "SubtokenSecrets: " in p.written(), "the log")
        replace(secrets, old)
        share(secrets)
        wait(lambda: p.ask("/v2/account", auth(token)).status == 200, "the ring again")


MCP = {"default": "deny", "routes": [
    {"path": "/mcp", "needs": ["account"], "mcp": {"tools/call search": ["account"], "tools/call *": ["admin"]}, "mcp_headers": "2026-07-28",
     "resource": "https://api.example/mcp"}, {"path": "/sdk", "needs": ["account"], "mcp": {"tools/call *": ["admin"]}}]}


@test
def calls_of_mcp_are_decided_by_headers_alone():
    modern = ["MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call"]
    with Case() as c, ApacheProxy(c) as p:
        replace(os.path.join(p.dir, "policy.json"), json.dumps(MCP).encode())
        token = c.token()
        wait(lambda: p.ask("/mcp", auth(token)).status == 200, "the policy")
        for headers, status in ((modern + ["Mcp-Name: search"], 200), (modern + ["Mcp-Name: drop"], 403), (modern, 400), (modern[1:], 403),
                                (["MCP-Protocol-Version: 2025-11-25"] + modern[1:], 403), (modern[:1] + modern, 403),
                                (modern + ["Mcp-Method: tools/list", "Mcp-Name: search"], 400),
                                # httpd makes one name of two, here and for the API.
                                (modern + ["Mcp-Name: search", "Mcp-Name: search"], 403), (modern + ["Mcp-Name: =?base64?c2VhcmNo?="], 200)):
            answer = p.ask("/mcp", auth(token), *headers, method="POST", body=b"{}")
            assert answer.status == status, (headers, answer.status, answer.body)
        drop = p.ask("/mcp", auth(token), *modern, "Mcp-Name: drop", method="POST", body=b"{}")
        assert drop.header("WWW-Authenticate") == 'Bearer error="insufficient_scope", scope="admin"'
        assert p.ask("/sdk", auth(token), *modern, "Mcp-Name: drop", method="POST", body=b"{}").status == 403
        assert p.ask("/sdk", auth(token), method="DELETE").status == 200


@test
def a_401_leads_to_the_document():
    with Case() as c:
        p = ApacheProxy(c).write(c.server.port, [("TraceEnable off", "TraceEnable off\nSubtokenIssuer https://keys.example")])
        replace(os.path.join(p.dir, "policy.json"), json.dumps(MCP).encode())
        with p:
            url = "/.well-known/oauth-protected-resource/mcp"
            challenge = 'Bearer resource_metadata="https://api.example%s"' % url
            wait(lambda: p.ask("/mcp").header("WWW-Authenticate") == challenge, "the policy")
            assert p.ask("/sdk").header("WWW-Authenticate") == "Bearer"
            document = p.ask(url + "?a", auth("whatever"))
            assert document.status == 200 and document.header("Content-Type") == "application/json; charset=utf-8"
            said = document.json()
            assert (said["resource"], said["authorization_servers"]) == ("https://api.example/mcp", ["https://keys.example"]), said
            assert p.ask(url, method="HEAD").status == 200 and p.ask(url + "/x").status == 401 and p.ask(url, method="POST").status == 401
            assert p.upstream.seen == []


@test
def the_id_of_a_token_is_for_logs():
    with Case() as c:
        p = ApacheProxy(c).write(c.server.port, [("sub=%{SUBTOKEN_SUB}e", "sub=%{SUBTOKEN_SUB}e tid=%{SUBTOKEN_TID}e")])
        with p:
            token = c.token()
            assert p.ask("/v2/account", auth(token)).status == 200
            wait(lambda: "tid=" + token.rsplit(".", 1)[1][:16] in p.written(), "the line of the log")


@test
def old_revocation_data_is_503():
    with Case() as c:
        p = ApacheProxy(c).write(c.server.port, [("TraceEnable off", "TraceEnable off\nSubtokenMaxAge 1")])
        with p:
            token = c.token()
            wait(lambda: p.ask("/v2/account", auth(token)).status == 503, "it is too old")
            answer = p.ask("/v2/account", auth(token))
            assert answer.header("Retry-After") == "5" and "try again" in answer.body
            # Who has no credential is told so, and a public route needs nothing.
            assert p.ask("/v2/account").status == 401 and p.ask("/v2/items").status == 200
            # The error log, too, and not only the line of a request: what reads the files looks less often.
            wait(lambda: "feed_stale: " in p.written(), "the log")

            # Its issuer is back, by a clock that is a little ahead; a heartbeat is good for a second.
            def is_back():
                p.feed.beat(time.time() + 30)
                return p.ask("/v2/account", auth(token)).status == 200
            wait(is_back, "it is fresh")
            wait(lambda: "is fresh again" in p.written(), "the log")


def configtest(p, case, lines, changes=()):
    """httpd -t with these lines: (whether it takes them, what it says)."""
    p.write(case.server.port, [("TraceEnable off", "TraceEnable off\n" + lines)] + list(changes))
    done = subprocess.run(p.command() + ["-t"], capture_output=True, text=True, env=p.env, timeout=60)
    return done.returncode == 0, done.stderr


@test
def what_is_wrong_stops_the_start():
    with Case() as c:
        p = ApacheProxy(c)
        good = ["SubtokenMaxAge 1", "SubtokenMaxAge 2m", "SubtokenMaxLife 365d", "SubtokenLeeway 1h", "SubtokenAudience eu", "SubtokenStale allow",
                "SubtokenIssuer https://a.example", "SubtokenCache 0", "SubtokenCache 64k", "SubtokenCache 2M", "SubtokenCache 2000000",
                "SubtokenCredentials bearer x-api-key query basic", "SubtokenRequire a b", "SubtokenStale deny", "SubtokenFallback /x",
                "SubtokenFallback off", "SubtokenPolicy off"]
        taken, said = configtest(p, c, "\n".join(good))
        assert taken, said
        for line, words in (
                ("SubtokenMaxAge 1x", "must be seconds"), ("SubtokenMaxAge 1mm", "must be seconds"), ("SubtokenMaxAge x", "must be seconds"),
                ("SubtokenMaxAge 1000000000", "must be seconds"), ("SubtokenLeeway -1", "must be seconds"),
                ("SubtokenLeeway 2h", "longer than an hour"), ("SubtokenMaxLife 0", "at least 1 second"), ("SubtokenMaxLife x", "must be seconds"),
                ('SubtokenAudience ""', "takes one argument"), ("SubtokenIssuer http://a.example", "must be an https URL"),
                ("SubtokenIssuer https://" + "a" * 600, "must be an https URL"), ("SubtokenCache 1K", "at least 16K"),
                ("SubtokenCache 2G", "1024M at most"), ("SubtokenCache 1025M", "1024M at most"), ("SubtokenCache 1KK", "1024M at most"),
                ("SubtokenCache -1", "1024M at most"), ("SubtokenCache x", "1024M at most"), ("SubtokenCache 99999999999999999999", "1024M at most"),
                ("<VirtualHost *>\nSubtokenCache 1M\n</VirtualHost>", "cannot occur within"), ("SubtokenCredentials cookie", "is none of bearer"),
                ('SubtokenRequire "a b"', "is no permission"), ("SubtokenStale maybe", "must be deny or allow"),
                ("SubtokenFallback x", "begins with a /"), ("SubtokenSecrets /x trust", "must be trust_group"),
                # It would hold for all methods.
                *(("<Location /x>\n<Limit GET>\n%s\n</Limit>\n</Location>" % each, "cannot occur within <Limit>") for each in (
                    "Subtoken off", "SubtokenRequire a", "SubtokenPolicy off", "SubtokenFallback off", "SubtokenCredentials query"))):
            taken, said = configtest(p, c, line)
            assert not taken and words in said, (line, said)
        p.stop_upstream()


@test
def files_that_are_wrong_stop_the_start():
    secret = "x:" + "A" * 43 + "\n"

    def put(path, text, mode=0o640):
        replace(path, text if isinstance(text, bytes) else text.encode())
        share(path, mode)

    with Case() as c:
        for name, change, words in (
                ("secrets", lambda path: os.chmod(path, 0o644), "open to others"), ("secrets", lambda path: os.chmod(path, 0o660), "written by its group"),
                ("secrets", lambda path: put(path, b"x:short\n"), "line 1"), ("secrets", lambda path: put(path, b"#" * 70000), "longer than"),
                ("secrets", os.unlink, "cannot read"), ("secrets", lambda path: (os.unlink(path), os.mkdir(path)), "not a regular file"),
                ("policy.json", lambda path: put(path, b"{}", 0o644), "line 1"), ("policy.json", os.unlink, "cannot read")):
            # `apachectl graceful` asks -t first: a server that runs must not end for a file that has become bad.
            p = ApacheProxy(c)
            change(os.path.join(p.dir, name))
            done = subprocess.run(p.command() + ["-t"], capture_output=True, text=True, env=p.env, timeout=60)
            assert done.returncode != 0 and words in done.stderr, (name, done.stderr)
            p.stop_upstream()
        for words, stops in (([], True), (["-S"], False)):
            done = subprocess.run(p.command() + words, capture_output=True, text=True, env=p.env, timeout=60)
            assert (done.returncode != 0, "cannot read" in done.stderr) == (stops, stops), (words, done.stderr)
        # The ring and the revocation data are named together: nobody forgets one, and lets revoked tokens pass.
        for lacks, words in (("SubtokenSecrets ", "needs SubtokenSecrets"), ("SubtokenRevocations ", "needs SubtokenRevocations")):
            p = ApacheProxy(c).write(c.server.port, [(lacks, "#" + lacks)])
            done = subprocess.run(p.command(), capture_output=True, text=True, env=p.env, timeout=60)
            assert done.returncode != 0 and words in done.stderr + p.written(), (done.stderr, p.written()[-900:])
            p.stop_upstream()
        # Its group may write it where that is said; a change of the file is read then, too.
        p = ApacheProxy(c)
        os.chmod(os.path.join(p.dir, "secrets"), 0o660)
        p.write(c.server.port, [("SubtokenSecrets /etc/subtoken/secrets", "SubtokenSecrets /etc/subtoken/secrets trust_group")])
        with p:
            assert p.ask("/v2/account", auth(c.token())).status == 200
            os.unlink(os.path.join(p.dir, "secrets"))
            wait(lambda: "cannot read" in p.written(), "the log")
            assert p.ask("/v2/account", auth(c.token())).status == 200


@test
def hosts_have_settings_of_their_own():
    """A host on another port: what it sets is its own, and what it does not is the server's."""
    lines = """
Listen 127.0.0.1:%(port)d
<VirtualHost 127.0.0.1:%(port)d>
  SubtokenLeeway 30
  SubtokenMaxAge 200
  SubtokenMaxLife 1d
  SubtokenStale allow
  SubtokenAudience eu
  SubtokenIssuer https://keys.example
  SubtokenRevocations %(revoked)s
  SubtokenSecrets %(secrets)s
  <Location "/">
    SubtokenCredentials bearer
    SubtokenRequire guilds
    SubtokenFallback off
  </Location>
  <Location "/plain">
    SubtokenPolicy off
  </Location>
  ProxyPass "/" "unix:%(up)s|http://api/" nocanon
</VirtualHost>
Listen 127.0.0.1:%(plain)d
<VirtualHost 127.0.0.1:%(plain)d>
  <Location "/">
    SubtokenPolicy %(policy)s
    SubtokenRequire guilds
  </Location>
  ProxyPass "/" "unix:%(up)s|http://api/" nocanon
</VirtualHost>
"""
    with Case() as c:
        p = ApacheProxy(c)
        where, plain = ("127.0.0.1", free_port()), ("127.0.0.1", free_port())
        hosts = lines % {"port": where[1], "plain": plain[1], "policy": os.path.join(p.dir, "policy.json"), "revoked": p.feed.path, "secrets": os.path.join(p.dir, "secrets"), "up": p.upstream.path}
        with open(p.conf, "a") as f:
            f.write(hosts)
        with p:
            both, one = c.token("--audience", "eu", "--expire", "1h"), c.token("--audience", "eu", "--expire", "1h", "--permissions", "account")
            at = lambda target, *headers: ask(where, target, headers, "GET", None)
            assert at("/v2/account", auth(both)).status == 200
            assert at("/v2/account", auth(one)).status == 403  # the host needs another
            assert at("/v2/account", auth(c.token("--expire", "1h"))).status == 401  # no audience
            assert at("/v2/account", auth(c.token("--audience", "eu", "--expire", "3d"))).status == 401  # too long a life
            assert at("/v2/account?access_token=" + both).status == 401  # not read here
            assert at("/v2/account", auth(c.key["key"])).status == 401  # nor is anybody asked
            assert at("/plain/x", auth(both)).status == 200 and at("/plain/x", auth(one)).status == 403
            long = c.token("--expire", "3d")
            assert ask(plain, "/v2/account", [auth(long)], "GET", None).status == 200  # as the server
            assert ask(plain, "/v2/account", [auth(c.token("--permissions", "account"))], "GET", None).status == 403


@test
def a_question_names_the_callers_address():
    with Case() as c:
        p = ApacheProxy(c).write(c.server.port, [("RequestHeader unset X-Forwarded-For early", "MergeSlashes Off"), ('<Location "/">', '<Location "/v2">')])
        with p:
            key = auth(c.key["key"])
            # Nobody else asks, though the section of SubtokenFallback is not around its location.
            for target in ("/.subtoken/authorize", "/.subtoken//%61uthorize?x", "//.subtoken/authorize", "/.subtoken/authorize/v2/account"):
                assert p.ask(target, key, *nginx_form("/v2/account")).status == 404, target
            trace = "traceparent: 00-%s-00f067aa0ba902b7-01"
            for chain in ("192.0.2.1", "192.0.2.9, " * 200 + "192.0.2.2", "9" * 2000):
                assert p.ask("/v2/account", key, "X-Forwarded-For: " + chain, trace % ("4" * 32)).status == 200, chain
            assert p.ask("/v2/account", key, "traceparent: " + "x" * 600).status == 200
            wait(lambda: c.server.log().count('"trace_id":"%s"' % ("4" * 32)) >= 3, "the trace, in each line")
            log = c.server.log()
            assert "192.0.2.1" in log and "192.0.2.2" in log and "999999" not in log, log[-2000:]
            # A body whose length nobody has said, and one that is waited for, of a request that is refused.
            def sent(*headers):
                return p.ask("/v2/account", *headers, method="POST", body=None)
            assert sent("Transfer-Encoding: chunked", "Expect: 100-continue").status == 401
            assert sent("Content-Length: 5", "Expect: 100-continue").status == 401


@test
def without_revocation_data_tokens_are_good_until_they_end():
    with Case() as c:
        p = ApacheProxy(c).write(c.server.port, [("SubtokenRevocations ", "SubtokenRevocations off\n#"), ("TraceEnable off", "TraceEnable off\nSubtokenCache 0")])
        with p:
            assert p.ask("/v2/account", auth(c.token())).status == 200
            assert p.ask("/v2/account", auth(c.token() + "x")).status == 401


@test
def redirects_and_includes_let_nobody_in():
    """What a request becomes inside httpd is decided about by what its client asked for; a page of an include by what
    the including page asks for."""
    lines = """
LoadModule include_module /usr/lib/apache2/modules/mod_include.so
LoadModule rewrite_module /usr/lib/apache2/modules/mod_rewrite.so
DocumentRoot %s
ProxyPass "/pages" "!"
<Location "/pages">
  Subtoken off
  Options +Includes
  SetOutputFilter INCLUDES
</Location>
RewriteEngine on
RewriteRule "^/v2/hidden$" "/v2/account" [PT]
RewriteRule "^/v2/items$" "-" [E=seen:1]
<Location "/v2/jump">
  Subtoken off
  RewriteEngine on
  RewriteRule "." "/v2/account"
</Location>
ProxyPass "/v2/jump" "!"
#"""
    with Case() as c:
        p = ApacheProxy(c)
        pages = os.path.join(p.dir, "www")
        os.makedirs(os.path.join(pages, "pages"))
        with open(os.path.join(pages, "pages", "page.html"), "w") as f:
            f.write('[<!--#include virtual="/v2/account" -->][<!--#include virtual="/v2/items" -->]')
        os.chmod(pages, 0o755)
        os.chmod(os.path.join(pages, "pages"), 0o755)
        p.write(c.server.port, [("# The server authenticates", lines % pages + " The server authenticates")])
        with p:
            token = c.token()
            answer = p.ask("/pages/page.html")
            assert answer.status == 200 and "/v2/items" in answer.body and '"/v2/account"' not in answer.body, answer.body
            asked = [a["target"] for a in p.upstream.seen]
            assert asked == ["/v2/items"], asked
            assert '"/v2/account"' in p.ask("/pages/page.html", auth(token)).body
            # The client asked for a path that the policy denies, whatever it leads to.
            before = len(p.upstream.seen)
            for target in ("/v2/hidden", "/v2/jump"):
                assert p.ask(target).status == 401, target
                assert p.ask(target, auth(token)).status == 403, target
            assert len(p.upstream.seen) == before


@test
def other_modules_of_access_are_heeded():
    lines = """
LoadModule access_compat_module /usr/lib/apache2/modules/mod_access_compat.so
<Location "/v2/account">
  Require %s
  Satisfy %s
</Location>
TraceEnable off"""
    for require, satisfy, statuses in (("all denied", "All", (401, 403)), ("all granted", "All", (401, 200)),
                                       ("all denied", "Any", (403, 200)), ("all granted", "Any", (200, 200))):
        with Case() as c:
            p = ApacheProxy(c).write(c.server.port, [("TraceEnable off", lines % (require, satisfy))])
            with p:
                token = c.token()
                found = p.ask("/v2/account").status, p.ask("/v2/account", auth(token)).status
                assert found == statuses, (require, satisfy, found)
                assert all(len(p.upstream.seen) == n for n in [sum(s == 200 for s in statuses)]), p.upstream.seen
                # Nor does the API get a credential that the module has refused.
                assert p.ask("/v2/account?access_token=%sx&a=1" % token).status == statuses[0]
                assert not any("access_token" in a["target"] for a in p.upstream.seen), p.upstream.seen


@test
def one_process_a_request_works_too():
    with Case() as c:
        p = ApacheProxy(c)
        p.processes = "StartServers 4"
        p.write(c.server.port, [("mpm_event_module", "mpm_prefork_module"), ("mod_mpm_event.so", "mod_mpm_prefork.so")])
        with p:
            token = c.token()
            for _ in range(20):
                assert p.ask("/v2/account", auth(token)).status == 200
                assert p.ask("/v2/account", "X-API-Key: " + c.key["key"]).status == 200
            p.feed.publish([payload(token)["sub"]])
            wait(lambda: {p.ask("/v2/account", auth(token)).status for _ in range(10)} == {401}, "the revocation")


class StatusProxy(ApacheProxy):
    def places(self, endpoint):
        own = "# The server authenticates its own calls."
        status = ('LoadModule status_module /usr/lib/apache2/modules/mod_status.so\nExtendedStatus On\nProxyPass "/.status" "!"\n'
                  '<Location "/.status">\n  SetHandler server-status\n  Subtoken off\n</Location>\n')
        return super().places(endpoint) + [(own, status + own)]


@test
def the_scoreboard_has_no_token():
    """mod_status shows request lines, also of what httpd refuses before any hook of the module."""
    with Case() as c, StatusProxy(c) as p:
        token = c.token()
        target = "/v2/account?a=1&access_token=" + token
        assert p.ask(target).status == 200
        for lines in (["Bad Header: x"], ["Cookie: " + "c" * 9000]):
            assert p.ask(target, *lines).status == 400, lines
            shown = p.ask("/.status").body
            assert "/v2/account?a=1" in shown and token.split(".")[1] not in shown, shown


@test
def many_at_once_are_decided_rightly():
    """Threads share ring, policy and revocation data, and take caches from each other, while files change."""
    with Case() as c, ApacheProxy(c) as p:
        good, other = c.token(), make_key(c.server.data, "account", name="other")
        bad = issue(c.server.data, other["key"], "--permissions", "account")
        p.feed.publish([payload(bad)["sub"]])
        wait(lambda: p.ask("/v2/account", auth(bad)).status == 401, "the revocation")

        publishing = threading.Lock()

        def one(i):
            if i % 40 == 0:
                with publishing:
                    p.feed.publish([payload(bad)["sub"], "n%d" % i])
            credential, status = ((good, 200), (bad, 401), (good + "x", 401), (c.key["key"], 200))[i % 4]
            return p.ask("/v2/account", auth(credential)).status == status
        with multiprocessing.pool.ThreadPool(12) as pool:
            assert all(pool.map(one, range(600)))


main()
