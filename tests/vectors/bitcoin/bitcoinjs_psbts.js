// Writes psbt-bitcoinjs.json: PSBTs (version 0, all that bitcoinjs-lib makes) and the transactions
// that come of them when bitcoinjs-lib signs.
//
//     npm install bitcoinjs-lib@7.0.5 ecpair@3.0.2 tiny-secp256k1@2.2.4
//     node bitcoinjs_psbts.js > psbt-bitcoinjs.json
//
// The keys are SHA-256 of a counter, the coins are made up: nobody's money, the same file every time.
"use strict";

const { createHash } = require("node:crypto");
const bitcoin = require("bitcoinjs-lib");
const ecc = require("tiny-secp256k1");
const { ECPairFactory } = require("ecpair");

bitcoin.initEccLib(ecc);
const ECPair = ECPairFactory(ecc);
const sha256 = (text) => createHash("sha256").update(text).digest();
const hex = (bytes) => Buffer.from(bytes).toString("hex");
const key = (counter) => ECPair.fromPrivateKey(sha256(`cofferdam bitcoin key ${counter}`));
const xOnly = (pair) => pair.publicKey.subarray(1, 33);

function payment(pair, kind) {
  return kind === "p2wpkh"
    ? bitcoin.payments.p2wpkh({ pubkey: pair.publicKey })
    : bitcoin.payments.p2tr({ internalPubkey: xOnly(pair) });
}

function deposit(counter, kind, amount) {
  const tx = new bitcoin.Transaction();
  tx.version = 2;
  tx.addInput(sha256(`coin ${counter} ${amount}`), counter);
  tx.addOutput(payment(key(counter), kind).output, BigInt(amount));
  // As a node hands it out: with the witness, which is no part of the txid.
  tx.setWitness(0, [Buffer.alloc(64, 7)]);
  return tx;
}

// Where one input is p2wpkh, every input has its previous transaction; what is to be refused leaves it
// out on those that are p2tr.
function sweep(name, kinds, { sequence, locktime, sighash, refused } = {}) {
  const psbt = new bitcoin.Psbt();
  const proven = refused === undefined && kinds.some(([, kind]) => kind === "p2wpkh");
  if (locktime !== undefined) psbt.setLocktime(locktime);
  for (const [counter, kind, amount] of kinds) {
    const previous = deposit(counter, kind, amount);
    const pair = key(counter);
    const input = { hash: previous.getId(), index: 0, sequence };
    const witnessUtxo = { script: payment(pair, kind).output, value: BigInt(amount) };
    if (kind === "p2wpkh") {
      Object.assign(input, { nonWitnessUtxo: previous.toBuffer(), witnessUtxo });
      input.bip32Derivation = [{ masterFingerprint: Buffer.alloc(4, 9), path: "m/1'/2", pubkey: pair.publicKey }];
    } else {
      Object.assign(input, { witnessUtxo, tapInternalKey: xOnly(pair) });
      if (proven) input.nonWitnessUtxo = previous.toBuffer();
    }
    if (sighash !== undefined) input.sighashType = sighash;
    psbt.addInput(input);
  }
  const fee = 150 * kinds.length;
  const total = kinds.reduce((sum, [, , amount]) => sum + amount, 0);
  const address = bitcoin.payments.p2wpkh({ pubkey: key(2000).publicKey }).address;
  psbt.addOutput({ address, value: BigInt(total - fee) });
  const unsigned = psbt.toHex();

  kinds.forEach(([counter, kind], index) => {
    const pair = key(counter);
    const allowed = sighash === undefined ? undefined : [sighash];
    if (kind === "p2wpkh") return psbt.signInput(index, pair, allowed);
    psbt.signInput(index, pair.tweak(bitcoin.crypto.taggedHash("TapTweak", xOnly(pair))), allowed);
  });
  const signatures = psbt.data.inputs.map((input) => hex(input.tapKeySig ?? input.partialSig[0].signature));
  psbt.finalizeAllInputs();
  const tx = psbt.extractTransaction(true);
  const counters = [...new Set(kinds.map(([counter]) => counter))].sort((a, b) => a - b);
  return {
    name,
    psbt: unsigned,
    secrets: counters.map((counter) => hex(key(counter).privateKey)),
    keys: counters.map((counter) => hex(key(counter).publicKey)),
    inputs: kinds.map(([counter, kind, amount]) => [counters.indexOf(counter), kind, amount]),
    outputs: [[address, total - fee]],
    fee,
    signatures,
    txid: tx.getId(),
    transaction: tx.toHex(),
    vsize: tx.virtualSize(),
    refused,
  };
}

const mixed = [
  [1, "p2wpkh", 50000],
  [2, "p2tr", 70000],
  [1, "p2tr", 90001],
  [3, "p2wpkh", 1234567],
];
const cases = [
  sweep("one p2wpkh", [[1, "p2wpkh", 100000]]),
  sweep("one p2tr", [[1, "p2tr", 100000]], { sequence: 0xfffffffd }),
  sweep("mixed", mixed, { sequence: 0xfffffffe, locktime: 880000 }),
  sweep("mixed, no previous transactions of p2tr", mixed, { refused: "transaction.bitcoin.utxo" }),
  sweep("all p2tr", mixed.map(([counter, , amount]) => [counter, "p2tr", amount])),
  sweep("mixed, SIGHASH_ALL", mixed, { sighash: bitcoin.Transaction.SIGHASH_ALL }),
];
process.stdout.write(JSON.stringify(cases, null, 1) + "\n");
