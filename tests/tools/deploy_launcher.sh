#!/usr/bin/env bash
# Checks deploy/systemd/cofferdam-enclave with a nitro-cli that only remembers what it was told: it
# starts the expected image with the expected settings, and nothing else.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
launcher=$root/deploy/systemd/cofferdam-enclave
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"

# Answers as nitro-cli does (AWS: Nitro Enclaves User Guide, "Nitro CLI reference"). The image is its
# own description, behind the first 8 bytes of a header if it has one; an enclave runs while the file "running" is there, which holds its flags.
cat > "$work/bin/nitro-cli" <<'FAKE'
#!/usr/bin/env bash
set -euo pipefail
echo "$*" >> "$WORK/called"
case $1 in
    describe-eif) if [ "$(head -c 4 "$3")" = .eif ]; then tail -c +9 "$3"; else cat "$3"; fi ;;
    run-enclave) echo "${FLAGS:-NONE}" > "$WORK/running"; echo '{"EnclaveName": "cofferdam"}' ;;
    terminate-enclave) rm "$WORK/running" ;;
    describe-enclaves)
        if [ -f "$WORK/another-hangs" ] && [ -f "$WORK/running" ]; then
            printf '[{"EnclaveName": "cofferdam", "State": "RUNNING", "Flags": "%s"}]' "$(cat "$WORK/running")"
            exit 1
        fi
        if [ -s "$WORK/failures" ]; then
            # So many times, as while another enclave's process does not answer.
            left=$(($(cat "$WORK/failures") - 1))
            if [ "$left" -gt 0 ]; then echo "$left"; fi > "$WORK/failures"
            exit 1
        fi
        if [ -f "$WORK/running" ]; then
            flags=$(cat "$WORK/running")
            if [ "$flags" = ABSENT ]; then flags=; else flags=", \"Flags\": \"$flags\""; fi
            printf '[{"EnclaveName": "another", "State": "RUNNING", "Flags": "NONE"},
                {"EnclaveName": "cofferdam", "State": "RUNNING"%s}]' "$flags"
        else
            echo '[]'
        fi ;;
    *) exit 9 ;;
esac
FAKE
chmod +x "$work/bin/nitro-cli"
export WORK=$work PATH=$work/bin:$PATH

measurements() {
    jq -n --arg a "$1" --arg b "$2" --arg c "$3" \
        '{Measurements: {HashAlgorithm: "Sha384 { ... }", PCR0: ($a * 48), PCR1: ($b * 48), PCR2: ($c * 48)}}'
}
measurements a0 a1 a2 > "$work/right"
measurements a0 a1 a3 > "$work/wrong"
measurements 00 00 00 > "$work/zero"
echo '{"Measurements": {"PCR0": "a0"}}' > "$work/short"

# try NAME EXIT-CODE SETTING=VALUE...: runs the launcher with good settings and these.
count=0
try() {
    local name=$1 expected=$2 found=0
    shift 2
    rm -f "$work/called" "$work/running.left"
    env ENCLAVE_EIF="$work/right" ENCLAVE_PCRS="$work/right" ENCLAVE_MEMORY=1024 ENCLAVE_CPUS=2 \
        ENCLAVE_CID=16 ENCLAVE_POLL=0.1 "$@" timeout 30 "$launcher" run > "$work/out" 2>&1 || found=$?
    if [ "$found" != "$expected" ]; then
        cat "$work/out" >&2
        echo "launcher: $name: exit code $expected was expected, found $found" >&2
        exit 1
    fi
    count=$((count + 1))
}
# once_started COMMAND...: waits until the enclave was started, and a moment.
once_started() {
    until grep -qs '^run-enclave' "$work/called"; do sleep 0.1; done
    sleep 0.5
    "$@"
}
never_started() {
    if grep -q '^run-enclave' "$work/called" 2> /dev/null; then
        echo "launcher: $1: an enclave was started" >&2
        exit 1
    fi
}

for unusable in ENCLAVE_EIF="$work/wrong" ENCLAVE_PCRS="$work/wrong" ENCLAVE_PCRS="$work/short" ENCLAVE_EIF="$work/short" \
    ENCLAVE_EIF=/nowhere ENCLAVE_PCRS= ENCLAVE_MEMORY= ENCLAVE_MEMORY=1G ENCLAVE_CPUS=0 ENCLAVE_CID=3; do
    try "$unusable" 3 "$unusable"
    never_started "$unusable"
done
try "zeroes on both sides" 3 ENCLAVE_EIF="$work/zero" ENCLAVE_PCRS="$work/zero"
never_started "zeroes on both sides"

# Of the other architecture, or of none that is known, it does not start; of this one it does.
case $(uname -m) in
    x86_64) own='\000' other='\001' named=aarch64 ;;
    aarch64) own='\001' other='\000' named=x86_64 ;;
