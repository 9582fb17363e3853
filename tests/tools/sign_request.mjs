// Signs requests as docs/requests.md says, without any code of this project.
//
// By the npm package http-message-signatures and node's own crypto, which nobody here wrote. One
// request as a JSON object on stdin, or many in an array; the same of headers on stdout. The members
// are those of sign_request.py, and parameters: an array of their names, in their order.
//
//     node sign_request.mjs FOLDER < REQUEST
//
// FOLDER holds the node_modules with the package, as tests/tools/node-tool.sh prints it.

import { createHash, createPrivateKey, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const folder = process.argv[2];
if (!folder) {
  console.error("usage: sign_request.mjs FOLDER < REQUEST");
  process.exit(2);
}
const require = createRequire(join(resolve(folder), "package.json"));
const { createSigner, httpbis } = require("http-message-signatures");

// The head of an Ed25519 key in PKCS #8 (RFC 8410); the seed follows.
const PKCS8 = Buffer.from("302e020100300506032b657004220420", "hex");

function contentDigest(body, digests) {
  const member = (name) => `${name}=:${createHash(name.replace("-", "")).update(body).digest("base64")}:`;
  return digests.map(member).join(", ");
}

async function sign(request) {
  const body = Buffer.from(request.body ?? "", "base64");
  const der = Buffer.concat([PKCS8, Buffer.from(request.seed, "hex")]);
  const key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  // The authority is not covered; the package insists on one.
  const url = request.url.includes("://") ? request.url : `http://enclave.invalid${request.url}`;
  const query = url.includes("?") ? ["@query"] : [];
  const expires = request.expires === undefined ? [] : ["expires"];
  const { headers } = await httpbis.signMessage(
    {
      key: createSigner(key, "ed25519", request.keyid),
      name: request.label ?? "sig1",
      fields: request.components ?? ["@method", "@path", ...query, "content-digest"],
      params: request.parameters ?? ["created", "keyid", "alg", ...expires, "nonce", "tag"],
      paramValues: {
        created: new Date((request.created ?? Math.floor(Date.now() / 1000)) * 1000),
        expires: request.expires === undefined ? undefined : new Date(request.expires * 1000),
        nonce: request.nonce ?? randomBytes(24).toString("base64url"),
        tag: request.tag,
      },
    },
    {
      method: request.method,
      url,
      headers: { "Content-Digest": contentDigest(body, request.digests ?? ["sha-256"]) },
    },
  );
  const { "Signature-Input": input, Signature: signature, "Content-Digest": digest } = headers;
  return { "Signature-Input": input, Signature: signature, "Content-Digest": digest };
}

const given = JSON.parse(readFileSync(0, "utf8"));
const answer = Array.isArray(given) ? await Promise.all(given.map(sign)) : await sign(given);
console.log(JSON.stringify(answer, null, 1));
