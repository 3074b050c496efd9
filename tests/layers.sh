#!/bin/sh
# layers.sh BUILD OBJECT... - holds house rules 1 to 3: the pure part needs nothing
# but memory functions and the hash, keeps no state, and includes point down.
set -eu
b=$1
shift
fail=0
say() {
	echo "layers: $*" >&2
	fail=1
}

ld -r -o "$b/pure.o" "$@"
for symbol in $(nm -u "$b/pure.o" | sed 's/^ *U //'); do
	case $symbol in
	memcpy | memmove | memcmp | memset | __stack_chk_fail | __*_chk) ;;
	mbedtls_sha256* | mbedtls_internal_sha256_process) ;;
	_GLOBAL_OFFSET_TABLE_) ;;
	*) say "base and core need $symbol" ;;
	esac
done
# d, b, c: writable data. The compiler's read-only tables are r or d.rel.ro.
state=$(nm "$b/pure.o" | grep -E ' [bBcCsS] ' || true)
[ -z "$state" ] || say "base and core keep state: $state"
data=$(objdump -h "$b/pure.o" | awk '$2 == ".data" && $3 !~ /^0+$/ { print $3 }')
[ -z "$data" ] || say "base and core have $data bytes of writable data"

# Only x86.c may use instructions that a processor can lack; it is called after asking.
for object in "$@"; do
	case $object in */x86.o) continue ;; esac
	if objdump -d --no-show-raw-insn "$object" | grep -qE '[[:space:]](sha256|pshufb|palignr|pmaddubsw|pblend|ptest|p(extr|insr)[bdq]|v[a-z]+)[[:space:]a-z0-9]'; then
		say "$object uses instructions beyond SSE2"
	fi
done
if [ -e "$b/src/base/x86.o" ] && objdump -d --no-show-raw-insn "$b/src/base/x86.o" |
	grep -E '[[:space:]]v[a-z0-9]+[[:space:]]|%ymm' | grep -vq vzeroupper; then
	say "x86.c uses instructions wider than its callers have asked for"
fi

# may ROOM FOLDER... : what a room's files may include, besides the system.
may() {
	room=$1
	shift
	for file in src/"$room"/*.[ch]; do
		[ -e "$file" ] || continue
		for include in $(sed -n 's/^#include "\(.*\)"/\1/p' "$file"); do
			ok=
			for folder in "$@"; do
				case $include in "$folder"/*) ok=1 ;; esac
			done
			case $include:$file in
			mbedtls/sha256.h:src/base/hmac.c | cJSON.h:src/domain/config.c | cJSON.h:src/domain/access_file.c | civetweb.h:src/server/http.c) ok=1 ;;
			civetweb_net.h:src/server/connection.c | civetweb_net.h:src/server/connection.h) ok=1 ;;
			esac
			[ -n "$ok" ] || say "$file includes $include"
		done
	done
}
may base base subtoken
may core core base subtoken
may feed feed core base subtoken
may os os base subtoken
may domain domain core base subtoken
may store store os domain core base subtoken
may store/sqlite store/sqlite store os domain core base subtoken
may operations operations store os service domain core base subtoken
may service service domain core base subtoken os/semaphore.h
may server server service operations store os domain core base subtoken
may cli cli server service operations store os domain core base subtoken
may edge/nginx edge/nginx subtoken # an embedder like any other: the public headers alone

sqlite=$(grep -l '#include <sqlite3.h>' -r src | grep -v '^src/store/' || true)
[ -z "$sqlite" ] || say "SQLite has one door, src/store/sqlite, not $sqlite"
curl=$(grep -l '#include <curl/' -r src | grep -v '^src/cli/fetch.c$' || true)
[ -z "$curl" ] || say "libcurl has one door, src/cli/fetch.c, not $curl"
argon2=$(grep -l '#include <argon2' -r src | grep -v '^src/operations/password.c$' || true)
[ -z "$argon2" ] || say "libargon2 has one door, src/operations/password.c, not $argon2"
system=$(grep -nE '#include <(time|stdio|stdlib|errno|fcntl|unistd|pthread|sys/.*)\.h>' \
	src/base/* src/core/* || true)
[ -z "$system" ] || say "base and core ask the system: $system"

[ "$fail" -eq 0 ] && echo 'layers: base and core stand alone, and includes point down'
exit "$fail"
