"""The nginx module's directives, variables and files: what is inherited, what `nginx -t` refuses, the configuration that
comes with it, and files that change without a reload."""
from feed import heartbeat, snapshot
from nginx import *

# ---- configuration ----

@test
def directives_are_inherited_and_overridden():
    n = Nginx("""subtoken_require account;
      location / { proxy_pass http://api; }
      location /more { subtoken_require account inventories; proxy_pass http://api; }
      location /off { subtoken off; proxy_pass http://api; }
      location /policy { subtoken_policy %(dir)s/policy.json; proxy_pass http://api;
        location /policy/not { subtoken_policy off; proxy_pass http://api; } }
      location /open { subtoken_revocations off; proxy_pass http://api; }
    """, http="subtoken on;")
    policy(n, {"default": "deny", "routes": [
        {"path": "/policy/bank", "methods": ["GET"], "needs": ["inventories"]},
        {"path": "/policy/items", "public": True}, {"path": "/policy/plain"}]})
    with n:
        account, both = n.token("--permissions", "account"), n.token("--permissions", "account,inventories")
        none = n.token("--permissions", "")
        n.feed.publish([sub_of(account)])
        wait(lambda: n.status("/", token=account) == 401, "the revocation")
        n.feed.publish([])
        wait(lambda: n.status("/", token=account) == 200, "no revocation")
        assert n.ask("/", token=none).body == '{"text":"requires scope account"}'
        assert n.ask("/more", token=account).body == '{"text":"requires scope inventories"}'
        assert n.status("/more", token=both) == 200 and n.status("/off") == 200
        # The policy's needs, then the directive's; a public route is public.
        assert n.status("/policy/bank", token=both) == 200
        assert n.ask("/policy/bank", token=account).body == '{"text":"requires scope inventories"}'
        assert n.ask("/policy/plain", token=none).body == '{"text":"requires scope account"}'
        assert n.status("/policy/bank", token=both, method="HEAD") == 200
        assert n.status("/policy/bank", token=both, method="PUT", body=b"x") == 403
        assert n.status("/policy/other", token=both) == 403 and result(n) == "url"
        assert n.status("/policy/other") == 401 and n.status("/policy/items") == 200
        answer = n.ask("/policy/items?access_token=%zz&x", "Authorization: Bearer junk", "X-API-Key: x")
        assert echoed(answer)["target"] == "/policy/items?x" and header_sent(answer, "X-Subtoken-Sub") is None
        assert n.status("/policy//items") == 400
        assert n.status("/policy/not/x", token=account) == 200
        n.feed.publish([sub_of(account)])
        wait(lambda: n.status("/", token=account) == 401, "the revocation")
        assert n.status("/open", token=account) == 200


@test
def preflights_pass_where_the_policy_says_so():
    n = Nginx("subtoken on; subtoken_policy %(dir)s/policy.json; location / { proxy_pass http://api; } "
              "location /none { subtoken_policy %(dir)s/none.json; proxy_pass http://api; }")
    policy(n, {"default": "deny", "preflight": True})
    policy(n, {"default": "deny"}, "none.json")
    asks = ["Origin: https://x.example", "Access-Control-Request-Method: GET"]
    with n:
        assert n.status("/a", *asks, method="OPTIONS") == 200
        assert n.status("/none", *asks, method="OPTIONS") == 401
        assert n.status("/a", asks[0], method="OPTIONS") == 401
        assert n.status("/a", *asks) == 401


