"""The load on a fleet (fleet.py), and the model that it is held against: what was acknowledged is there, what failed has
not happened, what is in doubt is one or the other, and no edge or issuer takes what was revoked."""
import itertools, random, threading
from feed import hashes_of, sub_hash
from fleet import *

SEED = int(os.environ.get("SEED", time.time_ns() % 1000000))


class Credential:
    """A subtoken, what it was made with, and what is known of it: good, ended, changing or doubt."""

    def __init__(self, token, key=None, id=None, session=False):
        self.token, self.key, self.id, self.session = token, key, id, session
        self.state, self.since, self.sequence, self.version = "good", time.time(), 0, 0
        self.disabled = self.deleted = self.replaced = False
        self.history = []  # for when it fails

    def set(self, state, sequence=None, how=""):
        self.history.append("%.2f %s %s %s" % (time.time(), state, sequence, how))
        self.state, self.since = state, time.time()
        self.sequence, self.version = sequence, self.version + 1


class Model:
    def __init__(self, clocks_differ=False):
        self.clocks_differ = clocks_differ  # of the issuers
        self.lock = threading.RLock()
        self.all, self.failures, self.done = [], [], threading.Event()
        self.keys, self.doubtful = {}, set()  # name: Credential of each key acknowledged; names in doubt
        self.counts = {"made": 0, "failed": 0, "doubt": 0, "checks": 0, "strict": 0}
        self.last_made = [0.0]

    def fail(self, *words):
        self.failures.append("%.2f %s" % (time.time(), " ".join(str(w) for w in words)))

    def guarded(self, f, *args):
        def go():
            try:
                f(*args)
            except BaseException:
                self.fail(traceback.format_exc())
        thread = threading.Thread(target=go, daemon=True)
        thread.start()
        return thread

    # ---- a writer ----

    def writer(self, fleet, number, seed, pause):
        dice = random.Random(seed)
        call = Caller(fleet.issuers, fleet.manager, dice)
        mine, last = [], 0
        for turn in itertools.count():
            if self.done.is_set() or self.failures:
                return
            held = [c for c in mine if not c.deleted]
            if len(held) < 6 or len(held) < 25 and dice.random() < 0.4:
                self.create(call, "w%d-%d" % (number, turn), mine, dice)
            elif dice.random() < 0.08:
                self.user(call, "u%d-%d" % (number, turn))
            else:
                last = max(last, self.change(call, dice.choice(held), dice, last))
            time.sleep(dice.uniform(0, 2 * pause))

    def count(self, verdict):
        with self.lock:
            self.counts[verdict] += 1
            if verdict == "made":
                self.last_made[0] = time.time()

    def create(self, call, name, mine, dice):
        with self.lock:
            self.doubtful.add(name)  # until it is answered
        verdict, answer, issuer = call("POST", "/v2/keys", {"name": name, "permissions": ["account"]})
        self.count(verdict)
        if verdict == "failed":
            assert answer is None or answer.status == 503, (answer.status, answer.body)
            with self.lock:
                self.doubtful.discard(name)
        if verdict != "made":
            return
        made = answer.json()
        credential = Credential(None, made["key"], made["id"])
        with self.lock:
            self.doubtful.discard(name)
            self.keys[name] = credential
        token = self.token(call, credential)
        if token:
            credential.token = token
            with self.lock:
                self.all.append(credential)
                mine.append(credential)

    def token(self, call, credential):
        for _ in range(60):
            verdict, answer, _ = call("GET", "/v2/createsubtoken?permissions=account", credential=credential.key)
            if verdict == "made":
                return answer.json()["subtoken"]
            assert answer is None or answer.status in (503, 401), (answer.status, answer.body)
            if self.done.is_set() or self.failures:
                return None
            time.sleep(0.5)
        raise AssertionError("an acknowledged key makes no token: %s %s" % (answer.status, answer.body))

    def change(self, call, c, dice, last):
        """One change of a key; the sequence that it took."""
        draw = dice.random()
        if draw < 0.5:
            method, path, body, ends = "PATCH", "", {"disabled": not c.disabled}, not c.disabled
        elif draw < 0.65 and not c.disabled:
            method, path, body, ends = "POST", "/revoke-subtokens", None, True
        else:
            method, path, body, ends = "DELETE", "", None, True
        before = c.state, c.since, c.sequence
        c.set("changing")
        verdict, answer, issuer = call(method, "/v2/keys/" + c.id + path, body)
        self.count(verdict)
        if verdict == "failed":
            # What was acknowledged is there: nothing but 503 can refuse.
            assert answer is None or answer.status == 503, (method, path, c.id, answer.status, answer.body)
            c.state, c.since, c.sequence = before
            c.history.append("failed: %s" % (answer and answer.body))
            c.version += 1
            return last
        if verdict == "doubt":
            self.settle(call, c)
            return last
        sequence = int(answer.header("Subtoken-Seq"))
        if not sequence > last:
            self.fail("the sequence", sequence, "was answered after", last)
        if method == "DELETE":
            c.deleted = True
        elif method == "PATCH":
            c.disabled = body["disabled"]
        else:
            self.renew(call, c)
        c.set("ended" if ends else "good", sequence, "%s%s by %d" % (method, path, issuer.number))
        return sequence

    def renew(self, call, c):
        """Its subtokens were revoked: one more, of the new sub. Nobody changes that key any more."""
        c.replaced = c.deleted = True
        fresh = Credential(None, c.key, c.id)
        began = time.time()
        fresh.token = self.token(call, fresh)
        # The other issuer may go on with the old one for as long as it may be behind.
        while fresh.token and payload(fresh.token)["sub"] == payload(c.token)["sub"]:
            assert time.time() < began + STALENESS + 10, "an issuer makes tokens that are revoked"
            time.sleep(0.1)
            fresh.token = self.token(call, fresh)
        fresh.since = time.time()
        if fresh.token:
            with self.lock:
                self.all.append(fresh)

    def settle(self, call, c):
        """In doubt: it is deleted, until somebody says that it is."""
        c.set("doubt")
        for _ in range(120):
            verdict, answer, _ = call("DELETE", "/v2/keys/" + c.id)
            if verdict == "made" or answer is not None and answer.status == 404:
                c.deleted = True
                sequence = answer.header("Subtoken-Seq")
                c.set("ended", int(sequence) if sequence else None)
                return
            assert answer is None or answer.status == 503, (answer.status, answer.body)
            if self.failures:
                return
            time.sleep(0.25)
        raise AssertionError("nobody can delete " + c.id)

    def user(self, call, name):
        """A user who logs in and out again."""
        verdict, answer, _ = call("POST", "/v1/user", {"login": name, "password": PASSWORD, "permissions": ["account"]})
        self.count(verdict)
        if verdict != "made":
            return
        body = {"login": name, "password": PASSWORD}
        for _ in range(60):
            verdict, answer, _ = call("POST", "/v1/auth/login", body, "")
            self.count(verdict)
            if verdict == "made":
                break
            # Another issuer may learn of the user a moment later.
            assert answer is None or answer.status in (503, 401, 429), (answer.status, answer.body)
            time.sleep(0.5)
        else:
            raise AssertionError("an acknowledged user cannot log in: " + answer.body)
        c = Credential(answer.json()["access_token"], session=True)
        with self.lock:
            self.all.append(c)
        time.sleep(0.3)
        c.set("changing")
        for _ in range(120):
            verdict, answer, _ = call("POST", "/v1/auth/logout", credential=c.token)
            self.count(verdict)
            refused = answer is not None and answer.status == 401
            if refused and c.state != "doubt":
                # Made by an issuer whose clock is ahead of this one's by more than the leeway.
                assert self.clocks_differ, answer.body
                c.set("unknown")
                return
            if verdict == "made" or refused:
                sequence = answer.header("Subtoken-Seq")
                c.set("ended", int(sequence) if sequence else None)
                return
            assert answer is None or answer.status == 503, (answer.status, answer.body)
            c.set("doubt" if verdict == "doubt" or c.state == "doubt" else "good")
            time.sleep(0.25)

    # ---- readers ----

    def edge_reader(self, fleet, seed):
        dice = random.Random(seed)
        while not self.done.is_set() and not self.failures:
            with self.lock:
                size = len(self.all)
                c = self.all[dice.randrange(max(0, size - 300), size)] if size and dice.random() < 0.6 else (
                    dice.choice(self.all) if size else None)
            if c is None:
                time.sleep(0.05)
                continue
            self.check_edge(dice.choice(fleet.edges.all), c)
            time.sleep(0.002)

    def check_edge(self, edge, c):
        version, state, since, sequence, asked = c.version, c.state, c.since, c.sequence, time.time()
        status, seen, age = edge.ask(c.token)
        if c.version != version:
            return
        with self.lock:
            self.counts["checks"] += 1
        told = sequence is not None and seen >= sequence
        late = asked > since + BOUND
        what = ("edge", edge.number, "answers", status, "by", seen, "aged", age, "state", state, "of", sequence,
                "since %.2f" % since, payload(c.token)["sub"], c.id, c.history)
        if status == 503:
            self.fail(*what)
        elif status not in (200, 401) or state == "ended" and (told or late) and status != 401:
            self.fail(*what)
        elif state == "good" and (told or late) and status != 200:
            self.fail(*what)
        elif told or late:
            with self.lock:
                self.counts["strict"] += 1

    def issuer_reader(self, fleet, seed):
        """Keys, at the issuers: a deleted one is refused once every issuer has asked, or asks no more."""
        dice = random.Random(seed)
        call = Caller(fleet.issuers, fleet.manager, dice)
        while not self.done.is_set() and not self.failures:
            time.sleep(0.02)
            with self.lock:
                c = dice.choice(self.all) if self.all else None
            if c is None or not c.key:
                continue
            version, since, asked = c.version, c.since, time.time()
            verdict, answer, issuer = call("GET", "/v2/tokeninfo", credential=c.key)
            if answer is None or c.version != version or answer.status == 503:
                continue
            late = asked > since + STALENESS + 10
            if c.state == "ended" and c.deleted and late and answer.status != 401 and not c.replaced:
                self.fail("issuer", issuer.number, "takes a deleted key:", answer.status, c.id)
            if c.state == "good" and answer.status != 200 and asked > since + STALENESS + 10:
                self.fail("issuer", issuer.number, "refuses a good key:", answer.status, c.id)

    def feed_reader(self, fleet):
        """For one sequence every issuer makes the same snapshot."""
        seen, call = {}, Caller(fleet.issuers, fleet.reader, random.Random(1))
        last = {}
        while not self.done.is_set() and not self.failures:
            for issuer in fleet.issuers:
                if not issuer.up:
                    continue
                life = issuer.life
                _, answer, _ = call("GET", "/v2/revocations", issuer=issuer)
                if answer is None or answer.status != 200:
                    continue
                sequence, tag = int(answer.header("Subtoken-Seq")), answer.header("ETag")
                if seen.setdefault(sequence, tag) != tag:
                    self.fail("two snapshots of", sequence, seen[sequence], tag)
                if sequence < last.get((issuer, life), 0):
                    self.fail("issuer", issuer.number, "fell back from", last[issuer, life], "to", sequence)
                last[issuer, life] = sequence
            time.sleep(0.2)

    # ---- in the end ----

    def settled(self, fleet):
        """All of it, once nothing fails any more: what each issuer lists, what every edge has, the audit log."""
        good = [c for c in self.all if c.state == "good"]
        ended = [c for c in self.all if c.state == "ended"]
        highest = max((c.sequence or 0 for c in self.all), default=0)
        for edge in fleet.edges.all:
            wait(lambda: sequence_of(edge.snapshot()) >= highest, "edge %d is told" % edge.number)
        for edge in fleet.edges.all:
            snap = edge.snapshot()
            listed, key = set(hashes_of(snap)), snap[48:64]
            for c in self.all:
                there = sub_hash(key, payload(c.token)["sub"].encode()) in listed
                assert there == (c.state == "ended") or c.state not in ("good", "ended"), (edge.number, c.__dict__)
        dice = random.Random(1)
        for c in dice.sample(good, min(100, len(good))) + dice.sample(ended, min(200, len(ended))):
            edge = dice.choice(fleet.edges.all)
            wait(lambda: edge.ask(c.token)[0] == (200 if c.state == "good" else 401), str(c.__dict__))
        self.check_keys(fleet)
        return len(good), len(ended)

    def check_keys(self, fleet):
        lists = [{r["name"]: r for r in objects(run("key", "list", "--json", data=i.data, check=0)[1])}
                 for i in fleet.issuers]
        assert lists[0].keys() == lists[1].keys(), lists[0].keys() ^ lists[1].keys()
        there = {n: r for n, r in lists[0].items() if re.match(r"w\d+-\d+$", n)}
        wanted = {n for n, c in self.keys.items() if not c.deleted or c.replaced}
        assert wanted <= there.keys(), "lost: %s" % (wanted - there.keys())
        more = there.keys() - wanted - self.doubtful
        assert not more, "there, and should not be: %s" % more
        for name in wanted:
            c = self.keys[name]
            assert there[name]["id"] == c.id and (there[name]["disabled"] == c.disabled or c.deleted), (
                there[name], c.__dict__)


def under_load(fleet, model, faults, writers=4, pause=0.05):
    threads = [model.guarded(model.writer, fleet, i, SEED + i, pause) for i in range(writers)]
    threads += [model.guarded(model.edge_reader, fleet, SEED + 10), model.guarded(model.edge_reader, fleet, SEED + 11),
                model.guarded(model.issuer_reader, fleet, SEED + 12), model.guarded(model.feed_reader, fleet)]
    try:
        wait(lambda: model.counts["made"] > 20 or model.failures, "load")
        faults()
    finally:
        model.done.set()
        for thread in threads:
            thread.join(150)
    assert not model.failures, "\n".join(model.failures[:5])
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
