#!/bin/sh
# apt.sh PACKAGE... installs the Debian packages that are missing: as root, else
# through sudo, else it prints the line to type. Silent when none is missing.
# cmd:NAME=PACKAGE is satisfied by a command NAME from anywhere, not only by PACKAGE, and
# header:NAME=PACKAGE by a header that the compiler finds. With --ready in front none is installed:
# that they can be is seen, and sudo asks for the password, before anything runs beside it.
set -eu
PATH=$PATH:/usr/sbin:/sbin # where some of the commands are, not in a user's PATH

ready=
[ "${1-}" != --ready ] || { ready=1 && shift; }
missing=
for want in "$@"; do
	case $want in
	cmd:*=*)
		name=${want#cmd:}
		want=${name#*=}
		command -v "${name%%=*}" >/dev/null && continue ;;
	header:*=*)
		name=${want#header:}
		want=${name#*=}
		printf '#if !__has_include(<%s>)\n#error\n#endif\n' "${name%%=*}" |
			cc -E -x c - >/dev/null 2>&1 && continue ;;
	*)
		case $(dpkg-query -W -f '${db:Status-Status} ' "$want" 2>/dev/null) in
		installed*) continue ;;
		esac ;;
	esac
	missing="$missing $want"
done
[ -n "$missing" ] || exit 0

root=
if [ "$(id -u)" -ne 0 ]; then
	root=sudo
	if ! command -v sudo >/dev/null || ! { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
		echo "Missing Debian packages. As root, type:" >&2
		echo "apt-get update && apt-get install -y --no-install-recommends$missing" >&2
		exit 1
	fi
fi
[ -z "$ready" ] || exec $root true

update() {
	$root apt-get -qq update || true # the install says what is wrong
}
install() {
	$root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 \
		-o Dpkg::Use-Pty=0 install -y --no-install-recommends $missing >/dev/null
}

# One at a time: make may start several of us at once.
exec 9<"$0"
flock 9
echo "Installing Debian packages:$missing"
# No lists yet, as in a fresh container image.
apt-cache show --no-all-versions $missing >/dev/null 2>&1 || update
# Old lists name files that the mirror has dropped.
install || { update; install; }
