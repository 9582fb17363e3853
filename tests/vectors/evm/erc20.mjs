// Writes erc20.json: the creation code of erc20.sol, without its constructor's two arguments
// (holder, amount).
//
//     npm install solc@0.8.37
//     node erc20.mjs > erc20.json
//
// Compiled for "paris", which every network of today runs.

import fs from "node:fs";
import { createRequire } from "node:module";

const solc = createRequire(process.cwd() + "/")("solc");
const settings = {
    evmVersion: "paris",
    optimizer: { enabled: true, runs: 200 },
    metadata: { appendCBOR: false },
    outputSelection: { "*": { "*": ["evm.bytecode.object"] } },
};
const content = fs.readFileSync(new URL("erc20.sol", import.meta.url), "utf8");
const input = { language: "Solidity", sources: { "erc20.sol": { content } }, settings };
const output = JSON.parse(solc.compile(JSON.stringify(input)));
if (output.errors?.length) throw new Error(JSON.stringify(output.errors));
const bytecode = output.contracts["erc20.sol"].Token.evm.bytecode.object;
console.log(JSON.stringify({ compiler: solc.version(), evmVersion: settings.evmVersion, bytecode }, null, 1));
