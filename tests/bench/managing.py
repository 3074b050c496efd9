"""What managing takes with a million keys, a hundred thousand users and a million lines of the audit log, on either
kind of store: each page of what is listed and looked for, and how long others wait meanwhile. keys.py runs it."""
import http.client, json, statistics, threading, time, urllib.parse

from common import brief, verdict
import key_rows, support

WANTED_PAGE = 50   # ms, a page
WANTED_WAIT = 100  # ms, of others
TIMES = brief(1, 15)
PAGES = brief(2, 20)
SECONDS = brief(0.1, 5)
START = 1700000000  # of the audit log

NUMBERS = {False: "WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < %d) ",
           True: "WITH numbers (n) AS (SELECT generate_series(0, %d - 1)) "}
KEY = ("INSERT INTO %skeys (id, digest, sub, name, owner, permissions, created_at, disabled, changed_at, kind%s) ")
# Users who have no keys; a few kinds of changes by a few people, one of them by nobody else.
SQLITE = (
    KEY % ("", "") + NUMBERS[False] + "SELECT printf('%%08X-0000-4000-8002-%%012d', (n * 2654435761) %% 4294967296, n),"
    " randomblob(32), substr(hex(randomblob(22)), 1, 43), printf('reader%%06d', n), printf('reader%%06d', n), 'account',"
    " 1700000000, 0, 1700000000, 1 FROM numbers",
    "INSERT INTO persons (login, key_id, password, imported, locale, source, changed_at) SELECT owner, id, '', NULL, '',"
    " '', 1700000000 FROM keys WHERE kind = 1 AND owner GLOB 'reader*'",
    "INSERT INTO audit (at, who, origin, action, target, detail) " + NUMBERS[False] +
    "SELECT 1700000000 + n / 3, CASE WHEN n = 5 THEN 'login rare' ELSE printf('login person%%06d', n %% 7) END,"
    " '127.0.0.1', CASE WHEN n = 6 THEN 'user.delete' WHEN n %% 2 = 0 THEN 'key.create' ELSE 'key.rename' END,"
    " printf('%%08X-0000-4000-8000-%%012d', (n * 2654435761) %% 4294967296, n), 'name x' FROM numbers")
POSTGRES = (
    KEY % ("subtoken.", ", suspended, hash") + NUMBERS[True] +
    "SELECT upper(lpad(to_hex((n::bigint * 2654435761) %% 4294967296), 8, '0')) || '-0000-4000-8002-' || lpad(n::text, 12, '0'),"
    " decode(md5(n::text) || md5('u' || n), 'hex'), md5('s' || n) || lpad(n::text, 11, '0'),"
    " 'reader' || lpad(n::text, 6, '0'), 'reader' || lpad(n::text, 6, '0'), 'account', 1700000000, 0, 1700000000, 1, 0, 0"
    " FROM numbers",
    "INSERT INTO subtoken.users (username, key_id, password, imported, locale, source, changed_at) SELECT owner, id, '',"
    " NULL, '', '', 1700000000 FROM subtoken.keys WHERE kind = 1 AND owner LIKE 'reader%%'",
    "INSERT INTO subtoken.audit (at, who, origin, action, target, detail) " + NUMBERS[True] +
    "SELECT 1700000000 + n / 3, CASE WHEN n = 5 THEN 'login rare' ELSE 'login person' || lpad((n %% 7)::text, 6, '0') END,"
    " '127.0.0.1', CASE WHEN n = 6 THEN 'user.delete' WHEN n %% 2 = 0 THEN 'key.create' ELSE 'key.rename' END,"
    " upper(lpad(to_hex((n::bigint * 2654435761) %% 4294967296), 8, '0')) || '-0000-4000-8000-' || lpad(n::text, 12, '0'),"
    " 'name x' FROM numbers")


