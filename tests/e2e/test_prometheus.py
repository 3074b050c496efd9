"""src/packaging/prometheus: the alert rules by their own cases, and a real Prometheus that scrapes a server, an nginx with
the module and `subtoken pull`, to which every expression of the rules and of the dashboard is put."""
import math, urllib.parse, urllib.request
import yaml
from nginx import *

FOLDER = os.path.join(os.path.dirname(TESTS), "src", "packaging", "prometheus")
ALERTS, CASES, DASHBOARD, CONFIG = (os.path.join(FOLDER, n) for n in ("alerts.yml", "alerts_test.yml", "dashboard.json", "prometheus.yml"))
PROMETHEUS = shutil.which("prometheus")


def rules():
    return [r for g in yaml.safe_load(open(ALERTS))["groups"] for r in g["rules"]]


def expressions():
    """[(panel, expression)] of the dashboard, for all jobs and instances."""
    found = []
    for panel in json.load(open(DASHBOARD))["panels"]:
        for target in panel.get("targets", []):
            expr = target["expr"].replace("$__rate_interval", "20s").replace("$job", "subtoken.*").replace("$instance", ".*")
            assert "$" not in expr, expr
            found.append((panel["title"], expr))
    return found


@test
def the_rules_hold_their_cases():
    p = subprocess.run(["promtool", "test", "rules", CASES], capture_output=True, text=True)
    assert p.returncode == 0, p.stdout + p.stderr
    cases = [c for t in yaml.safe_load(open(CASES))["tests"] for c in t["alert_rule_test"]]
    for rule in rules():
        fires = [bool(c.get("exp_alerts")) for c in cases if c["alertname"] == rule["alert"]]
        assert True in fires and False in fires, "without a case in which it fires, or does not: " + rule["alert"]
        assert rule["labels"]["severity"] in ("critical", "warning", "info") and rule["annotations"].keys() == {"summary", "description"}
    assert len({r["alert"] for r in rules()}) == len(rules()) and {c["alertname"] for c in cases} == {r["alert"] for r in rules()}


@test
def the_dashboard_is_one():
    """Panels lie beside each other, and have numbers of their own and a source that the viewer chooses."""
    data = json.load(open(DASHBOARD))
    taken, numbers = set(), set()
    for panel in data["panels"]:
        at = panel["gridPos"]
        place = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not taken & place and at["x"] + at["w"] <= 24 and panel["id"] not in numbers, panel["title"]
        taken |= place
        numbers.add(panel["id"])
        for target in panel.get("targets", []):
            assert target["datasource"]["uid"] == "${datasource}" == panel["datasource"]["uid"], panel["title"]
    assert {v["name"] for v in data["templating"]["list"]} == {"datasource", "job", "instance"} and len(numbers) > 30


class Scraper(Program):
    """A Prometheus with the configuration that comes with the program, its targets put elsewhere."""

    def __init__(self, targets):
        self.dir = scratch()
        text = open(CONFIG).read()
        for here, there in {"127.0.0.1:9464": targets[0], "127.0.0.1:8081": targets[1], "127.0.0.1:9465": targets[2],
                            "scrape_interval: 15s": "scrape_interval: 1s", "evaluation_interval: 15s": "evaluation_interval: 1s"}.items():
            assert text.count(here) == 1, here
            text = text.replace(here, there)
        self.conf = os.path.join(self.dir, "prometheus.yml")
        with open(self.conf, "w") as f:
            f.write(text)
        shutil.copy(ALERTS, self.dir)
        check = subprocess.run(["promtool", "check", "config", self.conf], capture_output=True, text=True)
        assert check.returncode == 0, check.stdout + check.stderr

    def answers(self):
        found = re.search(r'msg="Listening on" address=127.0.0.1:(\d+)', self.text())
        self.port = int(found.group(1)) if found else None
        return found and "Server is ready to receive web requests" in self.text()

    def __enter__(self):
        self.launch([PROMETHEUS, "--config.file=" + self.conf, "--web.listen-address=127.0.0.1:0", "--storage.tsdb.path=" + self.dir + "/data"])
        return self

    def __exit__(self, *error):
        self.process.terminate()
        self.process.wait(timeout=60)

    def get(self, path, **query):
        url = "http://127.0.0.1:%d/api/v1/%s?%s" % (self.port, path, urllib.parse.urlencode(query))
        with urllib.request.urlopen(url, timeout=60) as r:
            return json.load(r)["data"]

    def query(self, expr):
        """The values of all series."""
        return [float(s["value"][1]) for s in self.get("query", query=expr)["result"]]


