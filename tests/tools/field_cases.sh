#!/usr/bin/env bash
# Tries cases from the field, which are not ours to hand on, and compares what fails with
# tests/open-cases.txt: a case that fails and is not in that list is an error, and so is one that is in
# it and does not fail any more, so that the list only gets shorter.
#
#   tests/tools/field_cases.sh RUNNER PROGRAM
#
# RUNNER takes the path of cofferdam, prints "NAME: what was otherwise" for each case that fails,
# "(arguable) …" for what does not count, and last how many passed and failed.
set -euo pipefail

runner=$1 program=$2
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

status=0
"$runner" "$program" > "$work/out" || status=$?
summary=$(tail -n 1 "$work/out")
if [ "$status" -gt 1 ] || ! [[ $summary =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
    cat "$work/out" >&2
    echo "field cases: the runner was expected to end with its counts" >&2
    exit 1
fi
passed=${BASH_REMATCH[1]} failed=${BASH_REMATCH[2]}
if [ "$passed" -eq 0 ] || [ "$status" -ne $((failed > 0)) ]; then
    echo "field cases: exit code $((failed > 0)) and a case that passes were expected, found $status and $summary" >&2
    exit 1
fi
head -n -1 "$work/out" | { grep -v '^(arguable) ' || true; } > "$work/failing"
# NAME: … or NAME (certainty): …
sed -E 's/(: | \([a-z-]+\): ).*//' "$work/failing" | sort > "$work/found"
sed -E '/^#/d; s/[[:space:]]+$//; /^$/d' "$root/tests/open-cases.txt" | sort > "$work/open"
if [ "$(wc -l < "$work/found")" -ne "$failed" ]; then
    cat "$work/out" >&2
    echo "field cases: $failed lines of failing cases were expected, found $(wc -l < "$work/found")" >&2
    exit 1
fi
new=$(comm -23 "$work/found" "$work/open")
closed=$(comm -13 "$work/found" "$work/open")
if [ -n "$new" ]; then
    echo "field cases: these fail and are not in tests/open-cases.txt:" >&2
    grep -F -f <(printf '%s\n' "$new") "$work/failing" >&2 || true
    exit 1
fi
if [ -n "$closed" ]; then
    echo "field cases: these do not fail any more; take them out of tests/open-cases.txt: ${closed//$'\n'/ }" >&2
    exit 1
fi
echo "field cases: $passed as expected, $failed are open"
