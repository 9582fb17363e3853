//! Who decides and who asks in tests: an operator, clients with their roles, a policy that allows
//! sweeps on every chain, and requests as clients sign them.

use std::time::{SystemTime, UNIX_EPOCH};

use chains::{BitcoinNetwork, Chain, Curve, PublicKey};
use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;
use protocol::{
    dsse::{self, Envelope},
    operators::Ed25519Key,
    order::{Order, Restriction},
    request::{SignedHeaders, SignedRequest, Signer},
    timestamp::Timestamp,
};
use rand::{TryRng, rngs::SysRng};
use serde_bytes::ByteBuf;
use serde_json::{Value, json};

/// The operator of every test's configuration: the key of RFC 8032, test 1.
pub fn operator() -> SigningKey {
    let seed = HEXLOWER.decode(b"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    SigningKey::from_bytes(&seed.unwrap().try_into().unwrap())
}

/// A client of the policy: its id, and the byte that its key is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    pub id: &'static str,
    pub seed: u8,
    pub roles: &'static [&'static str],
}

/// Makes addresses, reads keys, signs.
pub const BACKEND: Client = Client {
    id: "backend",
    seed: 11,
    roles: &["address.create", "keys.read", "sign.secondary", "sign.sweep"],
};
/// Reads policy, orders and log.
pub const AUDITOR: Client = Client { id: "auditor", seed: 12, roles: &["audit.read"] };
/// Submits orders.
pub const DESK: Client = Client { id: "desk", seed: 13, roles: &["order.submit"] };

/// Has keys re-sealed.
pub const KEEPER: Client = Client { id: "keeper", seed: 14, roles: &["keys.rewrap"] };

impl Client {
    pub fn key(&self) -> SigningKey {
        SigningKey::from_bytes(&[self.seed; 32])
    }

    /// The headers of a request to a deployment, signed now.
    pub fn headers(
        &self,
        deployment: &str,
        method: &str,
        path: &str,
        query: Option<&str>,
        body: &[u8],
    ) -> SignedHeaders {
        self.headers_at(deployment, method, path, query, body, now())
    }

    /// The same, signed at another time (seconds since 1970).
    pub fn headers_at(
        &self,
        deployment: &str,
        method: &str,
        path: &str,
        query: Option<&str>,
        body: &[u8],
        created: u64,
    ) -> SignedHeaders {
        let signer = Signer::new(self.key(), self.id, format!("cofferdam:{deployment}")).unwrap();
        signer.sign(method, path, query, body, created, &nonce()).unwrap()
    }

    /// A request as the parent forwards it; the path may have a query behind it.
    pub fn request(&self, deployment: &str, method: &str, path: &str, body: &[u8]) -> SignedRequest {
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let headers = self.headers(deployment, method, path, query, body);
        SignedRequest { query: query.map(str::to_owned), ..forwarded(method, path, headers, body) }
    }

    /// The private key as `cofferdam` reads it from a file: PKCS#8 in PEM.
    pub fn key_file(&self) -> String {
        let prefix = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
        let text = data_encoding::BASE64.encode(&[&prefix[..], &[self.seed; 32]].concat());
        format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
    }

    /// As the policy names it.
    pub fn in_policy(&self) -> Value {
        let key = Ed25519Key::from(self.key().verifying_key()).to_string();
        json!({ "id": self.id, "key": key, "roles": self.roles })
    }
}

/// What the parent forwards.
pub fn forwarded(method: &str, path: &str, headers: SignedHeaders, body: &[u8]) -> SignedRequest {
    SignedRequest {
        method: method.into(),
        path: path.into(),
        query: None,
        signature_input: headers.signature_input,
        signature: headers.signature,
        content_digest: headers.content_digest,
        body: ByteBuf::from(body),
    }
}

