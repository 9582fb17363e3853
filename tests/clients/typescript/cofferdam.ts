// A client of Cofferdam's API, from docs/api.md: requests are signed, problems are typed, and what passes is
// tried again.

import { createHash, createPrivateKey, type KeyObject, randomBytes, sign } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";

export type Chain = "evm" | "bitcoin" | "solana" | "tron";

export interface AddressRequest {
  user: string;
  chain: Chain;
  purpose?: "sweep" | "secondary";
  index?: number;
  label?: string | null;
}

export interface Address {
  key_id: string;
  user: string;
  chain: Chain;
  purpose: "sweep" | "secondary";
  index: number;
  label?: string;
  public_key: string;
  address: string;
  taproot_address?: string;
  created_at: string;
  certificate: string;
  attestation: string;
}

export interface SignatureRequest {
  chain: Chain;
  keys: string[];
  transaction: string;
}

export interface Signed {
  chain: Chain;
  transaction: string;
  id: string;
  kind: string;
  network: string;
  public_keys: string[];
}

export interface ProblemBody {
  type: string;
  title: string;
  status: number;
  code: string;
  detail: string;
  retryable: boolean;
  field?: string;
  item?: number;
  expected?: string;
  found?: string;
  order_id?: string;
  request_id?: string;
}

/** A problem of the API: of an answer, or of an item of a batch. */
export class Problem extends Error {
  constructor(
    readonly body: ProblemBody,
    /** What `Retry-After` says, in seconds. */
    readonly retryAfter = 0,
  ) {
    super(`${body.code}: ${body.detail}`);
  }
}

export type Item<T> = T | { problem: ProblemBody };

export function hasFailed<T extends object>(item: Item<T>): item is { problem: ProblemBody } {
  return "problem" in item;
}

export interface Options {
  url: string;
  deployment: string;
  client: string;
  /** Of the client's Ed25519 key: 32 bytes. */
  seed: Buffer;
}

// The head of an Ed25519 key in PKCS #8 (RFC 8410); the seed follows.
const PKCS8 = Buffer.from("302e020100300506032b657004220420", "hex");
const ATTEMPTS = 8;

export class Client {
  /** How often a request was made again. */
  repeated = 0;
  /** By what the log names the last request that was granted. */
  requestId: string | null = null;
  readonly #options: Options;
  readonly #key: KeyObject;

  constructor(options: Options) {
    this.#options = options;
    this.#key = createPrivateKey({ key: Buffer.concat([PKCS8, options.seed]), format: "der", type: "pkcs8" });
  }

  async addresses(wanted: AddressRequest[]): Promise<Item<Address & { created: boolean }>[]> {
    const body = { addresses: wanted };
    const answer = await this.#call<{ addresses: Item<Address & { created: boolean }>[] }>(
      "POST",
      "/v1/addresses/batch",
      body,
    );
    return answer.addresses;
  }

  /** All keys of a user. */
  async *keys(user: string, page = 100): AsyncGenerator<Address> {
    let cursor: string | undefined;
    do {
      const query = new URLSearchParams({ user, limit: String(page) });
      if (cursor !== undefined) query.set("cursor", cursor);
      const path = "/v1/keys";
      const answer = await this.#call<{ keys: Address[]; next_cursor?: string }>(
        "GET",
        path,
        undefined,
        query.toString(),
      );
      yield* answer.keys;
      cursor = answer.next_cursor;
    } while (cursor !== undefined);
  }

  sign(request: SignatureRequest): Promise<Signed> {
    return this.#call("POST", "/v1/signatures", request);
  }

  async signBatch(signatures: SignatureRequest[]): Promise<Item<Signed>[]> {
    const answer = await this.#call<{ signatures: Item<Signed>[] }>("POST", "/v1/signatures/batch", { signatures });
    return answer.signatures;
  }

  async #call<T>(method: string, path: string, body?: object, query?: string): Promise<T> {
    for (let attempt = 1, pause = 200; ; attempt += 1, pause *= 2) {
      try {
        return (await this.#once(method, path, body, query)) as T;
      } catch (error) {
        if (!(error instanceof Problem) || !error.body.retryable || attempt === ATTEMPTS) throw error;
        this.repeated += 1;
        await wait(error.retryAfter > 0 ? error.retryAfter * 1000 : pause);
      }
    }
  }

  async #once(method: string, path: string, body?: object, query?: string): Promise<unknown> {
    const bytes = body === undefined ? "" : JSON.stringify(body);
    const headers = this.#headers(method, path, query, bytes);
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const target = query === undefined ? path : `${path}?${query}`;
    const content = body === undefined ? {} : { body: bytes };
    const answer = await fetch(this.#options.url + target, { method, headers, ...content });
    const json: unknown = await answer.json();
    if (!answer.ok) throw new Problem(json as ProblemBody, Number(answer.headers.get("Retry-After") ?? 0));
    this.requestId = answer.headers.get("Cofferdam-Request");
    return json;
  }

  #headers(method: string, path: string, query: string | undefined, body: string): Record<string, string> {
    const digest = `sha-256=:${createHash("sha256").update(body).digest("base64")}:`;
    const parts: [string, string][] = [
      ["@method", method],
      ["@path", path],
    ];
    if (query !== undefined) parts.push(["@query", `?${query}`]);
    parts.push(["content-digest", digest]);
    const { client, deployment } = this.#options;
    const parameters =
      `(${parts.map(([name]) => `"${name}"`).join(" ")});created=${Math.floor(Date.now() / 1000)}` +
      `;keyid="${client}";alg="ed25519";nonce="${randomBytes(16).toString("hex")}";tag="cofferdam:${deployment}"`;
    const base = [...parts, ["@signature-params", parameters]].map(([name, value]) => `"${name}": ${value}`);
    const signature = sign(null, Buffer.from(base.join("\n")), this.#key).toString("base64");
    return {
      "Content-Digest": digest,
      "Signature-Input": `sig1=${parameters}`,
      Signature: `sig1=:${signature}:`,
    };
  }
}
