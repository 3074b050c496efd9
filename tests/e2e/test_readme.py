"""What the README at the top shows is run: its transcripts, its edge in a real nginx, and `make run`. What it says of
calls, figures and files is held against the pages that have the rest. Those of the folders: test_readmes.py."""
from nginx import *
from transcripts import *

README = document("README.md")


@test
def it_is_short_and_its_links_lead_somewhere():
    assert len(README.splitlines()) <= 150
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert len(links) > 8
    for link in links:
        assert os.path.exists(os.path.join(ROOT, link)), link
    pages = set(re.findall(r"`([\w.]+\.[1357])`", README))
    pages |= {p for name in re.findall(r"`man (subtoken[\w.]*|libsubtoken)`", README)
              for p in os.listdir(os.path.join(ROOT, "src", "man")) if p.rsplit(".", 1)[0] == name}
    assert len(pages) > 8
    for page in pages:
        assert os.path.exists(os.path.join(ROOT, "src", "man", page)), page


@test
def the_map_of_the_code_is_that_of_the_tree():
    """src/README.md: its links, a row for each folder, and who sees whom as tests/layers.py holds it."""
    code = document("src/README.md")
    for link in re.findall(r"\]\(([^)#]+)\)", code):
        assert os.path.exists(os.path.join(ROOT, "src", link)), link
    for path in re.findall(r"`(tests/[\w/.]+)`", code):
        assert os.path.exists(os.path.join(ROOT, path)), path
    rows = re.findall(r"^\| \[([\w/]+)\]\([^)]+\) \| .* \| ([^|]*) \|$", code, re.M)
    folders = {n for n in os.listdir(os.path.join(ROOT, "src")) if os.path.isdir(os.path.join(ROOT, "src", n))}
    folders |= {"store/" + n for n in os.listdir(os.path.join(ROOT, "src", "store")) if "." not in n}
    assert {n for n, _ in rows} == folders, {n for n, _ in rows} ^ folders
    held, seen = {}, {}
    exec(re.search(r"^LIBRARY = .*?^\}$", document("tests/layers.py"), re.M | re.S).group(0), held)
    for folder, text in rows:
        seen[folder] = seen["server"] if text.startswith("the same") else set(re.split(", ", text)) - {"nothing"}
    for folder, sees in held["SEES"].items():
        if folder in folders:
            assert seen[folder] == set(sees) & folders, (folder, seen[folder], sees)


@test
def its_calls_are_in_the_manual():
    table = re.search(r"^\| call \|.*\n\|[-|]+\n((?:\|.*\n)+)", README, re.M).group(1)
    shown = {p for row in table.splitlines() for p in re.findall(r"(/[\w/.]+)", row.split(" | ")[0])}
    known = set(re.findall(r"^\.It Li [A-Za-z, ]+ (/\S+)$", document("src/man/subtoken_http.7"), re.M))
    assert len(shown) > 10 and shown <= known, shown - known


@test
def its_figures_are_those_of_the_benchmarks():
    table = re.search(r"^## Figures\n.*?((?:^\|.*\n)+)", README, re.M | re.S).group(1)
    measured = document("tests/bench/README.md")
    figures = re.findall(r"\b\d+\.\d\d\b|\b[\d,]+(?= ns)", table)
    assert len(figures) >= 6, figures
    for figure in figures:
        assert figure in measured, figure


@test
def transcripts_do_what_they_show():
    d = place()
    with Server(data=os.path.join(d, "var"), args=["--demo"]) as server:
        out = open(server.stdout_path).read()
        key = re.search(r"^  ([0-9A-F-]{72})$", out, re.M).group(1)
        steps = [play(b, d, dict(os.environ, KEY=key), server.port) for b in blocks(README, "console")]
        assert steps == [4, 5], steps