/// 32 random characters.
pub fn nonce() -> String {
    let mut bytes = [0; 16];
    SysRng.try_fill_bytes(&mut bytes).unwrap();
    HEXLOWER.encode(&bytes)
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The collection wallet of a chain: the address of a key that nobody in the tests signs with.
pub fn collection(chain: Chain) -> String {
    let key = match chain.curve() {
        Curve::Secp256k1 => {
            PublicKey::Secp256k1(k256::SecretKey::from_slice(&[77; 32]).unwrap().public_key())
        }
        Curve::Ed25519 => PublicKey::Ed25519(SigningKey::from_bytes(&[77; 32]).verifying_key().to_bytes()),
    };
    chains::addresses(chain, &key, BitcoinNetwork::Mainnet).unwrap().address
}

/// An ERC-20 token, a TRC-20 token and an SPL mint that the policy lists.
pub const ERC20: &str = "0xdAC17F958D2ee523a2206206994597C13D831ec7";
pub const TRC20: &str = "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t";
pub const SPL: &str = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";

/// A policy for a deployment that is valid now: generous on every chain, to one destination each.
pub fn policy(deployment: &str, version: u64) -> Value {
    let moment = |seconds| Timestamp::from_seconds(seconds).unwrap().to_string();
    let velocity =
        json!({ "per_key_per_day": "1000000000000000000000", "per_day": "100000000000000000000000" });
    // The least that can be moved, and a fee as large as that: tests move little.
    let native = json!({
        "min_amount": "1", "max_fee_permille": 1000,
        "per_key_per_day": velocity["per_key_per_day"], "per_day": velocity["per_day"],
    });
    let fee = |transaction: &str, day: &str| json!({ "per_transaction": transaction, "per_day": day });
    let chains = |name: &str, purpose: &str| {
        json!({
            "name": name, "purpose": purpose,
            "evm": { "networks": [{
                "chain_id": 1, "destinations": [collection(Chain::Evm)], "native": native,
                "tokens": [{ "contract": ERC20, "symbol": "USDT", "min_amount": "1", "velocity": velocity }],
                "fee": fee("100000000000000000", "10000000000000000000000"), "confirmations": 12,
                "max_fee_per_gas": "1000000000000", "max_priority_fee_per_gas": "1000000000000",
                "max_nonce": (1_u64 << 53) - 1,
            }]},
            "bitcoin": {
                "destinations": [collection(Chain::Bitcoin)], "velocity": velocity,
                "min_amount": "1", "max_fee_permille": 1000,
                "fee": fee("1000000", "100000000"), "fee_rate": "500", "confirmations": 3,
            },
            "solana": {
                "destinations": [collection(Chain::Solana)], "native": native, "close_accounts": true,
                "tokens": [{
                    "mint": SPL, "symbol": "USDC", "decimals": 6, "min_amount": "1", "velocity": velocity,
                }],
                "fee_payers": ["self"], "nonce_authorities": [], "fee": fee("10000000", "10000000000"),
                "max_unit_price": "1000000", "max_unit_limit": 1_400_000, "confirmations": 32,
            },
            "tron": {
                "destinations": [collection(Chain::Tron)], "native": native,
                "tokens": [{ "contract": TRC20, "symbol": "USDT", "min_amount": "1", "velocity": velocity }],
                "fee": fee("200000000", "2000000000000"), "max_expiration_seconds": 3600,
                "confirmations": 19,
            },
        })
    };
    let mut api = chains("desk wallets", "secondary");
    api["users"] = json!(["desk"]);
    json!({
        "v": 1, "deployment": deployment, "version": version,
        "not_before": moment(now() - 3600), "not_after": moment(now() + 86_400),
        "clients": [BACKEND.in_policy(), AUDITOR.in_policy(), DESK.in_policy(), KEEPER.in_policy()],
        "rules": [chains("deposits", "sweep"), api],
        "crediting": { "evm": "active", "bitcoin": "active", "solana": "active", "tron": "active" },
        "frozen": {}, "lifted_orders": [],
    })
}

/// A payload in an envelope that these keys sign.
pub fn envelope(payload_type: &'static str, payload: &[u8], signers: &[SigningKey]) -> Vec<u8> {
    let mut envelope = Envelope::new(payload_type, payload);
    for signer in signers {
        envelope.sign(signer).unwrap();
    }
    envelope.to_json().into_bytes()
}

/// A policy that the operator signs.
pub fn signed_policy(policy: &Value) -> Vec<u8> {
    envelope(dsse::POLICY_TYPE, policy.to_string().as_bytes(), &[operator()])
}

/// An order that the operator signs.
pub fn signed_order(deployment: &str, restriction: &Restriction) -> Vec<u8> {
    let issued_at = Timestamp::from_seconds(now()).unwrap();
    let payload =
        Order::payload(&deployment.parse().unwrap(), restriction, &"a drill".parse().unwrap(), issued_at);
    envelope(dsse::ORDER_TYPE, &payload, &[operator()])
}
