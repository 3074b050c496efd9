#!/bin/sh
# PostgreSQL 15: pg_current_snapshot() of one database counts the transactions of all databases of
# the cluster. Programs that publish changes in the order of transactions (an outbox, a log of
# revocations) read up to pg_snapshot_xmin(), below which nothing can become visible any more. One
# transaction that stays open in another database, of another program and another owner, holds that
# number back: what is committed here later is there to be selected, and not below it, until that
# one ends.
#
# Seen 2026-12-01 (Debian 12, PostgreSQL 15.18):
#   rows committed here: 3
#   of those below pg_snapshot_xmin(), while a transaction is open in another database: 0
#   is xmin the number of that transaction: t
#   of those below pg_snapshot_xmin(), once it has ended: 3
set -eu
dir=$(mktemp -d)
stop() {
  [ ! -f "$dir/one/postmaster.pid" ] || as_user "$bin/pg_ctl" -D "$dir/one" -m immediate stop >/dev/null 2>&1 || true
  rm -rf "$dir"
}
trap stop EXIT
chmod 711 "$dir"
cd "$dir"
apt-get download -qq 'postgresql-15=15.*' 'postgresql-client-15=15.*' 'libpq5=15.*' >apt.log 2>&1
for package in ./*.deb; do dpkg -x "$package" root; done
bin=$dir/root/usr/lib/postgresql/15/bin
LD_LIBRARY_PATH=$dir/$(dirname "$(find root -name libpq.so.5 | head -n 1)")
export LD_LIBRARY_PATH PGHOST="$dir" PGUSER=u PGPORT=5503
# PostgreSQL does not run as root.
if [ "$(id -u)" = 0 ]; then
  as_user() { setpriv --reuid=65534 --regid=65534 --clear-groups env HOME="$dir" "$@"; }
  chown 65534 "$dir"
else
  as_user() { "$@"; }
fi
settings="-c listen_addresses= -c unix_socket_directories=$dir -c fsync=off -c shared_buffers=1MB -c max_connections=10"
sql() { "$bin/psql" -XAtq -d "$1" -c "$2"; }

as_user "$bin/initdb" -D one -U u -A trust -N --no-instructions >initdb.log
as_user "$bin/pg_ctl" -D one -w -l "$dir/one.log" -o "-p $PGPORT $settings" start >/dev/null
sql postgres 'CREATE DATABASE here'
sql postgres 'CREATE DATABASE elsewhere'
sql here 'CREATE TABLE outbox (xid xid8 NOT NULL DEFAULT pg_current_xact_id(), what text)'

mkfifo ask
"$bin/psql" -XAtq -d elsewhere <ask >open &
exec 3>ask
echo 'BEGIN; SELECT pg_current_xact_id();' >&3
until [ -s open ]; do sleep 0.1; done
for what in one two three; do sql here "INSERT INTO outbox (what) VALUES ('$what')"; done
below='SELECT count(*) FROM outbox WHERE xid < pg_snapshot_xmin(pg_current_snapshot())'
{
  echo "rows committed here: $(sql here 'SELECT count(*) FROM outbox')"
  echo "of those below pg_snapshot_xmin(), while a transaction is open in another database: $(sql here "$below")"
  echo "is xmin the number of that transaction: $(sql here "SELECT pg_snapshot_xmin(pg_current_snapshot()) = '$(cat open)'")"
  echo 'COMMIT;' >&3
  exec 3>&-
  wait
  echo "of those below pg_snapshot_xmin(), once it has ended: $(sql here "$below")"
} | tee seen
cat >expected <<'TEXT'
rows committed here: 3
of those below pg_snapshot_xmin(), while a transaction is open in another database: 0
is xmin the number of that transaction: t
of those below pg_snapshot_xmin(), once it has ended: 3
TEXT
diff -u expected seen
