"""The database behind DATA, as a test looks into it, changes it by hand, backs it up and loses it: SQLite's file, or a
database of PostgreSQL, in whose words a statement is written."""
import sqlite3
from urllib.parse import parse_qs, urlsplit
from support import *
import postgres

# How SQLite's tables were named by the first versions.
OLD_WORDS = {"users": "persons", "username": "login", "refresh_tokens": "refresh", "settings": "facts"}


def database_of(data):
    """(cluster, name) of what lies in PostgreSQL, or None."""
    uri = store_of(data)
    if uri is None:
        return None
    parts = urlsplit(uri)
    cluster = postgres.Running("host=%s&port=%s" % (parse_qs(parts.query)["host"][0], parse_qs(parts.query)["port"][0]))
    return cluster, parts.path[1:]


def execute(data, sql):
    """One statement, and its rows; of a change, those of its RETURNING."""
    there = database_of(data)
    if there:
        cluster, name = there
        out = cluster.psql("SET search_path = subtoken; " + sql, name)
        return [tuple(int(c) if re.fullmatch(r"-?\d{1,18}", c) else c for c in line.split("|"))
                for line in out.splitlines()]
    for word, old in OLD_WORDS.items():
        sql = re.sub(r"\b%s\b" % word, old, sql)
    db = sqlite3.connect(db_of(data))
    with db:
        found = db.execute(sql).fetchall()
    db.close()
    return found


def keys_and_revoked(data):
    """Of one moment: (id, digest as hex digits, sub, name, permissions, deleted_at) of each key, and the subs revoked."""
    columns = "id, %s, sub, name, permissions, deleted_at FROM keys"
    there = database_of(data)
    if there:
        out = there[0].psql("BEGIN ISOLATION LEVEL REPEATABLE READ; SET search_path = subtoken; SELECT " +
                            columns % "encode(digest, 'hex')" + "; SELECT '', sub FROM revoked; COMMIT", there[1])
        lines = [line.split("|") for line in out.splitlines()]
        return [(*l[:5], l[5] or None) for l in lines if l[0]], {l[1] for l in lines if not l[0]}
    db = sqlite3.connect(db_of(data), timeout=30)
    try:
        db.execute("BEGIN")
        rows = db.execute("SELECT " + columns % "lower(hex(digest))").fetchall()
        revoked = {r[0] for r in db.execute("SELECT sub FROM revoked")}
        db.execute("COMMIT")
        assert [r[0] for r in db.execute("PRAGMA integrity_check")] == ["ok"]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        return rows, revoked
    finally:
        db.close()


def backed_up(data):
    """A backup of the database by its own means."""
    there = database_of(data)
    if there:
        return subprocess.run(["pg_dump", "-d", there[0].uri(there[1])], capture_output=True, text=True, check=True).stdout
    copy = os.path.join(scratch(), "copy.db")
    run("backup", copy, data=data, check=0)
    return copy


def lose(data):
    """The database is gone, while nobody uses it."""
    there = database_of(data)
    if there:
        there[0].psql('DROP DATABASE "%s" WITH (FORCE)' % there[1])
        there[0].database(there[1])
        return
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(db_of(data) + suffix):
            os.unlink(db_of(data) + suffix)


def put_back(data, copy):
    """What backed_up gave, into this DATA, which may be another one."""
    lose(data)
    there = database_of(data)
    if there:
        there[0].psql(copy, there[1])
    else:
        shutil.copy(copy, db_of(data))
