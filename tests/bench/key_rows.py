"""Millions of keys for the benchmarks, in a database of either kind, as the program writes them: whoever has the
number of a key can tell the key. Written in bulk: the indexes are made afterwards, sorted, instead of row by row."""
import base64, hashlib, os, sqlite3, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import postgres

OF_A_PERSON = 10
GRANTS = "account,inventories,progression"
# A bulk load pays above so many rows.
BULK = 500000


def key_of(n):
    """As keys.lua makes it: anyone can tell it, its hash falls anywhere."""
    return "%08X-0000-4000-8000-%012d00000000-0000-0000-0000-000000000000" % (
        n * 2654435761 % 4294967296, n)


def digest(*words):
    return hashlib.sha256("".join(words).encode()).digest()


def sub_of(id):
    return base64.urlsafe_b64encode(digest("sub", id)).decode().rstrip("=")


def keys(count, persons):
    """id, digest, sub, name, owner"""
    for n in range(count):
        key = key_of(n)
        owner = "person%06d" % (n % persons) if n < persons * OF_A_PERSON else "program%d" % (n % 1000)
        yield key[:36], digest(key), sub_of(key[:36]), "key %d" % n, owner


# ---- SQLite ----

INSERT = ("INSERT INTO keys (id, digest, sub, name, owner, permissions, created_at, expires_at, disabled, changed_at,"
          " deleted_at, kind, parent) VALUES (?, ?, ?, ?, ?, '%s', 1700000000, NULL, 0, 1700000000, NULL, ?, ?)" % GRANTS)


def connect(data):
    db = sqlite3.connect(os.path.join(data, "subtoken.db"), isolation_level=None)
    # The server makes a WAL of it again.
    for setting in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -1000000", "foreign_keys = OFF"):
        db.execute("PRAGMA " + setting)
    return db


def fill(db, count, persons):
    db.execute("BEGIN")
    db.executemany(INSERT, ((*row, 0, None) for row in keys(count, persons)))
    db.execute("COMMIT")


def fill_bulk(db, count, persons):
    """The table without a single index; those that its constraints have are made under other names, and get theirs by
    the schema's own table. What comes of it is what the program would have made, and is checked."""
    made = db.execute("SELECT type, name, sql FROM sqlite_schema WHERE tbl_name = 'keys' AND type <> 'table'").fetchall()
    unique = [(name, [row[2] for row in db.execute("PRAGMA index_info(%s)" % name)])
              for kind, name, sql in made if sql is None]
    table = db.execute("SELECT sql FROM sqlite_schema WHERE name = 'keys'").fetchone()[0]
    bare = table.replace("PRIMARY KEY", "").replace("UNIQUE", "").replace("CREATE TABLE keys", "CREATE TABLE plain")
    assert table.count("UNIQUE") + table.count("PRIMARY KEY") == len(unique), table
    for kind, name, sql in made:
        if sql is not None:
            db.execute("DROP %s %s" % (kind, name))
    db.execute("BEGIN")
    db.execute(bare)
    db.execute("INSERT INTO plain SELECT * FROM keys")
    db.executemany(INSERT.replace("INTO keys", "INTO plain"), ((*row, 0, None) for row in keys(count, persons)))
    db.execute("DROP TABLE keys")
    for at, (name, columns) in enumerate(unique):
        db.execute("CREATE UNIQUE INDEX plain_%d ON plain (%s)" % (at, ", ".join(columns)))
    db.execute("PRAGMA writable_schema = ON")
    db.execute("UPDATE sqlite_schema SET name = 'keys', tbl_name = 'keys', sql = ? WHERE name = 'plain'", (table,))
    for at, (name, columns) in enumerate(unique):
        db.execute("UPDATE sqlite_schema SET name = ?, tbl_name = 'keys', sql = NULL WHERE name = 'plain_%d'" % at, (name,))
    db.execute("COMMIT")
    db.execute("PRAGMA writable_schema = RESET")
    for kind, name, sql in made:
        if sql is not None:
            db.execute(sql)
    assert db.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"


# ---- PostgreSQL ----

COPY = ("COPY subtoken.keys (id, digest, sub, name, owner, permissions, created_at, changed_at, disabled, suspended, kind,"
        " hash) FROM STDIN")


def definitions(cluster, database):
    """What makes and what drops what is indexed: constraints of others that rest on it, its own, plain indexes."""
    asked = ("SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname), format('ALTER TABLE %s ADD"
             " CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint WHERE ")
    kinds = ("confrelid = 'subtoken.keys'::regclass", "conrelid = 'subtoken.keys'::regclass AND contype IN ('p', 'u')")
    found = [cluster.psql(asked + kind, database).splitlines() for kind in kinds]
    found.append(cluster.psql(
        "SELECT format('DROP INDEX subtoken.%I', indexname), indexdef FROM pg_indexes WHERE schemaname = 'subtoken' AND"
        " tablename = 'keys' AND indexname NOT IN (SELECT conname FROM pg_constraint)", database).splitlines())
    pairs = [line.split("|", 1) for lines in found for line in lines]
    return [drop for drop, _ in pairs], [make for _, make in pairs[::-1]]


def fill_postgres(cluster, database, count, persons=1):
    """The hash of a sub, which only a revocation asks for, is 0."""
    drops, makes = definitions(cluster, database) if count >= BULK else ([], [])
    for sql in drops:
        cluster.psql(sql, database)
    copying = subprocess.Popen([os.path.join(postgres.PROGRAMS, "psql"), "-Xq", "-v", "ON_ERROR_STOP=1", "-d",
                                cluster.uri(database), "-c", COPY], stdin=subprocess.PIPE, text=True)
    for id, hashed, sub, name, owner in keys(count, persons):
        copying.stdin.write("%s\t\\\\x%s\t%s\t%s\t%s\t%s\t1700000000\t1700000000\t0\t0\t0\t0\n" % (
            id, hashed.hex(), sub, name, owner, GRANTS))
    copying.stdin.close()
    assert copying.wait() == 0
    statements = ["SET maintenance_work_mem = '512MB'", *makes, "ANALYZE subtoken.keys"]
    p = subprocess.run([os.path.join(postgres.PROGRAMS, "psql"), "-Xq", "-v", "ON_ERROR_STOP=1", "-d",
                        cluster.uri(database)], input=";\n".join(statements), capture_output=True, text=True)
    assert p.returncode == 0, p.stderr
