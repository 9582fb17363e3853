// Writes ethers.jsonl: transactions of ethers.js's own test cases, one a line.
//
//     npm install @ethersproject/testcases@5.8.0
//     node ethers.mjs > ethers.jsonl
//
// Kept: every type 2 transaction without an access list that names a chain and a recipient; of
// all others, which are to be refused, every 24th; of the random legacy transactions with a
// chain id, every tenth, and all of the others.

import fs from "node:fs";
import { createRequire } from "node:module";
import zlib from "node:zlib";

const require = createRequire(process.cwd() + "/");

function load(name) {
    const file = require.resolve(`@ethersproject/testcases/testcases/${name}.json.gz`);
    return JSON.parse(zlib.gunzipSync(fs.readFileSync(file)));
}

function line(value) {
    process.stdout.write(JSON.stringify(value) + "\n");
}

const hex = (text) => text.slice(2);

let others = 0;
for (const { name, key, address, unsigned, signed, tx } of load("typed-transactions")) {
    const plain = tx.type === 2 && !(tx.accessList || []).length;
    if (plain && tx.to && tx.chainId) {
        const { chainId, nonce, gasLimit, maxFeePerGas, to, value, data } = tx;
        line({
            name, type: 2, key: hex(key), address, unsigned: hex(unsigned), signed: hex(signed),
            tx: { chainId, nonce, gasLimit, maxFeePerGas, to, value, data },
        });
    } else if (others++ % 24 === 0) {
        const refused = tx.type === 1 ? "type_1"
            : !tx.chainId ? "chain"
            : !tx.to ? "creation"
            : "access_list";
        line({ name, type: tx.type, unsigned: hex(unsigned), signed: hex(signed), refused });
    }
}

let random = 0;
for (const test of load("transactions")) {
    if (test.name.startsWith("random") && random++ % 10 !== 0) continue;
    const to = test.to && test.to !== "0x";
    // The package gives hexadecimal numbers; a few of its gas limits have more than 64 bits.
    const gas = BigInt(!test.gasLimit || test.gasLimit === "0x" ? 0 : test.gasLimit);
    const refused = !to ? "creation" : gas >> 64n ? "gas" : undefined;
    line({
        name: test.name, type: 0, key: hex(test.privateKey), address: test.accountAddress,
        unsigned: hex(test.unsignedTransactionChainId5), signed: hex(test.signedTransactionChainId5),
        unprotected: refused ? undefined : [hex(test.unsignedTransaction), hex(test.signedTransaction)],
        refused,
    });
}
