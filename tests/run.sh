#!/bin/bash
# run.sh all PROGRAM..., run.sh unit BUILD, run.sh quick BUILD, run.sh aarch64 - runs test programs and
# counts: every one of all builds, and these unit tests as users have them; the unit tests of BUILD; these
# and the quickest end-to-end files; or those that run on AArch64. Each prints TAP, or cmocka's TAP; one
# that ends without a failure of its own but not with 0 counts as one failure. JOBS of them (two more than
# there are processors: most of them wait) run at a time, of the heavy ones one. What fails while all run
# is run once more at the end, by itself: what then passes is not counted as a failure but named as
# unsteady, for somebody to look at; of more than three no second run is made. The last lines name what
# failed. ONLY=name runs the programs whose name contains it. SUBTOKEN_TEST_POSTGRES is a libpq URI at
# which the unit tests may make databases: make runs us with a cluster of our own (tests/e2e/postgres.py).
set -u
cd "$(dirname "$0")/.." || exit 1
export CMOCKA_MESSAGE_OUTPUT=TAP
# A view of what a function had on its stack reads well until something else lies there. Of what was freed
# 16 MB are kept apart: with 256, as by default, SQLite's pages alone make a test take twice the time.
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:detect_stack_use_after_return=1:quarantine_size_mb=16
export UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS="suppressions=$PWD/third_party/tsan.supp halt_on_error=0"
jobs=${JOBS:-$(($(nproc) + 2))}
passed=0 failed=0 second_runs=0
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

