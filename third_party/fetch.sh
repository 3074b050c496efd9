#!/bin/sh
# Fetches the three libraries we build, as Debian source packages of trixie,
# into third_party/src. Every make runs it; when all is there it only compares
# checksums. It needs what build-essential brings, and no root.
#
#   src/tarballs/NAME/  what apt fetched and verified, VERSION and SHA256SUMS
#   src/NAME/           the files we compile, patched, VERSION and SHA256SUMS
#   src/stamp           the versions; newer than what was built from older files
#
# Trust: apt checks the signature of Debian's index and the tarballs against it.
# Our own SHA256SUMS come after that and guard against damage only.
set -eu
umask 022
LC_ALL=C
export LC_ALL
unset CDPATH

here=$(cd "$(dirname "$0")" && pwd)
src=$here/src
tmp=$src/tmp
. "$here/trixie.sh"

# glob: versions our flags and rules were written for. min: the oldest without
# known holes. Not one exact version, because mirrors drop superseded ones.
# keep: the files we compile; the rest is patched with them and thrown away.
pin() {
	case $1 in
	mbedtls)
		glob='3.6.*' min=3.6.4
		keep='LICENSE include/mbedtls library/common.h library/alignment.h
			library/sha256.c library/platform_util.c' ;;
	cjson)
		glob='1.7.*' min=1.7.18
		keep='LICENSE cJSON.h cJSON.c' ;;
	civetweb) # +deb13u1 has the fixes of CVE-2025-55763 and CVE-2025-9648
		glob='1.16[+-]*' min=1.16+dfsg-2+deb13u1
		keep='LICENSE.md include/civetweb.h src/civetweb.c src/*.inl' ;;
	esac
}

# Does version $1 satisfy the pin last read?
fits() {
	case $1 in
	$glob) dpkg --compare-versions "$1" ge "$min" ;;
	*) return 1 ;;
	esac
}

# Is directory $1 as SHA256SUMS says, with no file more, and of a version we take?
good() {
	[ -f "$1/SHA256SUMS" ] && fits "$(cat "$1/VERSION")" &&
		(cd "$1" && sha256sum --check --strict --quiet SHA256SUMS &&
			[ "$(find . ! -type d | wc -l)" -eq "$(($(wc -l <SHA256SUMS) + 1))" ])
} >/dev/null 2>&1

# Renames directory $1, of version $2, to $3 in one step, its checksums inside.
settle() {
	echo "$2" >"$1/VERSION"
	(cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum) >"$tmp/sums"
	mv "$tmp/sums" "$1/SHA256SUMS"
	rm -rf "$3"
	mv "$1" "$3"
}

# Fetches the tarballs of package $1.
download() {
	open_apt deb-src
	offered=$(apt-cache -c "$tmp/apt.conf" showsrc --only-source "$1" |
		sed -n 's/^Version: //p' | sort -u)
	version=
	for v in $offered; do
		fits "$v" || continue
		[ -n "$version" ] && dpkg --compare-versions "$v" lt "$version" || version=$v
	done
	[ -n "$version" ] ||
		die "$1: the mirror offers" ${offered:-nothing}", wanted is $glob from $min on"
	say "fetching $1 $version"
	mkdir -p "$tmp/get/$1" "$src/tarballs"
	# Separately, because a mirror may lack the .dsc, which apt does not need
	# to check these two.
	for part in --tar-only --diff-only; do
		(cd "$tmp/get/$1" &&
			apt-get -c "$tmp/apt.conf" -qq source $part "$1=$version" >/dev/null) ||
			die "$1: cannot get the source package"
	done
	settle "$tmp/get/$1" "$version" "$src/tarballs/$1"
}

# Unpacks package $1, applies Debian's patches and keeps what we compile.
unpack() {
	from=$src/tarballs/$1 to=$tmp/unpack/$1
	version=$(cat "$from/VERSION")
	say "unpacking $1 $version"
	mkdir -p "$to" "$tmp/keep/$1"
	tar -x -f "$from"/*.orig.tar.* -C "$to" --strip-components=1 --no-same-owner --no-same-permissions
	tar -x -f "$from"/*.debian.tar.* -C "$to" --no-same-owner --no-same-permissions
	while read -r name rest; do
		case $name in '' | '#'*) continue ;; esac
		# The flags of dpkg-source: no fuzz, no questions.
		patch -d "$to" -p1 -F0 -N -s -t -u -E -V never --no-backup-if-mismatch \
			<"$to/debian/patches/$name" || die "$1: patch $name does not apply"
	done <"$to/debian/patches/series"
	(cd "$to" && cp -R --parents $keep "$tmp/keep/$1")
	settle "$tmp/keep/$1" "$version" "$src/$1"
}

provide() {
	if [ -e "$src/$1" ]; then
		say "$1: files changed or of a version not wanted, unpacking again"
		rm -rf "${src:?}/$1"
	fi
	if ! good "$src/tarballs/$1"; then
		[ ! -e "$src/tarballs/$1" ] || say "$1: kept tarballs damaged or not wanted, fetching again"
		rm -rf "$src/tarballs/$1"
		download "$1"
	fi
	unpack "$1"
}

mkdir -p "$src"
exec 9>"$src/lock"
flock -n 9 || { say "another run is fetching, waiting for it"; flock 9; }

missing=
for name in mbedtls cjson civetweb; do
	pin $name
	good "$src/$name" || missing="$missing $name"
done
[ -n "$missing" ] || [ ! -e "$src/stamp" ] || exit 0

trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
rm -rf "$tmp" "$src/stamp"
mkdir "$tmp"
for name in $missing; do
	pin $name
	provide $name
done
grep '' "$src"/*/VERSION | sed "s|^$src/||; s|/VERSION:| |" >"$tmp/stamp"
mv "$tmp/stamp" "$src/stamp"
