"""Writes psbt-bips.json: the test vectors of BIP-174, 370 and 371 by their own titles; and copies
BIP-341's wallet vectors and BIP-143's native P2WPKH example.

    git clone https://github.com/bitcoin/bips   # at 7fe0b034ec967b52a5a28276419117326df93263
    python3 bips.py bips

Python's standard library alone. The texts of the cases are the BIPs'.
"""

import base64
import json
import pathlib
import re
import subprocess
import sys

COMMIT = "7fe0b034ec967b52a5a28276419117326df93263"
repository = sys.argv[1]
here = pathlib.Path(__file__).parent


def text(path):
    return subprocess.run(
        ["git", "-C", repository, "show", f"{COMMIT}:{path}"], check=True, capture_output=True, text=True
    ).stdout


def cases(bip):
    """Every PSBT after the heading, with the sentence that it stands under and its title."""
    after = re.split(r"^==\s*Test Vectors\s*==$", text(f"bip-{bip}.mediawiki"), flags=re.M)[1]
    after = re.split(r"^==\s*Rationale\s*==$", after, flags=re.M)[0]
    section, title, found = "", "", []
    for part in re.findall(r"<pre>.*?</pre>|^[^\n<]*(?:<tt>[^\n<]*</tt>[^\n<]*)*$", after, flags=re.M | re.S):
        if part.startswith("* Case: "):
            title = re.sub(r"</?tt>|`", "", part.removeprefix("* Case: "))
        elif part.startswith("<pre>"):
            # Three of BIP-371's have a stray "<".
            content = part[5:-6].strip().lstrip("<")
            if re.fullmatch(r"(70736274ff|0200000001268171)[0-9a-f]*", content):
                data = base64.b64encode(bytes.fromhex(content)).decode()
                found.append({"section": section, "title": title, "psbt": data})
        elif part and not part.startswith("*"):
            section, title = part.strip(), ""
    return found


result = {f"bip{int(bip)}": cases(bip) for bip in ["0174", "0370", "0371"]}
(here / "psbt-bips.json").write_text(json.dumps(result, indent=1) + "\n")
(here / "bip-0341-wallet.json").write_text(text("bip-0341/wallet-test-vectors.json"))
