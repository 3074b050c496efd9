"""Commands of which one call fails: for test_faults_commands.py. A Case is a command over a copy of one small site (DATA
with keys and users, files to read), a Site. After each attempt it is held to what the manual says of commands: they
end by themselves with a documented exit code and a message, what they say is done is done and the rest is as it was,
and what comes next finds nothing in its way."""
import sqlite3
from support import *

sys.path.insert(0, os.path.join(TESTS, "faults"))
import faults

HANG = 120  # seconds, which only what hangs takes
EVERY_KIND = ",".join(faults.KINDS)
# What of DATA is SQLite's own, beside its database, while somebody has it open or was killed.
SIDE_FILES = re.compile(r"var/subtoken\.db-(wal|shm|journal)$")


# When a key was used last is noted where that is possible, and costs nobody a token where it is not.
UNCERTAIN = {"used"}
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def tree(root):
    """The names of all files below."""
    return {os.path.relpath(os.path.join(at, name), root) for at, _, names in os.walk(root) for name in names}


def tables(path):
    """{table: [row, ...]} of a database of SQLite."""
    db = sqlite3.connect(path)
    try:
        names = [n for n, in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")]
        found = {}
        for name in names:
            rows = db.execute('SELECT * FROM "%s"' % name)
            columns = [c[0] for c in rows.description]
            found[name] = [dict(zip(columns, row)) for row in rows]
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return found
    finally:
        db.close()


class Site:
    """The folder in which a command runs: DATA is `var` in it."""

    def __init__(self, root):
        self.root, self.data = root, os.path.join(root, "var")

    def copy(self):
        other = Site(os.path.join(scratch(), "site"))
        shutil.copytree(self.root, other.root, symlinks=True)
        return other

    def remove(self):
        shutil.rmtree(os.path.dirname(self.root))

    def path(self, name):
        return os.path.join(self.root, name)

    def read(self, name):
        try:
            with open(self.path(name), "rb") as f:
                return f.read()
        except FileNotFoundError:
            return None

    def same_as(self, other):
        """Byte for byte: then nothing has happened, and what comes next is known."""
        names = tree(self.root)
        return names == tree(other.root) and all(self.read(n) == other.read(n) for n in names)

    def state(self):
        """All that is kept, for comparing."""
        found = {"files": {n for n in tree(self.root) if not SIDE_FILES.match(n)}}
        for name in found["files"]:
            if name == "var/secrets":
                found[name] = [line.split(b":")[0] for line in self.read(name).splitlines()]
            elif not name.endswith(".db"):
                found[name] = self.read(name)
            else:
                found.update({name + " " + table: rows for table, rows in tables(self.path(name)).items()
                              if table not in UNCERTAIN})
        return found


class PostgresSite(Site):
    """The same with the store in a database of PostgreSQL, which is copied with it."""

    def __init__(self, root, cluster, database):
        super().__init__(root)
        self.cluster, self.database = cluster, database

    def copy(self):
        other = PostgresSite(super().copy().root, self.cluster, "f%d_%d" % (os.getpid(), self.cluster.databases))
        self.cluster.databases += 1
        self.cluster.psql('CREATE DATABASE "%s" TEMPLATE "%s"' % (other.database, self.database))
        on_store(other.data, self.cluster.uri(other.database))
        return other

    def remove(self):
        self.cluster.psql('DROP DATABASE "%s" WITH (FORCE)' % self.database)
        super().remove()

    def same_as(self, other):
        return False  # not known without asking

    def state(self):
        """What of it is in the database comes by a backup."""
        found = super().state()
        copy = os.path.join(os.path.dirname(self.root), "state.db")
        r = spawn(self, ["backup", copy, "--data", self.data])
        assert r.code == 0, r.err
        found.update({"database " + table: rows for table, rows in tables(copy).items() if table not in UNCERTAIN})
        os.unlink(copy)
        found["var/config.json"] = b""  # it names the database
        return found


class Result:
    def __init__(self, code, out, err, seconds):
        self.code, self.out, self.err, self.seconds = code, out, err, seconds


def spawn(site, argv, stdin="", env=None):
    """Runs a command in a site: a Result; code None: it did not end."""
    began = time.monotonic()
    # Its own group: what it has started is killed with it.
    p = subprocess.Popen([PROGRAM, *argv], cwd=site.root, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE)
    try:
        out, err = p.communicate(stdin.encode(), timeout=HANG)
    except subprocess.TimeoutExpired:
        p.kill()
        out, err = p.communicate()
        p.returncode = None
    return Result(p.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"), time.monotonic() - began)


class Case:
    """One command. words: its arguments; stdin: a text, or a function of the site. code: that of a run without a fault;
    reads: it changes nothing, and prints the same each time; again: the code when it was done before. apart: tables that are
    not in one transaction with the rest of what it changes; fresh: there is no DATA yet."""

    def __init__(self, words, stdin="", code=0, reads=False, again=0, apart=(), fresh=False):
        self.words, self.stdin, self.code, self.reads, self.again, self.apart = words, stdin, code, reads, again, apart
        self.fresh = fresh
        self.name = words if isinstance(words, str) else " ".join(words)

    def argv(self, site):
        return [site.path(w[1:]) if w.startswith("@") else w for w in self.words.split()] + ["--data", site.data] * (
            not self.words.startswith(("version", "help", "completion", "policy", "saltpass", "inspect", "key hash")))

    def start(self, template):
        """A site of its own to run in."""
        site = template.copy()
        if self.fresh:
            shutil.rmtree(site.data)
        return site

    def text(self, site):
        return self.stdin(site) if callable(self.stdin) else self.stdin

    def run(self, site, env=None):
        return spawn(site, self.argv(site), self.text(site), env)


def plain(value):
    """A time, or a number that grows with it, or a random one, is like every other of them."""
    if isinstance(value, int) and abs(value) > 10 ** 9:
        return "N"
    return DATE.sub("DATE", value) if isinstance(value, str) else value


def differing(first, second):
    """{key or (table, column)} whose values are not the same in two runs: what is random."""
    found = set()
    for key in first:
        a, b = first[key], second.get(key)
        if isinstance(a, list) and isinstance(b, list):
            if len(a) == len(b) and all(isinstance(x, dict) for x in a):
                found |= {(key, c) for x, y in zip(a, b) for c in x if plain(x[c]) != plain(y[c])}
        elif a != b:
            found.add(key)
    return found


def masked(state, volatile):
    out = {}
    for key, value in state.items():
        if isinstance(value, list) and all(isinstance(row, dict) for row in value):
            out[key] = sorted(repr(sorted((c, plain(v)) for c, v in row.items() if (key, c) not in volatile)) for row in value)
        else:
            out[key] = None if key in volatile else value
    return out


class Expected:
    """What a case does when nothing fails, learnt of two runs."""

    def __init__(self, case, template):
        sites = [case.start(template), case.start(template), case.start(template)]
        results = [case.run(site) for site in sites[:2]]
        for r in results:
            assert r.code == case.code, (case.name, r.code, r.out, r.err)
        states = [site.state() for site in sites]
        before = states.pop()
        self.template = sites.pop()
        self.volatile = differing(*states)
        self.apart = case.apart
        self.before, self.after = self.masked(before), self.masked(states[0])
        assert self.after == self.masked(states[1]), case.name
        self.out = results[0].out
        if case.reads:
            assert results[1].out == self.out, (case.name, self.out, results[1].out)
        for site in sites:
            site.remove()

    def masked(self, state):
        return {k: v for k, v in masked(state, self.volatile).items() if k.split(" ")[-1] not in self.apart}

    def changes(self):
        return self.before != self.after


def told(text):
    """Is it a message to people: a line of the program, with something after the command?"""
    lines = text.splitlines()
    return bool(lines) and all(re.match(r"(subtoken [^:]+: .{8}|  |.*: .{8})", line) for line in lines)


def libc_ends(result, where):
    """glibc 2.36 does not look at one malloc in its first look-up of a user; nothing has been changed then."""
    return result.code == -signal.SIGSEGV and re.match(r"(libc\.so\.6\+\w+ < )+st_input_audit_context ", where)


def linker_ends(result):
    """GnuTLS, which libpq and libcurl bring along, asks for thread-local memory when a process ends: where there is none at
    all, the dynamic linker ends it with 127. What the command did is done by then."""
    return result.code == 127 and result.err.endswith("cannot allocate memory for thread-local data: ABORT\n")


def wrong(case, expected, site, result, kind, action, where):
    """What is not as it should be of an attempt, or None. Runs what comes next. where: the call that failed."""
    killed = (action in (faults.KILL_BEFORE, faults.KILL_AFTER) and result.code == -9) or libc_ends(result, where) \
        or linker_ends(result)
    if "nss_database.c" in result.err:
        killed = True  # the same under the address sanitizer
    elif "Sanitizer" in result.err or "runtime error" in result.err:
        return "sanitizer: " + result.err[-3000:]
    if result.code is None:
        return "hangs"
    undecided = case.words.startswith("verify") and result.code == 1 and "feed_stale" in result.out
    if not killed and result.code not in (case.code, 3) and not undecided:
        return "exit code %d" % result.code
    if (result.code == 3 or undecided) and not told(result.err):
        return "exit code 3 says %r" % result.err
    if result.code == 0 and case.reads and result.out != expected.out:
        return "exit code 0 prints %r" % result.out[:500]
    left = {n for n in tree(site.root) if not SIDE_FILES.match(n)} - expected.before["files"] - expected.after["files"]
    if left and not killed and kind != "unlink":
        return "left behind: %s" % sorted(left)
    if site.same_as(expected.template) and (result.code != 0 or not expected.changes()):
        return None
    return next_run(case, expected, site, result)


def next_run(case, expected, site, result):
    """The same without a fault, and what is kept before and after."""
    first = None if case.fresh else spawn(site, ["key", "list", "--json", "--data", site.data])
    found = expected.masked(site.state())
    files = found["files"]
    found["files"] = expected.before["files"] if files not in (expected.before["files"], expected.after["files"]) else files
    done = {k: v for k, v in found.items() if k in expected.after} == expected.after
    undone = {k: v for k, v in found.items() if k in expected.before} == expected.before
    undone = undone or (case.fresh and not done)  # a ring, or an empty store, may be there already
    if result.code == 0 and not done:
        return "exit code 0, and it is not done: %s" % difference(found, expected.after)
    if not done and not undone:
        return "half done: %s / %s" % (difference(found, expected.before), difference(found, expected.after))
    if first is not None and first.code != 0:
        return "then `key list` ends with %d: %s" % (first.code, first.err)
    again = case.run(site)
    if again.code != (case.code if undone else case.again):
        return "the next run (%s) ends with %s: %s" % ("undone" if undone else "done", again.code, again.err)
    after = expected.masked(site.state())
    if undone and expected.changes() and after != expected.after:
        return "the next run does not do it: %s" % difference(after, expected.after)
    left = after["files"] - expected.after["files"]
    if left:
        return "left behind after the next run: %s" % sorted(left)
    return None


def difference(a, b):
    out = []
    for key in sorted(set(a) | set(b)):
        x, y = a.get(key), b.get(key)
        if isinstance(x, (list, set)) and isinstance(y, (list, set)):
            x, y = sorted(set(x) - set(y)), sorted(set(y) - set(x))
        if x != y:
            out.append("%s: %.200s <> %.200s" % (key, x, y))
    return "; ".join(out[:3])
