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
            assert "feed_stale" in p.written()


@test
def what_is_wrong_stops_the_start():
    with Case() as c:
        for here, there, words in (
                ("SubtokenMaxAge 1", "SubtokenMaxAge 1x", "must be seconds"),
                ("SubtokenAudience eu", 'SubtokenAudience ""', "takes one argument"),
                ("SubtokenIssuer https://a.example", "SubtokenIssuer http://a.example", "must be an https URL"),
                ("SubtokenCache 0", "SubtokenCache 1K", "at least 16K"),
                ("SubtokenCredentials bearer", "SubtokenCredentials cookie", "is none of bearer"),
                ("SubtokenRequire a", 'SubtokenRequire "a b"', "is no permission"),
                ("SubtokenStale deny", "SubtokenStale maybe", "must be deny or allow"),
                ("SubtokenFallback /x", "SubtokenFallback x", "begins with a /")):
            p = ApacheProxy(c)
            for line, good in ((here, True), (there, False)):
                p.write(c.server.port, [("TraceEnable off", "TraceEnable off\n" + line)])
                run_ = subprocess.run(p.command() + ["-t"], capture_output=True, text=True, env=p.env, timeout=60)
                assert (run_.returncode == 0) == good and (good or words in run_.stderr), (line, run_.stderr)
        for name, mode, words in (("secrets", 0o644, "open to others"), ("secrets", 0o660, "written by its group"),
                                  ("policy.json", 0o644, "line 1")):
            p = ApacheProxy(c)
            path = os.path.join(p.dir, name)
            if name == "policy.json":
                replace(path, b"{}")
            os.chmod(path, mode)
            run_ = subprocess.run(p.command(), capture_output=True, text=True, env=p.env, timeout=60)
            assert run_.returncode != 0 and words in run_.stderr + p.written(), (name, run_.stderr, p.written()[-900:])
            p.stop_upstream()


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
