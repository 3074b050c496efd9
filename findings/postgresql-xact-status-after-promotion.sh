#!/bin/sh
# PostgreSQL 15: pg_xact_status() is what its manual offers to a client whose connection broke in a
# COMMIT. After a standby was promoted that had not received that commit, the new primary gives the
# same transaction ID to somebody else's transaction, and then answers `committed` for it: to the
# client that asks, the change seems to be there, and it is not. Nothing in the answer tells the two
# apart; the 64-bit ID that pg_current_xact_id() gives is the same, too. Before the ID is reached
# again, the answer is not `aborted` but an error. So a change needs a mark of its own in the data.
#
# Seen 2026-11-29 (Debian 12, PostgreSQL 15.18, an asynchronous standby that was cut off):
#   the lost transaction, on the primary: committed
#   on the promoted standby, at once: ERROR:  transaction ID is in the future
#   on the promoted standby, after another change: committed
#   rows of the lost transaction there: 0
set -eu
dir=$(mktemp -d)
stop() {
  for data in one two; do
    [ ! -f "$dir/$data/postmaster.pid" ] || as_user "$bin/pg_ctl" -D "$dir/$data" -m immediate stop >/dev/null 2>&1 || true
  done
  rm -rf "$dir"
}
trap stop EXIT
chmod 711 "$dir"
cd "$dir"
apt-get download -qq 'postgresql-15=15.*' 'postgresql-client-15=15.*' 'libpq5=15.*' >apt.log 2>&1
for package in ./*.deb; do dpkg -x "$package" root; done
bin=$dir/root/usr/lib/postgresql/15/bin
LD_LIBRARY_PATH=$(dirname "$(find root -name libpq.so.5 | head -n 1)")
LD_LIBRARY_PATH=$dir/$LD_LIBRARY_PATH
export LD_LIBRARY_PATH PGHOST="$dir" PGUSER=u PGDATABASE=postgres
# PostgreSQL does not run as root.
if [ "$(id -u)" = 0 ]; then
  as_user() { setpriv --reuid=65534 --regid=65534 --clear-groups env HOME="$dir" "$@"; }
  chown 65534 "$dir"
else
  as_user() { "$@"; }
fi
settings="-c listen_addresses= -c unix_socket_directories=$dir -c fsync=off -c shared_buffers=1MB -c max_connections=10"
sql() { "$bin/psql" -XAtq -p "$1" -c "$2" 2>&1; }

as_user "$bin/initdb" -D one -U u -A trust -N --no-instructions >initdb.log
as_user "$bin/pg_ctl" -D one -w -l "$dir/one.log" -o "-p 5501 $settings" start >/dev/null
sql 5501 'CREATE TABLE t (what text)'
as_user "$bin/pg_basebackup" -D two -p 5501 -c fast -R
as_user "$bin/pg_ctl" -D two -w -l "$dir/two.log" -o "-p 5502 $settings" start >/dev/null
until [ "$(sql 5501 'SELECT count(*) FROM pg_stat_replication WHERE replay_lsn = pg_current_wal_lsn()')" = 1 ]; do sleep 0.1; done
# The standby loses the primary, and then a change is made there.
sql 5502 "ALTER SYSTEM SET primary_conninfo = ''"
sql 5502 'SELECT pg_reload_conf()' >/dev/null
until [ "$(sql 5501 'SELECT count(*) FROM pg_stat_replication')" = 0 ]; do sleep 0.1; done
lost=$(sql 5501 "BEGIN; INSERT INTO t VALUES ('lost'); SELECT pg_current_xact_id(); COMMIT")
{
  echo "the lost transaction, on the primary: $(sql 5501 "SELECT pg_xact_status('$lost')")"
  as_user "$bin/pg_ctl" -D one -m immediate stop >/dev/null
  as_user "$bin/pg_ctl" -D two -w promote >/dev/null
  echo "on the promoted standby, at once: $(sql 5502 "SELECT pg_xact_status('$lost')" | sed "s/ ID $lost / ID /")"
  sql 5502 "INSERT INTO t VALUES ('another')"
  echo "on the promoted standby, after another change: $(sql 5502 "SELECT pg_xact_status('$lost')")"
  echo "rows of the lost transaction there: $(sql 5502 "SELECT count(*) FROM t WHERE what = 'lost'")"
} | tee seen
cat >expected <<'TEXT'
the lost transaction, on the primary: committed
on the promoted standby, at once: ERROR:  transaction ID is in the future
on the promoted standby, after another change: committed
rows of the lost transaction there: 0
TEXT
diff -u expected seen