def fill(side, execute):
    """execute: of the side's database, which nobody serves yet."""
    statements, prefix, number = (POSTGRES, "subtoken.", "n") if side.cluster else (SQLITE, "", "rowid")
    counts = (side.count // 10, None, side.count)
    for sql, count in zip(statements, counts):
        execute(sql % ((count,) if count else ()))
    execute("UPDATE %skeys SET expires_at = %d + %s WHERE kind = 0 AND %s %% 100 = 3"
            % (prefix, int(time.time()) + 86400, number, number))
    execute("UPDATE %skeys SET name = 'the very last' WHERE id = (SELECT max(id) FROM %skeys WHERE kind = 0)" % (prefix, prefix))
    if side.cluster:
        execute("ANALYZE subtoken.keys, subtoken.users, subtoken.audit")


class Caller:
    def __init__(self, side, key):
        self.connection = http.client.HTTPConnection("127.0.0.1", side.server.port)
        self.headers = {"Authorization": "Bearer " + key, "Content-Type": "application/json"}

    def ask(self, target, method="GET", body=None, status=200):
        """(ms, the answer)"""
        began = time.monotonic()
        self.connection.request(method, target, body and json.dumps(body), self.headers)
        answer = self.connection.getresponse()
        text = answer.read()
        took = (time.monotonic() - began) * 1000
        assert answer.status == status, (target, answer.status, text[:200])
        return took, text and answer.headers["Content-Type"].startswith("application/json") and json.loads(text)


def paths(side):
    one = key_rows.key_of(side.count // 2)[:36]
    at = lambda share: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(START + int(side.count / 3 * share)))
    keys, users, audit = "/v2/keys?limit=100", "/v1/user?limit=100", "/v2/audit?limit=100"
    return (
        ("keys", keys),
        ("  search, found at once", keys + "&search=KEY+5"), ("  search, one at the end", keys + "&search=the+very"),
        ("  search, nothing", keys + "&search=nobody+has+this"), ("  search, an id's beginning", keys + "&search=" + one[:8]),
        ("  owner", keys + "&owner=program7"), ("  owner, nobody", keys + "&owner=nobody"),
        ("  owner and search, nothing", keys + "&owner=program7&search=nobody"),
        ("  state=active", keys + "&state=active"), ("  state=suspended, nothing", keys + "&state=suspended"),
        ("  expiring=30d", keys + "&expiring=30d"), ("  expiring=30d and owner, none", keys + "&expiring=30d&owner=nobody"),
        ("users", users), ("  search, found at once", users + "&search=READER0"),
        ("  search, one at the end", users + "&search=reader%06d" % (side.count // 10 - 1)),
        ("  search, nothing", users + "&search=nobody"),
        ("audit log", audit), ("  who", audit + "&who=login+person000003"), ("  who, one line", audit + "&who=login+rare"),
        ("  who, nobody", audit + "&who=nobody"),
        ("  action", audit + "&action=key.create"), ("  action, one line", audit + "&action=user.delete"),
        ("  action=key.", audit + "&action=key."), ("  action=user., the oldest", audit + "&action=user."),
        ("  target", audit + "&target=" + one),
        ("  since", audit + "&since=" + at(0.9)), ("  until", audit + "&until=" + at(0.5)),
        ("  since and until", audit + "&since=%s&until=%s" % (at(0.5), at(0.6))),
        ("  until before all", audit + "&until=" + at(-1)),
        ("  who and action, none", audit + "&who=login+person000003&action=user.delete"),
        ("  target, who, action", audit + "&target=%s&who=login+person000003&action=key." % one),
        ("  who, action, since, until", audit + "&who=login+person000002&action=key.&since=%s&until=%s" % (at(0.4), at(0.6))),
    )


def follow(caller, target):
    """The times of one look from its first page on, what was found, and whether it came to the end."""
    times, found, after = [], 0, ""
    while len(times) < PAGES:
        took, page = caller.ask(target + after)
        times.append(took)
        found += len(page.get("keys", page.get("users", page.get("entries", ()))))
        if "next" not in page:
            return times, found, True
        after = "&%s=%s" % ("before" if "audit" in target else "after", urllib.parse.quote(str(page["next"])))
    return times, found, False


def pages(side, kind, key):
    caller = Caller(side, key)
    print("\n%s: %d keys, %d users, %d lines of the audit log; ms, a page of 100 (at most %d)"
          % (kind, side.count, side.count // 10, side.count, WANTED_PAGE))
    print("%-32s %8s %8s %8s %8s %9s" % ("", "first", "median", "longest", "pages", "found"))
    for name, target in paths(side):
        first = statistics.median(caller.ask(target)[0] for _ in range(TIMES))
        times, found, ended = follow(caller, target)
        median = statistics.median(times)
        print("%-32s %8.2f %8.2f %8.2f %7d%s %9d  %s" % (name, first, median, max(times), len(times), " " if ended else "+",
                                                      found, verdict(max(first, median) <= WANTED_PAGE)), flush=True)


class Beside:
    """Somebody who asks one thing again and again, and how long each took."""

    def __init__(self, side, key, target, method="GET", body=None, pause=0.0):
        self.caller, self.question, self.pause = Caller(side, key), (target, method, body), pause
        self.took, self.over = [], threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.over.wait(self.pause):
            self.took.append(self.caller.ask(*self.question)[0])

    def end(self):
        self.over.set()
        self.thread.join()
        took = sorted(self.took)
        return statistics.median(took), took[len(took) * 99 // 100], took[-1]


def others(side, kind, key):
    one = key_rows.key_of(side.count // 2)[:36]
    asked = (("a key is changed", ("/v2/keys/" + one, "PATCH", {"name": "beside"})),
             ("a key is read", ("/v2/keys/" + one,)), ("a token is made", ("/v2/createsubtoken?permissions=account",)))
    load = (("alone", ()), ("beside four searches", ["/v2/keys?search=nobody+has+this"] * 4),
            ("beside four looks at the log", ["/v2/audit?who=login+person000003&action=user.delete"] * 4),
            ("while /metrics counts the keys", None))
    print("\n%s, what others wait meanwhile: ms (at most %d)" % (kind, WANTED_WAIT))
    print("%-32s %-18s %8s %8s %8s" % ("", "", "median", "99th", "longest"))
    for name, targets in load:
        beside = [Beside(side, key, target) for target in targets or ()]
        people = [Beside(side, key, *question, pause=0.005) for _, question in asked]
        time.sleep(SECONDS / 5 if targets is None else SECONDS)
        if targets is None:  # it counts once a minute: the first time
            name += ", %.0f ms" % Caller(side, key).ask("/metrics")[0]
        for (what, _), person in zip(asked, people):
            took = person.end()
            print("%-32s %-18s %8.2f %8.2f %8.2f  %s" % (name, what, *took, verdict(took[1] <= WANTED_WAIT)), flush=True)
        for each in beside:
            each.end()


def measure(side, kind):
    key = support.make_key(side.data, "users,keys,audit,account,metrics")["key"]
    pages(side, kind, key)
    others(side, kind, key)
