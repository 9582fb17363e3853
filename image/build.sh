#!/usr/bin/env bash
# Builds the enclave image from the program, a kernel and a measured configuration:
#
#   CONFIG=enclave.toml image/build.sh      writes cofferdam.eif and pcrs.json into build/
#
# The same inputs give the same bytes (image/program.sh, image/kernel/build.sh).
#
#   CONFIG         the measured configuration (docs/formats.md, section 9)
#   KERNEL         a bzImage, such as AWS's own; without it build/kernel/bzImage, which make kernel builds
#   NSM_KO         the driver of the NSM for a kernel that has it as a module, as AWS's own does
#   COMMAND_LINE   the file with the kernel's command line (image/command-line)
#   OUT            where to write (build)
#   TOOLS          a folder with cofferdam and check-config, where they need not be built
#   SIGNING_KEY, SIGNING_CERTIFICATE    sign the image, for PCR8
#   CARGO, CARGO_HOME, CARGO_TARGET_DIR, SOURCE_DATE_EPOCH    as usual
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
fail() {
    echo "image: $*" >&2
    exit 1
}

: "${CONFIG:?the measured configuration was expected: CONFIG=enclave.toml}"
out=$(realpath -m "${OUT:-$root/build}")
kernel=${KERNEL:-$root/build/kernel/bzImage}
command_line=${COMMAND_LINE:-$root/image/command-line}
CARGO_TARGET_DIR=$(realpath -m "${CARGO_TARGET_DIR:-$root/target}")
export CARGO_TARGET_DIR
for file in "$CONFIG" "$kernel" "$command_line"; do
    [ -r "$file" ] || fail "a readable file was expected: $file"
done
signing=()
if [ -n "${SIGNING_KEY:-}${SIGNING_CERTIFICATE:-}" ]; then
    : "${SIGNING_KEY:?expected with SIGNING_CERTIFICATE}" "${SIGNING_CERTIFICATE:?expected with SIGNING_KEY}"
    signing=(--signing-key "$SIGNING_KEY" --signing-certificate "$SIGNING_CERTIFICATE")
fi

tools=${TOOLS:-$CARGO_TARGET_DIR/debug}
[ -n "${TOOLS:-}" ] || (cd "$root" && env -u CARGO_BUILD_TARGET "${CARGO:-cargo}" build --locked -p cofferdam -p enclave-app --bin cofferdam --bin check-config)
cofferdam=$tools/cofferdam
# Said here, because an enclave in production has no console to say it on.
"$tools/check-config" "$CONFIG"
"$root/image/program.sh" "$out/enclave-app"

module=()
if [ -n "${NSM_KO:-}" ]; then
    module=("nsm.ko=$NSM_KO")
fi
"$cofferdam" eif ramdisk --output "$out/program.cpio.gz" "init=$out/enclave-app:0755" "${module[@]}"
"$cofferdam" eif ramdisk --output "$out/configuration.cpio.gz" "etc/cofferdam/enclave.toml=$CONFIG"
"$cofferdam" eif build --kernel "$kernel" --command-line "@$command_line" \
    --ramdisk "$out/program.cpio.gz" --ramdisk "$out/configuration.cpio.gz" \
    "${signing[@]}" --output "$out/cofferdam.eif" --pcrs "$out/pcrs.json"
echo "image: $out/cofferdam.eif: $(stat -c %s "$out/cofferdam.eif") bytes" >&2
