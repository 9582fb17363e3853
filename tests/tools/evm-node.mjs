// A local EVM network for tests, in this process and without any connection: ganache, every
// transaction in a block of its own. One JSON object a line on stdin is a command; one line on
// stdout answers it, in the same order. Ends when stdin ends.
//
//     folder=$(tests/tools/node-tool.sh ganache ganache@7.9.2 ethers@6.17.0)
//     node tests/tools/evm-node.mjs "$folder" [CHAIN_ID]
//
// The first line says that it is ready: {"ready":true,"chain_id":31337}. Amounts are decimal
// strings, in wei or in the token's base unit; bytes are 0x and hexadecimal digits.
//
//     {"chain_id":true}                          {"chain_id":31337}
//     {"fund":ADDRESS,"wei":AMOUNT}              {"balance":AMOUNT}
//     {"deploy_erc20_to":ADDRESS,"amount":AMOUNT}
//                                                {"contract":ADDRESS}; ADDRESS holds all of it
//     {"balance":ADDRESS}                        {"balance":AMOUNT}
//     {"balance":ADDRESS,"token":CONTRACT}       {"balance":AMOUNT}
//     {"nonce":ADDRESS}                          {"nonce":0}
//     {"broadcast":BYTES}                        {"id":HASH,"status":1,"from":ADDRESS,
//                                                 "to":ADDRESS,"gas_used":21000,"fee":AMOUNT}
//     {"unsigned":{"type":2,"chainId":1,"nonce":0,"gasLimit":21000,"maxFeePerGas":AMOUNT,
//       "maxPriorityFeePerGas":AMOUNT,"to":ADDRESS,"value":AMOUNT}}
//                                                {"bytes":BYTES}
//
// `unsigned` is ethers' alone (ganache@7.9.2 is enough for the rest) and takes what its
// Transaction.from takes; "transfer":[ADDRESS,AMOUNT] becomes the data of a token's transfer.
//
// What fails, also a transaction that the network does not take, is {"error":TEXT}.

import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import readline from "node:readline";

const [folder, chain = "31337"] = process.argv.slice(2);
if (!folder || !/^[1-9][0-9]*$/.test(chain)) {
    console.error("usage: evm-node.mjs FOLDER_WITH_GANACHE [CHAIN_ID]");
    process.exit(2);
}
const require = createRequire(path.resolve(folder) + "/");
const ganache = require("ganache");
const bytecode = JSON.parse(
    fs.readFileSync(new URL("../vectors/evm/erc20.json", import.meta.url), "utf8"),
).bytecode;

const provider = ganache.provider({
    logging: { quiet: true },
    chain: { chainId: Number(chain), hardfork: "shanghai" },
    // Whom it funds from, in ether.
    wallet: { deterministic: true, totalAccounts: 1, defaultBalance: 1e12 },
    miner: { instamine: "eager" },
});
const ask = (method, ...params) => provider.request({ method, params });
const [bank] = await ask("eth_accounts");

const hex = (decimal) => "0x" + BigInt(decimal).toString(16);
const decimal = (quantity) => BigInt(quantity).toString();
const word = (quantity) => BigInt(quantity).toString(16).padStart(64, "0");

async function receipt(id) {
    const receipt = await ask("eth_getTransactionReceipt", id);
    if (!receipt) throw new Error("a mined transaction was expected");
    return receipt;
}

async function send(transaction) {
    const done = await receipt(await ask("eth_sendTransaction", { from: bank, gas: hex(3_000_000), ...transaction }));
    if (BigInt(done.status) !== 1n) throw new Error("the test network's own transaction failed");
    return done;
}

async function balance(address, token) {
    if (!token) return decimal(await ask("eth_getBalance", address, "latest"));
    // balanceOf(address)
    const data = "0x70a08231" + word(address);
    return decimal(await ask("eth_call", { to: token, data }, "latest"));
}

const commands = {
    chain_id: async () => ({ chain_id: Number(await ask("eth_chainId")) }),
    fund: async ({ fund, wei }) => {
        await send({ to: fund, value: hex(wei) });
        return { balance: await balance(fund) };
    },
    deploy_erc20_to: async ({ deploy_erc20_to: holder, amount }) => {
        const created = await send({ data: "0x" + bytecode + word(holder) + word(amount) });
        return { contract: created.contractAddress };
    },
    balance: async ({ balance: address, token }) => ({ balance: await balance(address, token) }),
    nonce: async ({ nonce: address }) => ({
        nonce: Number(await ask("eth_getTransactionCount", address, "latest")),
    }),
    broadcast: async ({ broadcast }) => {
        const id = await ask("eth_sendRawTransaction", broadcast);
        const { status, from, to, gasUsed, effectiveGasPrice } = await receipt(id);
        return {
            id, status: Number(status), from, to,
            gas_used: Number(gasUsed), fee: decimal(BigInt(gasUsed) * BigInt(effectiveGasPrice)),
        };
    },
    unsigned: async ({ unsigned: { transfer, ...transaction } }) => {
        const { Interface, Transaction } = require("ethers");
        const token = new Interface(["function transfer(address to, uint256 value) returns (bool)"]);
        if (transfer) transaction.data = token.encodeFunctionData("transfer", transfer);
        return { bytes: Transaction.from(transaction).unsignedSerialized };
    },
};

async function answer(line) {
    try {
        const command = JSON.parse(line);
        const names = Object.keys(commands).filter((name) => name in command);
        if (names.length !== 1) throw new Error("one command was expected: " + Object.keys(commands).join(", "));
        return await commands[names[0]](command);
    } catch (error) {
        return { error: String(error.message ?? error) };
    }
}

const say = (value) => process.stdout.write(JSON.stringify(value) + "\n");
say({ ready: true, chain_id: Number(chain) });
for await (const line of readline.createInterface({ input: process.stdin })) {
    if (line.trim()) say(await answer(line));
}
await provider.disconnect();