class Edge:
    """A server, a pull from it, and nginx with the module, each with its metrics."""

    def __enter__(self):
        self.server = SmallServer(config={"metrics_listen": "127.0.0.1:0", "policy": self.policy({"default": "token"})}).start()
        port = free_port()
        self.nginx = Nginx("""listen 127.0.0.1:%d; subtoken on; subtoken_policy %%(dir)s/policy.json; subtoken_fallback /ask;
          location / { proxy_pass http://api; }
          location /none { subtoken_fallback /nobody; proxy_pass http://api; }
          location = /.subtoken/metrics { subtoken off; subtoken_status; access_log off; }
          location = /ask { internal; subtoken off; proxy_pass http://127.0.0.1:%d/v2/authorize; proxy_pass_request_body off;
            proxy_set_header Content-Length ""; }
          location = /nobody { internal; subtoken off; proxy_pass http://unix:%%(dir)s/nobody:; }""" % (port, self.server.port),
                           feed=False, data=self.server.data, workers=2)
        shutil.copy(self.policy({"default": "token", "routes": [{"path": "/adm", "needs": ["admin"]}]}), os.path.join(self.nginx.dir, "policy.json"))
        share(os.path.join(self.nginx.dir, "policy.json"), 0o644)
        share(self.nginx.dir, 0o2755)  # what pull makes belongs to the workers' group
        self.pulling = private_file(make_key(self.server.data, "revocations")["key"])
        self.log = os.path.join(self.nginx.dir, "pull.log")
        self.pull = subprocess.Popen([PROGRAM, "pull", "--from", self.server.url, "--to", self.nginx.feed.path, "--key-file", self.pulling,
                                      "--metrics-listen", "127.0.0.1:0"], stderr=open(self.log, "w"))
        wait(lambda: os.path.exists(self.nginx.feed.path + ".alive") and self.listening(self.log), "pull has begun")
        self.nginx.start()
        self.targets = ["127.0.0.1:%d" % p for p in (self.listening(self.server.log_path), port, self.listening(self.log))]
        self.token = self.nginx.token()
        return self

    def policy(self, data):
        return private_file(json.dumps(data), "policy.json")

    def listening(self, path):
        found = re.search(r'"metrics_listening","detail":"http://[^"]*:(\d+)"', open(path).read())
        return int(found.group(1)) if found else None

    def __exit__(self, *error):
        self.stop_pull()
        self.nginx.__exit__(*error)
        self.server.stop()

    def stop_pull(self):
        if self.pull.poll() is None:
            self.pull.terminate()
        assert self.pull.wait(timeout=60) == 0, open(self.log).read()

    def traffic(self):
        """A request of each kind that the rules and the dashboard tell apart."""
        key, forged = self.nginx.key["key"], self.token.rsplit(".", 1)[0] + "." + "A" * 43
        n = self.nginx
        seen = [n.status("/a", token=t) for t in (self.token, key, "nothing", forged)] + [n.status("/adm", token=self.token)]
        assert seen == [200, 200, 401, 401, 403], seen
        assert n.status("/none", token=key) == 503
        assert curl(self.server.url + "/v2/createsubtoken", *bearer(forged)).status == 401
        made = curl(self.server.url + "/v2/createsubtoken", *bearer(key)).json()["subtoken"]
        assert curl(self.server.url + "/oauth/revoke", "-d", "token=" + made).status == 200
        curl(self.server.url + "/v2/authorize", *bearer(key), "-H", "X-Original-URI: /a", "-H", "X-Original-Method: GET")


def shown(prometheus, edge, exprs):
    """Wait until each of these has a series whose values are numbers, while requests come."""
    left = dict((e, what) for what, e in exprs)
    def all_are():
        edge.traffic()
        for expr in list(left):
            values = prometheus.query(expr)
            if values and all(math.isfinite(v) for v in values):
                del left[expr]
        return not left
    try:
        wait(all_are, "everything is shown")
    except AssertionError:
        raise AssertionError("no series, or no number: %s" % left)


def selectors(expr):
    """What a rule looks at: each metric with the labels that it names; a status of 500 cannot be made to order."""
    found = re.findall(r"\b((?:subtoken|process|up)\w*)(\{[^}]*\})?", re.sub(r'by \([^)]*\)', "", expr))
    assert found, expr
    return [name + re.sub(r'code=~"[^"]*"', "", labels) for name, labels in found]


@test
def prometheus_finds_all_that_the_rules_and_the_dashboard_ask_for():
    with Edge() as edge, Scraper(edge.targets) as prometheus:
        wait(lambda: prometheus.query('sum(up{job=~"subtoken.*"})') == [3], "all three are scraped: %s" % prometheus.get("targets"))
        shown(prometheus, edge, expressions())
        looked_at = [(r["alert"], s) for r in rules() for s in selectors(r["expr"])]
        shown(prometheus, edge, [(name, "count(%s)" % s) for name, s in looked_at])
        groups = prometheus.get("rules")["groups"]
        wait(lambda: all(r["health"] == "ok" for g in prometheus.get("rules")["groups"] for r in g["rules"]), "each rule can be evaluated")
        assert sum(len(g["rules"]) for g in groups) == len(rules())
        # Nobody is told of anything that is well, and is told when an edge refuses all.
        assert not [a for a in prometheus.get("alerts")["alerts"] if a["state"] == "firing" and "EdgeRefusesAll" in a["labels"]["alertname"]]
        edge.stop_pull()
        edge.nginx.configure(server="subtoken_max_age 1; " + edge.nginx.pieces["server"])
        edge.nginx.reload()
        def alerted():
            return {a["labels"]["alertname"] for a in prometheus.get("alerts")["alerts"] if a["state"] == "firing"}
        wait(lambda: "SubtokenEdgeRefusesAll" in alerted(), "the alert")
        wait(lambda: prometheus.query('up{job="subtoken-pull"}') == [0], "pull is seen to be gone")


main()
