// What an exchange's backend does with the client: the task as JSON on stdin, what came of it on stdout. The
// task is that of ../python/sweep.py.

import { readFileSync } from "node:fs";

import { type Address, type Chain, Client, hasFailed, Problem, type ProblemBody } from "./cofferdam.js";
import * as transactions from "./transactions.js";

interface Task {
  url: string;
  deployment: string;
  client: string;
  seed: string;
  destinations: Record<Chain, string>;
  foreign: string;
}

const UNKNOWN = `key_${"a".repeat(52)}`;

/** The unsigned transaction that pays what is at a deposit address to the collection wallet. */
function sweep(address: Address, to: string): string {
  switch (address.chain) {
    case "evm":
      return transactions.evm(to, 100_000_000n);
    case "bitcoin":
      if (address.taproot_address === undefined) throw new Error("a taproot address was expected");
      return transactions.bitcoin(address.taproot_address, to, 50_000n, 1_000n);
    case "solana":
      return transactions.solana(address.address, to, 10_000n);
    case "tron":
      return transactions.tron(address.address, to, 2_000_000n);
  }
}

async function refused(asked: Promise<unknown>): Promise<ProblemBody> {
  try {
    await asked;
  } catch (error) {
    if (error instanceof Problem) return error.body;
    throw error;
  }
  throw new Error("a problem was expected");
}

const task = JSON.parse(readFileSync(0, "utf8")) as Task;
const { url, deployment, client: name } = task;
const client = new Client({ url, deployment, client: name, seed: Buffer.from(task.seed, "hex") });
const chains = Object.keys(task.destinations) as Chain[];
// The node is not governed yet: what is refused for that passes, and is asked again.
const items = await client.addresses(chains.map((chain) => ({ user: "dave", chain, label: null })));
const repeated = client.repeated;
const made = items.map((item) => {
  if (hasFailed(item)) throw new Problem(item.problem);
  return item;
});
const swept: Record<string, object> = {};
for (const address of made) {
  const transaction = sweep(address, task.destinations[address.chain]);
  const signed = await client.sign({ chain: address.chain, keys: [address.key_id], transaction });
  swept[address.chain] = { unsigned: transaction, signed, request: client.requestId };
}
const listed: string[] = [];
for await (const key of client.keys("dave", 3)) listed.push(key.key_id);
// What does not pass is not asked again.
const before = client.repeated;
const evm = made.find((address) => address.chain === "evm");
if (evm === undefined) throw new Error("an EVM address was expected");
const keys = [evm.key_id];
const abroad = { chain: evm.chain, keys, transaction: transactions.evm(task.foreign, 1_000n) };
const foreign = await refused(client.sign(abroad));
const field = await refused(client.addresses([{ user: "dave", chain: "evm" }, { user: "", chain: "evm" }]));
const again = { chain: evm.chain, keys, transaction: sweep(evm, task.destinations.evm) };
const [same, unknown] = await client.signBatch([again, { ...again, keys: [UNKNOWN] }]);
if (same === undefined || hasFailed(same)) throw new Error("the same transaction was expected");
if (unknown === undefined || !hasFailed(unknown)) throw new Error("a problem of the second item was expected");
const first = swept["evm"] as { signed: { transaction: string } };
console.log(
  JSON.stringify({
    repeated,
    made,
    swept,
    listed,
    problems: { foreign, field, unknown: unknown.problem },
    same: same.transaction === first.signed.transaction,
    repeated_in_vain: client.repeated - before,
  }),
);