@test
def bad_configurations_and_files_are_named_by_nginx_t():
    n = Nginx(ON)
    assert n.check()[0] == 0, n.check()
    good = open(n.secrets).read()

    def says(text, conf_line=True):
        code, out = n.check()
        assert code != 0 and text in out, (text, code, out)
        assert not conf_line or "nginx.conf:" in out, out
    replace(n.secrets, b"no secret\n"), share(n.secrets)
    says('secrets" line 1 has white space')
    # F6
    replace(n.secrets, good.replace("\n", "\r\n").encode()), share(n.secrets)
    says('secrets" line 1 ends with a carriage return (CRLF)')
    replace(n.secrets, b"\xef\xbb\xbf" + good.encode()), share(n.secrets)
    says('secrets" line 1 starts with a byte-order mark')
    replace(n.secrets, b""), share(n.secrets)
    says("holds no secret")
    replace(n.secrets, good.encode()), os.chmod(n.secrets, 0o644)
    says("is open to others: chmod 600")
    link = os.path.join(n.dir, "link")
    os.symlink(n.secrets, link)
    n.configure(http="server { listen unix:%(dir)s/in2; subtoken_secrets " + link + "; }")
    says("is open to others: chmod 600")
    if ROOT:
        os.chown(n.secrets, 65534, 65534), os.chmod(n.secrets, 0o600)
        says("belongs to user 65534, and this runs as user 0")
        os.chmod(n.secrets, 0o640)
        assert n.check()[0] == 0, "its group may read it"
    share(n.secrets)
    assert n.check()[0] == 0, n.check()
    os.unlink(link)
    says("No such file or directory")
    os.mkfifo(link)
    says("is not a regular file")
    os.unlink(link)
    n.configure(http="")
    signed = bytearray(n.feed.bytes)
    for at, why in ((-1, "feed_bad"), (140, "feed_bad"), (0, "feed_bad")):
        bad = bytearray(signed)
        bad[at] ^= 1
        replace(n.feed.path, bytes(bad))
        says('revoked": ' + why)
    replace(n.feed.path, bytes(signed[:-9]))
    says('revoked": feed_bad')
    # What time alone can mend keeps nobody from starting, but is said.
    os.unlink(n.feed.path)
    code, out = n.check()
    assert code == 0 and "[warn]" in out and "No such file" in out, out
    replace(n.feed.path, bytes(signed))
    n.feed.beat(time.time() - 1000)
    code, out = n.check()
    assert code == 0 and "[warn]" in out and "feed_stale" in out, out
    n.feed.beat()
    with open(os.path.join(n.dir, "long"), "w") as f:
        f.truncate((1 << 24) + 1)
    share(f.name)
    for server, text in (
            ("subtoken maybe;", 'invalid value "maybe"'), ("subtoken on; subtoken_stale perhaps;", "invalid value"),
            ("subtoken on; subtoken_require a,b;", '"a,b" is no permission'),
            ("subtoken on; subtoken_require a; subtoken_require b;", "is duplicate"),
            ("subtoken_fallback authorize;", "must be off, or start with a slash"),
            ("subtoken_leeway soon;", "invalid value"), ("subtoken_policy %(dir)s/none;", "No such file"),
            ("subtoken_revocations " + "x" * 1100 + ";", "too long"), ("subtoken_revocations '';", "must not be empty"),
            ("subtoken_revocations off; subtoken_revocations off;", "is duplicate"),
            *(("subtoken_revocations r max=%s;" % size, "has a max= that is no size, such as 512m or 1g") for size in ("0", "1x", "-1")),
            *(("subtoken_revocations r %s;" % word, "takes FILE and max=SIZE") for word in ("max=", "512m", "Max=1m")),
            ("subtoken_secrets %(secrets)s; subtoken_secrets %(secrets)s;", "is duplicate"),
            ("subtoken_policy off; subtoken_policy off;", "is duplicate"), ("subtoken_fallback off; subtoken_fallback /a;", "is duplicate"),
            ("subtoken_fallback '';", "must not be empty"), ("subtoken_leeway 61m;", "is longer than an hour"),
            ("subtoken_require" + " a" * 65 + ";", "names too many permissions (maximum 64)"),
            ("location /a { subtoken_revocations %(feed)s max=100; } " + ON, "it is larger than the limit"), ("subtoken_policy %(secrets)s;", "line 1 column 1"), ("subtoken_policy %(dir)s/long;", "is longer than"),
            ("subtoken_secrets %(dir)s/long;", "is longer than")):
        n.configure(server=server)
        says(text)
    path = policy(n, '{"default":"deny",\n "routes":[{"path":"/a","neds":[]}]}')
    n.configure(server="subtoken_policy %(dir)s/policy.json;")
    says(path + '" line 2 column ')
    replace(path, b'{"default":"deny"}')
    assert n.check()[0] == 0
    n.configure(server="subtoken on;").pieces
    text = open(n.conf).read()
    with open(n.conf, "w") as f:
        f.write(text.replace("subtoken_revocations ", "#"))
    says("needs subtoken_revocations, or")
    with open(n.conf, "w") as f:
        f.write(text.replace("subtoken_secrets ", "#"))
    says('"subtoken on" needs subtoken_secrets')


