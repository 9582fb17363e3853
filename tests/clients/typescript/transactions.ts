// Plain sweeps, written by hand as docs/api.md says: the text of `transaction`.

import { createHash } from "node:crypto";

const BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

const sha256 = (text: string) => createHash("sha256").update(text).digest();
const bytes = (...values: number[]) => Buffer.from(values);

function bigEndian(number: bigint): Buffer {
  if (number === 0n) return bytes();
  const hex = number.toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, "hex");
}

function littleEndian(number: bigint, length: 4 | 8): Buffer {
  const out = Buffer.alloc(8);
  out.writeBigUInt64LE(number);
  return out.subarray(0, length);
}

export function base58(text: string): Buffer {
  let number = 0n;
  for (const character of text) number = number * 58n + BigInt(BASE58.indexOf(character));
  const zeroes = text.length - text.replace(/^1+/, "").length;
  return Buffer.concat([Buffer.alloc(zeroes), bigEndian(number)]);
}

/** The script of a segwit address: version, length, program. Its checksum was the enclave's to write. */
function script(address: string): Buffer {
  const words = [...address.slice(address.lastIndexOf("1") + 1, -6)].map((character) => BECH32.indexOf(character));
  const [version = 0, ...rest] = words;
  const bits = rest.reduce((bits, word) => (bits << 5n) | BigInt(word), 0n);
  const length = Math.floor((rest.length * 5) / 8);
  const program = (bits >> BigInt(rest.length * 5 - length * 8)).toString(16).padStart(length * 2, "0");
  return Buffer.concat([bytes(version === 0 ? 0 : 0x50 + version, length), Buffer.from(program, "hex")]);
}

type Rlp = bigint | Buffer | Rlp[];

function rlp(item: Rlp): Buffer {
  if (typeof item === "bigint") return rlp(bigEndian(item));
  if (Buffer.isBuffer(item) && item.length === 1 && (item[0] ?? 0) < 0x80) return item;
  const content = Buffer.isBuffer(item) ? item : Buffer.concat(item.map(rlp));
  const kind = Buffer.isBuffer(item) ? 0x80 : 0xc0;
  if (content.length < 56) return Buffer.concat([bytes(kind + content.length), content]);
  const length = bigEndian(BigInt(content.length));
  return Buffer.concat([bytes(kind + 55 + length.length), length, content]);
}

export function evm(to: string, value: bigint, nonce = 0n): string {
  const account = Buffer.from(to.slice(2), "hex");
  const list = rlp([1n, nonce, 1n, 1000n, 21_000n, account, value, bytes(), []]);
  return `0x02${list.toString("hex")}`;
}

const sized = (value: Buffer) => Buffer.concat([bytes(value.length), value]);
const pair = (key: number, value: Buffer) => Buffer.concat([sized(bytes(key)), sized(value)]);

/** A PSBT that spends one output of a P2TR address. */
export function bitcoin(taprootAddress: string, to: string, amount: bigint, fee: bigint): string {
  const unsigned = Buffer.concat([
    littleEndian(2n, 4),
    bytes(1),
    sha256("a deposit"),
    littleEndian(0n, 4),
    bytes(0),
    Buffer.from("fdffffff", "hex"),
    bytes(1),
    littleEndian(amount - fee, 8),
    sized(script(to)),
    littleEndian(0n, 4),
  ]);
  const spent = Buffer.concat([littleEndian(amount, 8), sized(script(taprootAddress))]);
  const magic = Buffer.from("70736274ff", "hex");
  return Buffer.concat([magic, pair(0, unsigned), bytes(0), pair(1, spent), bytes(0), bytes(0)]).toString("base64");
}

export function solana(sender: string, to: string, lamports: bigint): string {
  const accounts = Buffer.concat([base58(sender), base58(to), Buffer.alloc(32)]);
  const transfer = Buffer.concat([bytes(2, 2, 0, 1, 12, 2, 0, 0, 0), littleEndian(lamports, 8)]);
  const message = Buffer.concat([bytes(1, 0, 1, 3), accounts, sha256("a block"), bytes(1), transfer]);
  return Buffer.concat([bytes(1), Buffer.alloc(64), message]).toString("base64");
}

function varint(number: bigint): Buffer {
  const out: number[] = [];
  for (; number > 0x7fn; number >>= 7n) out.push(Number(number & 0x7fn) | 0x80);
  return bytes(...out, Number(number));
}

const number = (field: number, value: bigint) => Buffer.concat([varint(BigInt(field << 3)), varint(value)]);
const field = (field: number, value: Buffer) =>
  Buffer.concat([varint(BigInt((field << 3) | 2)), varint(BigInt(value.length)), value]);

export function tron(owner: string, to: string, sun: bigint): string {
  const now = BigInt(Date.now());
  const account = (text: string) => base58(text).subarray(0, 21);
  const transfer = Buffer.concat([field(1, account(owner)), field(2, account(to)), number(3, sun)]);
  const type = Buffer.from("type.googleapis.com/protocol.TransferContract");
  const contract = Buffer.concat([number(1, 1n), field(2, Buffer.concat([field(1, type), field(2, transfer)]))]);
  const reference = Buffer.concat([field(1, bytes(0x12, 0x34)), field(4, bytes(0, 1, 2, 3, 4, 5, 6, 7))]);
  const raw = [reference, number(8, now + 600_000n), field(11, contract), number(14, now)];
  return Buffer.concat(raw).toString("hex");
}
