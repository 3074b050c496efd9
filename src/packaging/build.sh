#!/bin/sh
# build.sh OUT [BUILD] - builds the Debian packages into OUT, from a copy of the tree in OUT/tree. With BUILD
# they hold what lies in this build directory instead, which takes seconds and is for tests.
# DEB_VERSION: another version than that of debian/changelog, for packages between two releases.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
rm -rf "$out/tree"
rm -f "$out"/*.deb "$out"/*.changes "$out"/*.buildinfo
mkdir -p "$out/tree/third_party/src" "$out/tree/.github"
cd "$top"
cp -a Makefile LICENSE README.md include src "$out/tree/"
cp -a .github/CHANGELOG.md "$out/tree/.github/"
for part in third_party/*; do [ "$part" = third_party/src ] || cp -a "$part" "$out/tree/third_party/"; done
for part in third_party/src/*; do [ "$part" = third_party/src/tmp ] || cp -a "$part" "$out/tree/third_party/src/"; done
cp -a src/packaging/debian "$out/tree/debian"
if [ $# -gt 1 ]; then
	ln -s "$(cd "$2" && pwd)" "$out/tree/build"
	export SUBTOKEN_PREBUILT=1
fi
cd "$out/tree"
# What the make that called us was told is not for this build: the same bits come of the same source.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES CFLAGS CPPFLAGS LDFLAGS DEB_BUILD_OPTIONS || true
[ -z "${SUBTOKEN_PREBUILT:-}" ] || export DEB_BUILD_OPTIONS=noautodbgsym
export LC_ALL=C.UTF-8 TZ=UTC
[ -z "${DEB_VERSION:-}" ] || sed -i "1s/(.*)/($DEB_VERSION)/" debian/changelog
dpkg-buildpackage --no-sign --build=binary >"$out/log" 2>&1 </dev/null || { tail -n 40 "$out/log"; exit 1; }
