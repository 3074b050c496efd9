#!/bin/sh
# reproduce.sh BUILD FILE... - builds the tree a second time, in a folder of another name and length, with another home,
# language, time zone and umask, and says of each FILE of BUILD whether the second is the same, bit by bit. The
# packages that a build needs are those of the machine, the libraries those that third_party/src has.
set -eu
LC_ALL=C
export LC_ALL
top=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "$1" && pwd)
shift
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
tree=$scratch/a_folder_whose_name_is_as_long_as_that_of_hardly_any_other/x
mkdir -p "$tree/third_party"
cd "$top"
for part in Makefile LICENSE README.md .github include src tests fuzz third_party/*; do
	case $part in third_party/src) continue ;; esac
	cp -a --parents "$part" "$tree/"
done
mkdir "$tree/third_party/src"
for part in third_party/src/*; do [ "$part" = third_party/src/tmp ] || cp -a "$part" "$tree/third_party/src/"; done

targets=deps
for file in "$@"; do
	case $file in
	wasm/*) targets="$targets wasm" ;;
	*) targets="$targets build/$file" ;;
	esac
done
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES || true
umask 077
# shellcheck disable=SC2086
(cd "$tree" && HOME=$scratch LC_ALL=C.UTF-8 TZ=Asia/Vladivostok SOURCE_DATE_EPOCH=1 \
	make CC="${CC:-gcc}" $targets) >"$scratch/log" 2>&1 </dev/null || { tail -n 40 "$scratch/log"; exit 1; }

differs=0
for file in "$@"; do
	if cmp -s "$build/$file" "$tree/build/$file"; then
		echo "same $(sha256sum <"$build/$file" | cut -d ' ' -f 1) $file"
	else
		echo "differs $file"
		differs=1
	fi
done
[ "$differs" -eq 0 ] || echo 'A BUILD that is older than the source, or was built with other OPT or CC, differs, too.' >&2
exit "$differs"