@test
def a_ring_has_the_modes_that_the_server_accepts():
    """What DATA/secrets may be to the server, without data_group and with it, subtoken_secrets may be to the module,
    without trust_group and with it."""
    n = Nginx(ON)
    config, secrets = os.path.join(n.data, "config.json"), os.path.join(n.data, "secrets")
    plain = open(n.conf).read()
    accepted = {False: [], True: []}
    for trust in accepted:
        with open(config, "w") as f:
            json.dump({"data_group": trust}, f)
        with open(n.conf, "w") as f:
            f.write(plain.replace(n.secrets + ";", n.secrets + " trust_group;") if trust else plain)
        for mode in (owner | group | other for owner in (0o400, 0o600) for group in (0, 0o40, 0o60, 0o20, 0o70)
                     for other in (0, 1, 2, 4)):
            os.chmod(secrets, mode), os.chmod(n.secrets, mode)
            code, out = n.check()
            server = run("secret", "list", data=n.data)
            assert (code == 0) == (server[0] == 0), (trust, oct(mode), out, server)
            if code == 0:
                accepted[trust].append(mode)
    assert 0o600 in accepted[False] and 0o640 in accepted[False] and 0o660 not in accepted[False]
    assert 0o660 in accepted[True] and all(mode & 0o7 == 0 for mode in accepted[True]), accepted
    os.chmod(n.secrets, 0o660)
    with open(n.conf, "w") as f:
        f.write(plain)
    assert "can be written by its group: chmod 640 it, or add trust_group" in n.check()[1]
    for more, text in (("subtoken_secrets %s trust_group;" % n.secrets, "name it the same way everywhere"),
                       ("subtoken_secrets %s group;" % n.secrets, "takes FILE, and trust_group or nothing after it")):
        share(n.secrets)
        n.configure(server=more)
        assert text in n.check()[1], n.check()


@test
def the_manual_page_has_every_directive_and_variable():
    root = os.path.dirname(TESTS)
    module, variables, page = (open(os.path.join(root, "src", *path)).read() for path in (
        ("edge", "nginx", "ngx_http_subtoken_module.c"), ("edge", "nginx", "ngx_http_subtoken_variables.c"),
        ("man", "ngx_http_subtoken_module.5")))
    directives = re.findall(r'(?:DIRECTIVE\(|\{ngx_string\()"(subtoken\w*)"', module)
    variables = re.findall(r'\{ngx_string\("(subtoken_\w+)"\), NULL, ngx_http_subtoken_', variables)
    assert re.findall(r"^\.It Ic (\w+) ", page, re.M) == directives and len(directives) == 18, directives
    assert re.findall(r"^\.It Va \$(\w+)$", page, re.M) == variables and len(variables) == 10, variables


