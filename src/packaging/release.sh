#!/bin/sh
# release.sh TAG OUT - makes the files of a release in OUT, of the signed tag TAG alone: nothing of the working tree gets in.
#
#   subtoken-VERSION.tar.gz      the source, the same bits whenever it is made
#   subtoken-VERSION.spdx.json   what is inside of what is built from it
#   subtoken-VERSION.build       what it was built with here, and the SHA-256 of each built file, for whoever builds again
#   SHA256SUMS, SHA256SUMS.sig   signed with the key that git signs with (gpg.format, user.signingkey)
#
# It refuses a tag that git cannot verify, and one whose version is not that of the source.
set -eu
LC_ALL=C
export LC_ALL
umask 022
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES || true
[ $# -eq 2 ] || { echo 'usage: release.sh TAG OUT' >&2; exit 2; }
tag=$1
cd "$(dirname "$0")/../.."
top=$PWD
die() { echo "release: $*" >&2; exit 1; }

git verify-tag "$tag" >/dev/null 2>&1 || die "$tag is not a tag with a signature that git verifies here (git verify-tag $tag says why)"
show() { git show "$tag:$1"; }
version=$(show include/subtoken/common.h | sed -n 's/^#define SUBTOKEN_VERSION "\(.*\)"/\1/p')
[ "$tag" = "v$version" ] || die "$tag has version $version in include/subtoken/common.h: name it v$version, or raise the version"
show .github/CHANGELOG.md | grep -q "^## \[$version\] - [0-9]" || die ".github/CHANGELOG.md has no \"## [$version] - DATE\""
show src/packaging/debian/changelog | head -n 1 | grep -q "^subtoken ($version[)~-]" || die "src/packaging/debian/changelog does not begin with $version"
[ ! -e "$2" ] || die "$2 is there already"

out=$2.new
rm -rf "$out"
mkdir -p "$out"
out=$(cd "$out" && pwd)
trap 'rm -rf "$out"' EXIT
trap 'exit 130' INT TERM
name=subtoken-$version
git archive --format=tar --prefix="$name/" "$tag" | gzip -n9 >"$out/$name.tar.gz"

# Built from what is in the tarball, with the libraries that are fetched already.
mkdir "$out/tree"
tar -xzf "$out/$name.tar.gz" -C "$out/tree"
tree=$out/tree/$name
[ ! -d third_party/src ] || cp -a third_party/src "$tree/third_party/"
(cd "$tree" && make all && make reproduce) >"$out/log" 2>&1 </dev/null ||
	{ tail -n 20 "$out/log" >&2; die 'the source does not build, or not twice to the same bits'; }
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct "$tag^{commit}") \
	python3 "$tree/src/packaging/spdx.py" "$tree/third_party/src" "$version" >"$out/$name.spdx.json"
{
	echo "compiler: $(${CC:-gcc} --version | head -n 1)"
	for package in libc6-dev libsqlite3-dev libpq-dev libargon2-dev libutf8proc-dev nginx-dev; do
		echo "package: $package $(dpkg-query -W -f '${Version}' "$package" 2>/dev/null || echo 'not there')"
	done
	for library in mbedtls cjson civetweb; do echo "source: $library $(cat "$tree/third_party/src/$library/VERSION")"; done
	sed -n 's/^same \([0-9a-f]*\) /sha256: \1 build\//p' "$out/log"
} >"$out/$name.build"
rm -rf "$out/tree" "$out/log"

cd "$out"
sha256sum "$name".* >SHA256SUMS
key=$(git -C "$top" config user.signingkey || true)
case $(git -C "$top" config gpg.format || echo openpgp) in
ssh) ssh-keygen -q -Y sign -n file -f "$key" SHA256SUMS ;;
*) gpg --batch --yes ${key:+--local-user "$key"} --armor --output SHA256SUMS.sig --detach-sign SHA256SUMS ;;
esac
cd "$top"
mv "$out" "$2"
trap - EXIT
echo "$2:"
cat "$2/SHA256SUMS"
