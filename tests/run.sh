#!/bin/bash
# run.sh - runs every test program and counts. Each prints TAP, or cmocka's TAP; one
# that ends without a failure of its own but not with 0 counts as one failure.
# ONLY=name runs the programs whose name contains it.
set -u
cd "$(dirname "$0")/.." || exit 1
export CMOCKA_MESSAGE_OUTPUT=TAP
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS="suppressions=$PWD/third_party/tsan.supp halt_on_error=0"
passed=0 failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# program NAME COMMAND...
program() {
	local name=$1 began=$SECONDS code ok bad
	shift
	case $name in *"${ONLY:-}"*) ;; *) return ;; esac
	"$@" >"$log" 2>&1 </dev/null
	code=$?
	ok=$(grep -c '^ok ' "$log")
	bad=$(grep '^not ok ' "$log" | grep -vc '# SKIP') # cmocka says "not ok" of what it skips
	if [ "$code" -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1; fi
	if [ "$ok" -eq 0 ] && [ "$bad" -eq 0 ]; then bad=1; fi # a program that tests nothing
	printf '%-44s %5d passed %3d failed %4d s\n' "$name" "$ok" "$bad" $((SECONDS - began))
	grep '# SKIP' "$log" | sed 's/^/    /'
	if [ "$bad" -gt 0 ]; then
		grep -vE '^ok ' "$log" | tail -n 60 | sed 's/^/    /'
	fi
	passed=$((passed + ok)) failed=$((failed + bad))
}

# Not the first python3 in PATH: Debian's, which has python3-jwt.
python=/usr/bin/python3
for build in build build/asan; do
	for t in "$build"/tests/test_*; do
		case $t in *.d) continue ;; esac
		program "$t" "$t"
	done
done
for build in build build/asan; do
	for t in tests/e2e/test_*.py; do
		program "$build $(basename "$t")" "$python" "$t" "$build/subtoken"
	done
done
# The thread sanitizer for where the server's threads meet; the other files ask nothing of them
# that these do not.
for name in clients http load manage revocations; do
	t=tests/e2e/test_$name.py
	program "build/tsan $(basename "$t")" "$python" "$t" build/tsan/subtoken
done
for t in tests/oracles/test_*.py; do program "$(basename "$t")" "$python" "$t" build/subtoken; done
program jose.mjs node tests/oracles/jose.mjs build/subtoken
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
