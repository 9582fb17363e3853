#!/usr/bin/env bash
# Copies a store into another bucket, by way of a folder. docs/recovery.md says when.
#
#   copy.sh FROM TO FOLDER
#
# What is in TO already is never overwritten and never deleted (If-None-Match: *), so this can be repeated
# and stopped at any moment. An object that somebody else creates meanwhile makes it fail; the next round
# goes on. Needs `aws` with credentials that read FROM, and list and create in TO.
set -euo pipefail
export LC_ALL=C

if [ $# -ne 3 ]; then
    echo "usage: $0 FROM TO FOLDER" >&2
    exit 2
fi
from=$1
to=$2
folder=$3

# What the parent's probe leaves is not worth a copy.
aws s3 sync --only-show-errors --exclude 'probe/*' "s3://$from" "$folder"
# Once more: a record that came meanwhile may name a document that was made after they were listed.
aws s3 sync --only-show-errors "s3://$from/attestations" "$folder/attestations"

there=$(mktemp)
trap 'rm -f "$there"' EXIT
aws s3api list-objects-v2 --bucket "$to" --query 'Contents[].[Key]' --output text | sort > "$there"
cd "$folder"
# A bucket that locks takes no upload without a checksum.
find . -type f -printf '%P\n' | sort | comm -23 - "$there" | xargs -r -P 4 -I{} \
    aws s3api put-object --bucket "$to" --key {} --body {} --if-none-match '*' --checksum-algorithm SHA256 > /dev/null
