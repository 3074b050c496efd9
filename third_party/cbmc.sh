#!/bin/sh
# cbmc.sh DIR - unpacks CBMC of Debian trixie into DIR, with the libc that it is linked with, and writes
# DIR/bin/cbmc, which runs it through that libc's own loader. Nothing is installed, and the machine's
# own apt stays as it is: it needs no root. apt checks Debian's signatures. With DIR/stamp there is
# nothing to do. It ends with 3 where CBMC cannot be had: no network, or no Debian of trixie.
set -eu
umask 022
LC_ALL=C
export LC_ALL

dir=$1
here=$(cd "$(dirname "$0")" && pwd)
[ ! -e "$dir/stamp" ] || exit 0
rm -rf "$dir"
mkdir -p "$dir/packages"
dir=$(cd "$dir" && pwd)
tmp=$dir/tmp
mkdir "$tmp"
trap 'rm -rf "$tmp" "$dir/packages"' EXIT
trap 'exit 3' HUP INT TERM
. "$here/trixie.sh"

# The proofs were written for this version: another one may see more or less.
glob='6.6.*'
(open_apt deb) >&2 || exit 3
version=$(apt-cache -c "$tmp/apt.conf" show cbmc 2>/dev/null | sed -n 's/^Version: //p' | head -n 1)
case $version in
$glob) ;;
*) say "the mirror offers cbmc ${version:-of no version}, wanted is $glob"; exit 3 ;;
esac
say "fetching cbmc $version"
(cd "$dir/packages" &&
	apt-get -c "$tmp/apt.conf" -qq download cbmc minisat libc6 libgcc-s1 libstdc++6 zlib1g >/dev/null) || exit 3
for package in "$dir"/packages/*.deb; do dpkg -x "$package" "$dir"; done

loader=$(find "$dir/usr/lib" -name 'ld-linux-*.so.*' | head -n 1)
libraries=$(dirname "$(find "$dir/usr/lib" -name 'libstdc++.so.6' | head -n 1)"):$dir/usr/lib
mkdir -p "$dir/bin"
cat >"$dir/bin/cbmc" <<END
#!/bin/sh
exec "$loader" --library-path "$libraries" "$dir/usr/bin/cbmc" "\$@"
END
chmod 755 "$dir/bin/cbmc"
"$dir/bin/cbmc" --version >/dev/null || { say "cbmc $version does not run here"; exit 3; }
echo "$version" >"$dir/stamp"