@test
def the_example_configuration_works():
    """src/edge/examples/nginx.conf with its paths put elsewhere: a token, a key, a public route, the feed's state."""
    answers = {}

    def decide(asked):
        headers = {k.lower(): v for k, v in asked["headers"]}
        if asked["target"] != "/v2/authorize":
            return None
        answers.update(headers)
        return 200, nonce(asked) + [("X-Subtoken-Sub", "k" * 43), ("X-Subtoken-Permissions", "account")], ""
    n = Nginx(answer=decide)
    policy(n, {"default": "deny", "routes": [{"path": "/v2/account", "needs": ["account"]},
                                             {"path": "/v2/items", "public": True}]})
    with open(os.path.join(os.path.dirname(TESTS), "src", "edge", "examples", "nginx.conf")) as f:
        text = f.read()
    for old, new in (("modules/ngx_http_subtoken_module.so", MODULE), ("/etc/subtoken/secrets;", n.secrets + ";"),
                     ("/var/lib/subtoken/revocations;", n.feed.path + ";"), ("/etc/subtoken/policy", n.dir + "/policy"),
                     ("/run/nginx.pid", n.dir + "/pid"), ("/var/log/nginx", n.dir), ("auto;", "1;"),
                     ("server 127.0.0.1:3000;", "server unix:%s;" % n.upstream.path),
                     ("server 127.0.0.1:8080 ", "server unix:%s " % n.upstream.path),
                     ("listen 127.0.0.1:8081;", "listen unix:%s;" % n.socket), ("allow 127.0.0.1;", "allow unix:;"),
                     ("http {", "http { client_body_temp_path %s/t1; proxy_temp_path %s/t2; fastcgi_temp_path "
                      "%s/t3; uwsgi_temp_path %s/t4; scgi_temp_path %s/t5;" % ((n.dir,) * 5))):
        assert old in text, old
        text = text.replace(old, new)
    if not ROOT:
        text = text.replace("user www-data;", "")
    with open(n.conf, "w") as f:
        f.write(text)
    with n:
        t = n.token()
        assert header_sent(n.ask("/v2/account?access_token=" + t), "X-Subtoken-Sub") == sub_of(t)
        answer = n.ask("/v2/account?a=1", "X-Subtoken-Key: forged", "X-Original-URI: /v2/items",
                       "X-Forwarded-For: 203.0.113.9", token=n.key["key"])
        assert header_sent(answer, "X-Subtoken-Sub") == "k" * 43 and header_sent(answer, "X-Subtoken-Key") is None
        assert answers["x-original-uri"] == "/v2/account?a=1" and answers["x-original-method"] == "GET"
        assert answers["x-forwarded-for"] == "203.0.113.9, unix:", "the address that nginx saw is the last"
        assert n.status("/v2/account") == 401 and n.status("/v2/items") == 200 and n.status("/v2/x", token=t) == 403
        assert n.status("/.subtoken/authorize") == 404, "the question is nobody else's to ask"
        assert echoed(n.ask("/v2/createsubtoken?access_token=x"))["target"] == "/v2/createsubtoken?access_token=x"
        feed = n.ask("/.subtoken/feed").json()
        assert (feed["count"], feed["sequence"]) == ("1", str(n.feed.sequence)) and 0 <= int(feed["age"]) < 300
        assert 'subtoken_nginx_decisions_total{worker="0",reason="auth_missing"} 1\n' in n.ask("/.subtoken/metrics").body
    assert "result=ok sub=" + sub_of(t) in n.log() and "result=auth_missing" in n.log()


@test
def the_module_works_without_workers_and_through_a_binary_upgrade():
    """Without a master process (in which nginx knows no reload); and SIGUSR2, which hands the sockets to a
    new nginx."""
    n = Nginx(ON, main="master_process off;")
    with n:
        t = n.token()
        assert n.status("/a", token=t) == 200 and n.status("/a") == 401
        n.feed.publish([sub_of(t)])
        wait(lambda: n.status("/a", token=t) == 401, "the revocation")
    n = Nginx(ON)
    cmd, env = n.command()
    assert subprocess.run(cmd, env=env, timeout=60, stderr=subprocess.DEVNULL).returncode == 0
    pids = []

    def gone(pid):
        return not os.path.exists("/proc/%d" % pid) or ") Z " in open("/proc/%d/stat" % pid).read()

    def written(name):  # nginx makes the file before it writes the line
        return os.path.exists(n.dir + name) and open(n.dir + name).read().endswith("\n")
    try:
        wait(lambda: written("/pid"), "the pid")
        pids.append(int(open(n.dir + "/pid").read()))
        t = n.token()
        assert n.status("/a", token=t) == 200
        os.kill(pids[0], signal.SIGUSR2)
        wait(lambda: written("/pid.oldbin") and written("/pid"), "the new nginx")
        pids.append(int(open(n.dir + "/pid").read()))
        os.kill(pids[0], signal.SIGQUIT)
        wait(lambda: gone(pids[0]), "the old one's end")
        assert n.status("/a", token=t) == 200 and n.status("/a") == 401
    finally:
        for pid in pids:
            if not gone(pid):
                os.kill(pid, signal.SIGQUIT)
                wait(lambda: gone(pid), "its end")
        n.upstream.shutdown()
        n.upstream.server_close()
    assert "exited on signal" not in n.errors() and "Sanitizer" not in n.errors(), n.errors()