# report NAME LOG CODE SECONDS: prints how a program fared; sets ok and bad to how many passed and failed.
report() {
	local name=$1 log=$2 code=$3
	ok=$(grep -c '^ok ' "$log")
	bad=$(grep '^not ok ' "$log" | grep -vc '# SKIP') # cmocka says "not ok" of what it skips
	if [ "$code" -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1; fi
	if [ "$ok" -eq 0 ] && [ "$bad" -eq 0 ]; then bad=1; fi # a program that tests nothing
	printf '%-44s %5d passed %3d failed %4d s, %s of a processor\n' "$name" "$ok" "$bad" "$4" "$(sed -n 's/^# processor: //p' "$log" | tail -n 1)"
	grep '# SKIP' "$log" | sed 's/^/    /'
	if [ "$bad" -gt 0 ]; then
		grep -vE '^(ok |# processor: )' "$log" | tail -n 60 | sed 's/^/    /'
	fi
}

# Waits for one of those that run, and reports it.
declare -A names=() began=() commands=()
failures=() unsteady=()
reap() {
	local pid code ok bad
	wait -n -p pid "${!names[@]}"
	code=$?
	report "${names[$pid]}" "$logs/$pid" "$code" $((SECONDS - began[$pid]))
	if [ "$bad" -gt 0 ]; then failures+=("$pid $ok $bad ${names[$pid]}"); else passed=$((passed + ok)); fi
	unset "names[$pid]" "began[$pid]"
}

# Counts the failures, after a second run of each where that is allowed.
settle() { # MOST
	local each pid first first_bad name ok bad began
	local most=$1
	[ ${#failures[@]} -le "$most" ] || most=0
	for each in "${failures[@]}"; do
		read -r pid ok bad name <<<"$each"
		if [ "$most" -gt 0 ]; then
			first=$(grep '^not ok ' "$logs/$pid" | grep -v '# SKIP')
			first_bad=$bad began=$SECONDS
			(eval "$limit ${commands[$pid]}") >"$logs/$pid" 2>&1 </dev/null
			report "$name, by itself" "$logs/$pid" $? $((SECONDS - began))
			[ "$bad" -gt 0 ] || unsteady+=("unsteady: $name failed $first_bad beside others, and passed by itself"$'\n'"$first")
		fi
		passed=$((passed + ok)) failed=$((failed + bad))
		[ "$bad" -eq 0 ] || unsteady+=("failed: $name"$'\n'"$(grep '^not ok ' "$logs/$pid" | grep -v '# SKIP')")
	done
	[ ${#unsteady[@]} -eq 0 ] || printf '%s\n' "${unsteady[@]}"
}

finish() {
	start_heavy
	while [ ${#names[@]} -gt 0 ]; do
		reap
		start_heavy
	done
}

# One that hangs fails, and holds up nobody.
limit='timeout --foreground -k 10 900'
start() { # NAME COMMAND...
	(
		exec >"$logs/$BASHPID" 2>&1 </dev/null
		shift
		TIMEFORMAT='# processor: %1U+%1S s'
		time $limit "$@"
	) &
	names[$!]=$1 began[$!]=$SECONDS commands[$!]=$(printf '%q ' "${@:2}")
}

# program NAME COMMAND...
program() {
	case $1 in *"${ONLY:-}"*) ;; *) return ;; esac
	start_heavy
	while [ ${#names[@]} -ge "$jobs" ]; do
		reap
		start_heavy
	done
	start "$@"
}

# The same, with nothing beside it.
alone() {
	finish
	program "$@"
	finish
}

# End-to-end files that fill the machine, or look at how soon it answers: not beside each other.
heavy='load store failover issuers'
waiting=() one_heavy=0
start_heavy() {
	[ ${#waiting[@]} -gt 0 ] && [ -z "${names[$one_heavy]:-}" ] && [ ${#names[@]} -lt "$jobs" ] || return 0
	local build=${waiting[0]% *} name=${waiting[0]#* }
	waiting=("${waiting[@]:1}")
	start "$build test_$name.py" "$python" "tests/e2e/test_$name.py" "$build/subtoken"
	one_heavy=$!
}

# Not the first python3 in PATH: Debian's, which has python3-jwt.
python=/usr/bin/python3
end_to_end() { # BUILD NAME
	case " $heavy " in
	*" $2 "*) case "$1 test_$2.py" in *"${ONLY:-}"*) waiting+=("$1 $2") ;; esac ;;
	*) program "$1 test_$2.py" "$python" "tests/e2e/test_$2.py" "$1/subtoken" ;;
	esac
}

# The same with its store in PostgreSQL.
on_postgres() { # BUILD NAME
	program "$1 test_$2.py, PostgreSQL" env SUBTOKEN_TEST_STORE=postgres "$python" "tests/e2e/test_$2.py" "$1/subtoken"
}

unit() { # BUILD
	local t
	for t in tests/unit/test_*.c; do
		t=$1/tests/$(basename "$t" .c)
		program "$t" "$t"
	done
}

# End-to-end files that take seconds and need Python and curl alone.
quick='audit authorize clients commands config exchanges keys listen process user_commands'

# Files that say what a stranger's requests can make of the server run under the address sanitizer, as all unit
# tests do. Every other file runs as users have it: starting a server takes four times as long under it.
sanitized='authorize clients exchanges http property'

# The library's own tests, on the other kind of machine: all, or those that take seconds there.
aarch64='bytes claims claims_build cpu decide hmac issue json jws jws_header narrow property ring sized url vector verify'
aarch64_long='base64url claims_fast date explain feed_file feed_file_bad paths paths_match result revocations_changes revocations_filter seen'
on_aarch64() { # NAME...
	local t
	for t in "${@/#/test_}" vectors; do
		t=build/aarch64/tests/$t
		program "$t" env SUBTOKEN_CHAINS=2000 qemu-aarch64 -L /usr/aarch64-linux-gnu \
			-E LD_LIBRARY_PATH=build/arm64/usr/lib/aarch64-linux-gnu "$t"
	done
}

case ${1:-} in
aarch64) on_aarch64 $aarch64 $aarch64_long ;;
unit) unit "$2" ;;
quick)
	unit "$2"
	for name in $quick; do end_to_end "$2" "$name"; done ;;
all)
	second_runs=3
	unit build/asan
	for t in "${@:2}"; do program "$t" "$t"; done
	for build in build build/tsan; do end_to_end "$build" load; done
	end_to_end build store
	end_to_end build issuers
	end_to_end build failover
	for t in tests/e2e/test_*.py; do
		t=${t##*/test_}
		t=${t%.py}
		case " $heavy verdicts " in *" $t "*) continue ;; esac
		case " $sanitized " in *" $t "*) end_to_end build/asan "$t" ;; *) end_to_end build "$t" ;; esac
	done
	# What the store decides, on the other one.
	for name in admin audit exchanges housekeeping keys kill property revocations users; do on_postgres build "$name"; done
	# The thread sanitizer for where the server's threads meet; the other files ask nothing of
	# them that these and load do not.
	end_to_end build/tsan held_requests
	on_aarch64 $aarch64
	program "proofs, the brief form" make --no-print-directory proofs-brief
	program "secrets, under valgrind" valgrind -q --error-limit=no build/constant_time/constant_time/secrets
	for t in tests/oracles/test_*.py; do program "$(basename "$t")" "$python" "$t" build/subtoken; done
	# One after the other: the first fetches what all need.
	for t in tests/oracles/{jose,oauth,oauth_clients,gw2}.mjs; do alone "$(basename "$t")" node "$t" build/subtoken; done
	# The npm package: the library, and the middleware with the real frameworks, in workerd and in Chromium.
	for t in middleware library failures revocations readme types; do program "wasm $t" node "tests/wasm/$t.mjs" build/subtoken; done
	# The page in Chromium.
	for t in views person admin keyboard; do program "page $t" node "tests/page/$t.mjs" build/subtoken; done
	finish # it takes the workerd that these have fetched
	end_to_end build verdicts ;;
*)
	echo "run.sh: unknown part ${1:-}" >&2
	exit 2 ;;
esac
finish
settle "$second_runs"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
