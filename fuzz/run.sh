#!/bin/sh
# run.sh DIR runs every fuzz target in DIR for FUZZ_SECONDS (default 30) each, as many
# at a time as there are processors. Seeds are those of fuzz/corpus/TARGET; what is
# newly found is thrown away. An input that breaks something is kept in DIR/crashes.
# The last line is `N passed, N failed`; the exit status is 1 when any failed.
set -eu

here=$(dirname "$0")

# One target: prints its line, leaves a file `failed` behind when it failed.
one() {
	program=$1 scratch=$2 keep=$3
	name=$(basename "$program")
	mkdir -p "$scratch/$name" "$keep"
	set -- -max_total_time="${FUZZ_SECONDS:-30}" -timeout=10 -rss_limit_mb=2048 \
		-print_final_stats=1 -verbosity=1 -artifact_prefix="$keep/$name-"
	case $name in
	fuzz_date) set -- "$@" -max_len=64 ;;
	fuzz_base64url) set -- "$@" -max_len=512 ;;
	fuzz_token | fuzz_service | fuzz_request_head) set -- "$@" -max_len=9000 ;;
	*) set -- "$@" -max_len=2048 ;;
	esac
	[ ! -f "$here/$name.dict" ] || set -- "$@" -dict="$here/$name.dict"
	seeds=$here/corpus/$name
	[ -d "$seeds" ] || seeds=
	if "$program" "$@" "$scratch/$name" $seeds >"$scratch/$name.log" 2>&1; then
		units=$(sed -n 's/^stat::number_of_executed_units: *//p' "$scratch/$name.log")
		echo "ok $name: ${units:-?} inputs"
		return
	fi
	: >"$scratch/$name.failed"
	cp "$scratch/$name.log" "$keep/$name.log"
	found=$(sed -n 's/.*Test unit written to //p' "$scratch/$name.log" | tail -n 1)
	echo "not ok $name: input ${found:-none}, report $keep/$name.log"
	grep -m 1 -E 'does not hold|ERROR: |runtime error' "$scratch/$name.log" || true
}

if [ "$1" = --one ]; then
	one "$2" "$3" "$4"
	exit 0
fi

dir=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
for program in "$dir"/fuzz_*; do
	case $program in *.*) continue ;; esac
	[ -x "$program" ] && [ -f "$program" ] && echo "$program"
done >"$scratch/programs"
total=$(wc -l <"$scratch/programs")
if [ "$total" -eq 0 ]; then
	echo "no fuzz targets in $dir" >&2
	echo '0 passed, 1 failed'
	exit 1
fi
xargs -P "$(nproc)" -I PROGRAM sh "$0" --one PROGRAM "$scratch" "$dir/crashes" <"$scratch/programs"
failed=$(find "$scratch" -maxdepth 1 -name '*.failed' | wc -l)
echo "$((total - failed)) passed, $failed failed"
[ "$failed" -eq 0 ]