esac
image() { { printf '.eif\000\004\000'; printf '%b' "$1"; cat "$work/right"; } > "$work/image.eif"; }
image "$other"
try "an image of $named" 3 ENCLAVE_EIF="$work/image.eif"
never_started "an image of $named"
grep -q "an image of $(uname -m) was expected, found $named" "$work/out" ||
    { echo "launcher: both architectures were expected: $(cat "$work/out")" >&2; exit 1; }
image '\002'
try "an image of nothing known" 3 ENCLAVE_EIF="$work/image.eif"
never_started "an image of nothing known"
image "$own"
once_started rm -f "$work/running" &
try "an image of this architecture" 1 ENCLAVE_EIF="$work/image.eif"
grep -q '^run-enclave' "$work/called"
wait

# The expected image runs until it ends; one that was left behind is ended first.
echo NONE > "$work/running"
rm -f "$work/called"
once_started rm -f "$work/running" &
try "the expected image" 1
grep -qx "run-enclave --enclave-name cofferdam --eif-path $work/right --memory 1024 --cpu-count 2 --enclave-cid 16" "$work/called" ||
    { echo "launcher: other arguments were expected: $(cat "$work/called")" >&2; exit 1; }
[ "$(grep -n '^terminate-enclave' "$work/called" | head -n 1 | cut -d: -f1)" -lt "$(grep -n '^run-enclave' "$work/called" | cut -d: -f1)" ]
wait

# While nitro-cli fails nobody knows whether the enclave runs: it is left alone, for a while.
for failures in 3 11; do
    rm -f "$work/called"
    (
        once_started eval "echo $failures > '$work/failures'"
        while [ -s "$work/failures" ]; do sleep 0.1; done
        rm -f "$work/running"
    ) &
    try "nitro-cli that fails $failures times" 1
    grep -q "the enclave ended" "$work/out" ||
        { echo "launcher: the end of the enclave was expected: $(cat "$work/out")" >&2; exit 1; }
    if grep -q '^terminate-enclave' "$work/called"; then
        echo "launcher: an enclave was ended because nitro-cli failed" >&2
        exit 1
    fi
    wait
done
rm -f "$work/called"
once_started eval "echo 999 > '$work/failures'" &
try "nitro-cli that fails for good" 1
grep -q "12 times in a row" "$work/out" ||
    { echo "launcher: the failures were expected to be told: $(cat "$work/out")" >&2; exit 1; }
wait
rm -f "$work/failures" "$work/running"

# One that is listed runs, and in debug mode is ended, also while nitro-cli fails because of another.
touch "$work/another-hangs"
rm -f "$work/called"
(once_started sleep 3; rm -f "$work/another-hangs" "$work/running") &
try "an enclave beside one that hangs" 1
if ! grep -q "the enclave ended" "$work/out" || grep -q '^terminate-enclave' "$work/called"; then
    echo "launcher: the enclave was expected to be left alone: $(cat "$work/out")" >&2
    exit 1
fi
wait
touch "$work/another-hangs"
try "debug mode beside one that hangs" 3 FLAGS=DEBUG_MODE
rm -f "$work/another-hangs"

# A flag that AWS adds is told once, and ends nothing; debug mode beside it does.
rm -f "$work/called"
once_started rm -f "$work/running" &
try "an unknown flag" 1 FLAGS=NEW_FLAG
[ "$(grep -c "not known here: NEW_FLAG" "$work/out")" = 1 ] ||
    { echo "launcher: one line about the flag was expected: $(cat "$work/out")" >&2; exit 1; }
wait
rm -f "$work/called"
once_started rm -f "$work/running" &
try "no flags at all" 1 FLAGS=ABSENT
[ "$(grep -c "not known here: absent" "$work/out")" = 1 ] ||
    { echo "launcher: one line about absent flags was expected: $(cat "$work/out")" >&2; exit 1; }
wait
try "debug mode beside another flag" 3 FLAGS="NEW_FLAG|DEBUG_MODE"
[ ! -f "$work/running" ] || { echo "launcher: an enclave in debug mode was left running" >&2; exit 1; }

# Whatever started it that way, an enclave in debug mode is ended.
try "debug mode" 3 FLAGS=DEBUG_MODE
[ ! -f "$work/running" ] || { echo "launcher: an enclave in debug mode was left running" >&2; exit 1; }

# The word to stop ends the launcher at once, and "stop" ends the enclave.
env ENCLAVE_EIF="$work/right" ENCLAVE_PCRS="$work/right" ENCLAVE_MEMORY=1024 ENCLAVE_CPUS=2 ENCLAVE_CID=16 \
    ENCLAVE_POLL=60 "$launcher" run > /dev/null 2>&1 &
launched=$!
for _ in $(seq 50); do [ -f "$work/running" ] && break; sleep 0.1; done
sleep 0.3
kill -TERM "$launched"
timeout 5 tail --pid="$launched" -f /dev/null || { echo "launcher: it does not end when told" >&2; exit 1; }
"$launcher" stop
[ ! -f "$work/running" ] || { echo "launcher: stop left an enclave running" >&2; exit 1; }
"$launcher" stop
echo "launcher: $((count + 2)) cases as expected"
