#!/usr/bin/env bash
# What takes too long for every change. Each step is tried, whatever became of the one before; the last line
# is the sum.
set -uo pipefail
cd "$(dirname "$0")/../.."

passed=0 failed=0
for step in fuzz bench test-container; do
    started=$SECONDS
    if make "$step"; then
        passed=$((passed + 1)) outcome=ok
    else
        failed=$((failed + 1)) outcome=FAILED
    fi
    printf 'nightly: %s ... %s (%d s)\n' "$step" "$outcome" $((SECONDS - started))
done
printf 'nightly: %d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