class Shown(Nginx):
    """nginx with the lines of the README, its paths put elsewhere, and what it leaves out: where it listens, and the
    location that asks."""

    def configure(self):
        with open(os.path.join(self.dir, "policy.json"), "w") as f:
            json.dump({"default": "deny", "routes": [{"path": "/v2/account", "needs": ["account"]}]}, f)
        (text,) = blocks(README, "nginx")
        lines = [l for l in text.splitlines() if l not in ("} }",)]
        assert 9 <= len(lines) <= 11, lines
        user = "user www-data;" if os.geteuid() == 0 else ""
        for here, there in (
                ("modules/ngx_http_subtoken_module.so", MODULE),
                ("/etc/subtoken/secrets", self.secrets), ("/var/lib/subtoken/revocations", self.feed.path),
                ("/etc/subtoken/policy.json", self.dir + "/policy.json"),
                ("http {", "pid %(d)s/pid; error_log %(d)s/error.log info; %(user)s env LD_PRELOAD; env ASAN_OPTIONS;\n"
                 "events { }\nhttp { access_log %(d)s/access.log; client_body_temp_path %(d)s/t1;\n"
                 "proxy_temp_path %(d)s/t2; fastcgi_temp_path %(d)s/t3; uwsgi_temp_path %(d)s/t4;\n"
                 "scgi_temp_path %(d)s/t5; upstream api { server unix:%(d)s/up; }" % {"d": self.dir, "user": user}),
                ("server {\n", "server {\nlisten unix:%s/in;\nlocation = /.subtoken/authorize { internal; subtoken off;"
                 " proxy_pass http://api/v2/authorize; }\n" % self.dir)):
            assert text.count(here) == 1, here
            text = text.replace(here, there)
        with open(self.conf, "w") as f:
            f.write(text)
        return self


@test
def the_edge_decides():
    endpoint = Endpoint()
    with Shown(answer=endpoint) as edge:
        token, other = edge.token(), edge.token("--urls", "/v2/items")
        assert edge.status("/v2/account", token=token) == 200
        sent = {n: v for n, v in edge.upstream.seen[-1]["headers"]}
        assert sent["X-Subtoken-Sub"] == sub_of(token)
        assert edge.status("/v2/account", token=other) == 403
        assert edge.status("/v2/nowhere", token=token) == 403
        assert edge.status("/v2/account", token=token[:-2]) == 401 == edge.status("/v2/account")
        endpoint.say["Bearer " + edge.key["key"]] = 200, {"X-Subtoken-Sub": "k", "X-Subtoken-Permissions": "account"}
        assert edge.status("/v2/account", token=edge.key["key"]) == 200
        assert [headers["authorization"] for _, headers, _ in endpoint.asked if "authorization" in headers] == [
            "Bearer " + edge.key["key"]]
        edge.feed.publish([sub_of(token)])
        wait(lambda: edge.status("/v2/account", token=token) == 401, "it is revoked")


@test
def make_run_serves_and_its_lines_can_be_pasted():
    if os.path.dirname(PROGRAM) != os.path.join(ROOT, "build"):
        return "make run builds the plain program"
    data = data_dir()
    out_path = os.path.join(scratch(), "out")
    p = subprocess.Popen(["make", "run", "PORT=%d" % free_port(), "DATA=" + data], cwd=ROOT,
                         stdout=open(out_path, "w"), stderr=subprocess.STDOUT,
                         start_new_session=True)
    try:
        deadline = time.time() + 120
        while time.time() < deadline and open(out_path).read().count("  curl ") < 4:
            assert p.poll() is None, open(out_path).read()
            time.sleep(0.1)
        lines = re.findall(r"^  (curl .*)$", open(out_path).read(), re.M)
        answers = [subprocess.run(["bash", "-c", l], capture_output=True, text=True).stdout
                   for l in lines]
        assert len(answers) == 4, open(out_path).read()
        assert payload(json.loads(answers[3])["access_token"])["permissions"][:3] == ["keys", "users", "audit"]
        token = json.loads(answers[0])["subtoken"]
        assert payload(token)["urls"] == ["/v2/tokeninfo"]
        assert json.loads(answers[1])["type"] == "Subtoken"
        assert answers[2] == '{"text":"this subtoken does not list this url"}'
    finally:
        os.killpg(p.pid, signal.SIGTERM)
        p.wait(timeout=120)


main()
