#!/bin/sh
# run.sh DIR runs every fuzz target in DIR for FUZZ_SECONDS (default 30; 0 without end) each, or until
# it has executed FUZZ_RUNS inputs, as many targets at a time as there are processors, and prints how
# many inputs each has executed, and how many in a second.
#
# run.sh DIR SANITIZED: the targets in DIR have no sanitizers. What each has found, and the seeds, are
# run once by the target of its name in SANITIZED, which has them, and have to pass there.
#
# Seeds are those of fuzz/corpus/TARGET. What is newly found is thrown away, unless FUZZ_KEEP names
# a folder: then it is kept in FUZZ_KEEP/TARGET and is where the next run begins, and the inputs of
# all runs are counted there, for FUZZ_RUNS, too. FUZZ_ONLY='model*' runs the targets so named. An input that breaks
# something, leaks or takes longer than a minute is kept in DIR/crashes, or FUZZ_KEEP/crashes.
# The last line is `N passed, N failed`; the exit status is 1 when any failed.
set -eu

here=$(dirname "$0")

# How long an input may be at most: as long as what is read may be, or where more says nothing new.
limit() {
	case $1 in
	fuzz_date) echo 64 ;;
	fuzz_model | fuzz_postgres | fuzz_vouched) echo 256 ;;
	fuzz_base64url | fuzz_remote | fuzz_opaque_string | fuzz_cache) echo 512 ;;
	fuzz_json | fuzz_paths | fuzz_store_location) echo 1024 ;;
	fuzz_token | fuzz_service | fuzz_request_head | fuzz_nginx) echo 9000 ;;
	*) echo 2048 ;;
	esac
}

# How many inputs a run has executed, of its log.
executed() {
	sed -n 's/^stat::number_of_executed_units: *//p' "$1"
}

# Says that a run failed, of its log; WHERE may be empty.
fail() {
	log=$1 where=$2
	: >"$scratch/$name.failed"
	cp "$log" "$keep/$name.log"
	unit=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
	echo "not ok $name$where: input ${unit:-none}, report $keep/$name.log"
	grep -m 1 -E 'does not hold|ERROR: |runtime error' "$log" || true
}

# One target: prints its line, leaves a file `failed` behind when it failed.
one() {
	program=$1 sanitized=$2 scratch=$3 keep=$4 found=$5
	name=$(basename "$program")
	mkdir -p "$scratch/$name" "$keep" "$found/$name"
	set -- -timeout=60 -rss_limit_mb=2048 -max_len="$(limit "$name")" \
		-entropic=0 -reload=0 -print_funcs=0 -print_final_stats=1 -verbosity=1 -artifact_prefix="$keep/$name-"
	# What a store remembers grows on purpose: there leaks are looked for at the end.
	[ "$name" != fuzz_model ] || set -- "$@" -detect_leaks=0
	[ ! -f "$here/$name.dict" ] || set -- "$@" -dict="$here/$name.dict"
	seeds=$here/corpus/$name
	[ -d "$seeds" ] || seeds=
	before=$(cat "$found/$name.executed" 2>/dev/null || echo 0)
	runs=-1
	[ -z "${FUZZ_RUNS-}" ] || runs=$((FUZZ_RUNS > before ? FUZZ_RUNS - before : 0))
	began=$(date +%s)
	if ! TMPDIR=$scratch/$name "$program" "$@" -max_total_time="${FUZZ_SECONDS:-30}" -runs="$runs" \
		"$found/$name" $seeds >"$scratch/$name.log" 2>&1; then
		fail "$scratch/$name.log" ''
		return
	fi
	units=$(executed "$scratch/$name.log")
	took=$(($(date +%s) - began))
	line="ok $name: $units inputs, $((units / (took > 0 ? took : 1))) a second"
	if [ -n "$sanitized" ]; then
		if ! TMPDIR=$scratch/$name "$sanitized/$name" "$@" -runs=0 "$found/$name" $seeds >"$scratch/$name.again" 2>&1; then
			fail "$scratch/$name.again" ', under the sanitizers'
			return
		fi
		reached=$(sed -n 's/.*DONE *cov: \([0-9]*\) ft: \([0-9]*\) .*/\1 edges, \2 features/p' "$scratch/$name.log")
		line="$line, $took seconds, $reached; the $(executed "$scratch/$name.again") kept pass under the sanitizers"
	fi
	echo $((before + units)) >"$found/$name.executed"
	[ "$before" = 0 ] || line="$line, $((before + units)) in all runs"
	echo "$line"
}

if [ "$1" = --one ]; then
	shift
	one "$@"
	exit 0
fi

dir=$1 sanitized=${2-}
# In memory, where there is a place for that: one target has a database there.
base=${TMPDIR:-/tmp}
[ ! -w /dev/shm ] || base=/dev/shm
scratch=$(mktemp -d "$base/subtoken-fuzz-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
found=${FUZZ_KEEP:-$scratch/found}
mkdir -p "$found"
for program in "$dir"/fuzz_${FUZZ_ONLY:-*}; do
	case $(basename "$program") in *.*) continue ;; esac
	[ -x "$program" ] && [ -f "$program" ] && echo "$program"
done >"$scratch/programs"
total=$(wc -l <"$scratch/programs")
if [ "$total" -eq 0 ]; then
	echo "no fuzz targets in $dir" >&2
	echo '0 passed, 1 failed'
	exit 1
fi
xargs -P "$(nproc)" -I PROGRAM sh "$0" --one PROGRAM "$sanitized" "$scratch" "${FUZZ_KEEP:-$dir}/crashes" "$found" <"$scratch/programs"
failed=$(find "$scratch" -maxdepth 1 -name '*.failed' | wc -l)
echo "$((total - failed)) passed, $failed failed"
[ "$failed" -eq 0 ]