# ---- changed files ----

@test
def the_sequence_is_that_of_the_data_in_use():
    """pull writes FILE.seen first: whoever reads the variable must not take an older list for the newer one."""
    n = Nginx("subtoken on; location / { subtoken off; return 200 '$subtoken_feed_sequence,$subtoken_feed_count'; }")
    with n:
        before = n.feed.sequence
        assert n.ask("/").body == "%d,1" % before
        replace(n.feed.path + ".seen", b"%d\n" % (before + 1000))
        for _ in range(8):  # longer than the worker takes to look
            time.sleep(0.1)
            assert n.ask("/").body == "%d,1" % before
        n.feed.publish(["nobody", "other"], sequence=before + 1000)
        wait(lambda: n.ask("/").body == "%d,2" % (before + 1000), "the newer list")



@test
def changed_files_are_taken_up_without_a_reload():
    n = Nginx("subtoken on; subtoken_policy %(dir)s/policy.json; location / { proxy_pass http://api; } "
              "location /feed { subtoken off; return 200 '$subtoken_feed_age,$subtoken_feed_sequence,$subtoken_feed_count'; }",
              http=WORKER, workers=2)
    policy(n, {"default": "deny"})
    with n:
        t = n.token()
        assert n.status("/a", token=t) == 403
        policy(n, {"default": "token"})
        wait(lambda: of_both(n, 200, t), "the policy in both workers")
        policy(n, '{"default":"public"')
        wait(lambda: n.errors().count("policy.json\" line 1 column 20: unexpected end of the text; the loaded one stays in use") == 2,
             "the bad policy is said, once a worker")
        assert n.status("/a") == 401 and n.status("/a", token=t) == 200
        os.unlink(os.path.join(n.dir, "policy.json"))
        wait(lambda: n.errors().count("No such file or directory; the loaded one stays in use") == 2, "the lost policy")
        assert n.status("/a", token=t) == 200
        # The ring: one is added, the token of the new one is good; then the old one goes.
        fresh = ("k2", os.urandom(32))
        now = int(time.time())
        second = jwt(fresh, {"sub": "s" * 43, "iat": now, "exp": now + 600, "permissions": []})
        assert n.status("/a", token=second) == 401 and result(n) == "kid"
        line = "k2:" + base64.urlsafe_b64encode(fresh[1]).rstrip(b"=").decode() + "\n"
        old = open(n.secrets).read()
        replace(n.secrets, (old + line).encode()), share(n.secrets)
        wait(lambda: of_both(n, 200, second), "the second secret")
        assert n.status("/a", token=t) == 200
        replace(n.secrets, line.encode()), share(n.secrets)
        n.feed.signer = fresh
        n.feed.publish(["x"])
        wait(lambda: of_both(n, 401, t), "the first secret is gone")
        assert n.status("/a", token=second) == 200
        for bad in (b"rubbish\n", line.encode() * 2):
            replace(n.secrets, bad), share(n.secrets)
            before = n.errors().count("the loaded one stays in use")
            wait(lambda: n.errors().count("the loaded one stays in use") > before, "the bad ring is said")
            assert n.status("/a", token=second) == 200
        replace(n.secrets, line.encode()), os.chmod(n.secrets, 0o644)
        wait(lambda: "is open to others" in n.errors(), "the open ring is said")
        assert n.status("/a", token=second) == 200
        # Many revocations: taken up whole, and the figures tell.
        n.feed.publish([sub_of(second)], hashes=range(1, 1 << 64, (1 << 64) // 200000))
        wait(lambda: of_both(n, 401, second), "a long list")
        age, sequence, count = n.ask("/feed").body.split(",")
        assert int(sequence) == n.feed.sequence and int(count) >= 200000 and 0 <= int(age) < 300, age
    assert fresh[1].hex() not in n.errors()


@test
def stale_data_is_503_until_it_is_fresh():
    n = Nginx(ON + " location /allow { subtoken_stale allow; proxy_pass http://api; }"
              " location /age { subtoken_max_age 2h; proxy_pass http://api; }"
              " location /rev { subtoken_revocations off; proxy_pass http://api; }", feed=False)
    with n:
        t = n.token()
        answer = n.ask("/a", token=t)
        assert (answer.status, answer.header("Retry-After"), result(n)) == (503, "5", "feed_stale"), answer.body
        assert json.loads(answer.body).keys() == {"text"} and answer.header("WWW-Authenticate") is None
        assert n.status("/allow", token=t) == 503, "no data at all is not old data"
        wait(lambda: "feed_bad: a file cannot be read; no data is loaded" in n.errors(), "the missing file is said")
        assert n.status("/a") == 401 and n.status("/a", token=t + "x") == 401 and n.status("/rev", token=t) == 200
        n.feed.publish(["x"], at=time.time() - 1000)
        wait(lambda: n.status("/age", token=t) == 200, "the data, though old")
        assert n.status("/a", token=t) == 503 and n.status("/allow", token=t) == 200
        assert re.search(r"feed_stale age=1\d\d\d", n.errors()), n.errors()[-2000:]
        n.feed.beat()
        wait(lambda: n.status("/a", token=t) == 200, "the heartbeat")
        wait(lambda: "is fresh again" in n.errors(), "that it is fresh is said")


@test
def bad_forged_and_replayed_files_are_kept_out():
    n = Nginx(ON)
    with n:
        t = n.token()
        n.feed.publish([sub_of(t)])
        kept = n.feed.bytes, open(n.feed.path + ".alive", "rb").read(), n.feed.sequence
        wait(lambda: n.status("/a", token=t) == 401, "the revocation")
        forger = ("", os.urandom(32))
        later = n.feed.sequence + 5
        forged = snapshot(later, signer=forger)

        def heard(what):
            wait(lambda: what in n.errors(), "%s is said" % what)
            assert n.status("/a", token=t) == 401
        replace(n.feed.path, forged)
        replace(n.feed.path + ".alive", heartbeat(forged, time.time(), forger))
        heard("feed_bad")
        assert "the loaded data stays in use" in n.errors()
        replace(n.feed.path, kept[0][:100])
        n.status("/a", token=t)
        # An older one that was good once: nothing goes back.
        old = snapshot(kept[2] - 1, signer=n.signer)
        replace(n.feed.path, old)
        replace(n.feed.path + ".alive", heartbeat(old, time.time(), n.signer))
        heard("feed_rollback")
        # Written over in place and cut short under the worker: what was checked is its own copy.
        with open(n.feed.path, "r+b") as f:
            f.write(b"\0" * 64)
            f.truncate(70)
        assert n.status("/a", token=t) == 401
        os.unlink(n.feed.path), os.unlink(n.feed.path + ".alive")
        assert n.status("/a", token=t) == 401
        n.feed.publish([])
        wait(lambda: n.status("/a", token=t) == 200, "good data again")


@test
def a_worker_that_may_not_read_its_files_says_so_and_denies():
    if not ROOT:
        return "the worker is who starts nginx"
    n = Nginx(ON)
    os.chown(n.secrets, 0, 0)
    with n:
        t = n.token()
        answer = n.ask("/a", token=t)
        assert (answer.status, answer.header("Retry-After")) == (503, "5"), answer.status
        assert "Permission denied; requests are answered with 503 until it can be read" in n.errors()
        said = n.errors().count("Permission denied")
        os.chown(n.secrets, 0, grp.getgrnam("www-data").gr_gid)
        wait(lambda: n.status("/a", token=t) == 200, "the ring can be read")
        assert n.errors().count("Permission denied") == said == 1, "said once"

main()
