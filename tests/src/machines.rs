//! Networks and clients of other people, as programs that speak JSON lines: a command a line in, an
//! answer a line out.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Value, json};

use crate::tools;

/// A running program; it ends when its input does.
pub struct Machine {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Machine {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    fn read(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("an answer was expected, found {line:?}"))
    }

    /// The answer to a command, which may be `{"error": …}`.
    pub fn ask(&mut self, command: &Value) -> Value {
        writeln!(self.input.as_mut().unwrap(), "{command}").unwrap();
        let answer = self.read();
        assert!(answer.get("failed").is_none(), "{command}: {answer}");
        answer
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// An EVM network (`evm-node.mjs`): ganache, and ethers as a client of it.
pub struct EvmNode(Machine);

impl EvmNode {
    pub fn start(chain_id: u64) -> Self {
        let folder = tools::node_tool(&["ganache", "ganache@7.9.2", "ethers@6.17.0"]);
        let mut command = Command::new("node");
        let mut machine =
            Machine::start(command.arg(tools::script("evm-node.mjs")).arg(folder).arg(chain_id.to_string()));
        assert_eq!(machine.read(), json!({ "ready": true, "chain_id": chain_id }));
        Self(machine)
    }

    pub fn ask(&mut self, command: &Value) -> Value {
        self.0.ask(command)
    }

    pub fn fund(&mut self, address: &str, wei: u128) {
        let answer = self.ask(&json!({ "fund": address, "wei": wei.to_string() }));
        assert!(answer["balance"].is_string(), "{answer}");
    }

    /// A token of which `holder` has all: its address, with EIP-55's checksum.
    pub fn deploy(&mut self, holder: &str, amount: u128) -> String {
        let answer = self.ask(&json!({ "deploy_erc20_to": holder, "amount": amount.to_string() }));
        let account = HEXLOWER.decode(word(&answer["contract"]).trim_start_matches("0x").as_bytes());
        chains::evm::EvmAddress::new(account.unwrap().try_into().unwrap()).to_string()
    }

    pub fn balance(&mut self, address: &str) -> u128 {
        word(&self.ask(&json!({ "balance": address }))["balance"]).parse().unwrap()
    }

    pub fn tokens(&mut self, address: &str, token: &str) -> u128 {
        word(&self.ask(&json!({ "balance": address, "token": token }))["balance"]).parse().unwrap()
    }

    /// An unsigned transaction, as ethers writes it.
    pub fn unsigned(&mut self, transaction: &Value) -> Vec<u8> {
        let answer = word(&self.ask(&json!({ "unsigned": transaction }))["bytes"]);
        HEXLOWER.decode(answer.strip_prefix("0x").unwrap().as_bytes()).unwrap()
    }

    /// The receipt, or `{"error": …}`.
    pub fn broadcast(&mut self, transaction: &[u8]) -> Value {
        self.ask(&json!({ "broadcast": format!("0x{}", HEXLOWER.encode(transaction)) }))
    }
}

/// A Solana (`solana_svm.py`): LiteSVM, and solders as a client of it.
pub struct Solana(Machine);

impl Solana {
    pub fn start() -> Self {
        let venv = tools::python_venv(&["solana", "solders==0.29.0", "solana==0.41.0"]);
        let mut command = Command::new(venv.join("bin/python"));
        Self(Machine::start(command.arg("-B").arg(tools::script("solana_svm.py"))))
    }

    pub fn ask(&mut self, command: &Value) -> Value {
        self.0.ask(command)
    }

    pub fn airdrop(&mut self, address: &str, lamports: u64) {
        self.ask(&json!({ "airdrop": { "to": address, "lamports": lamports } }));
    }

    /// A new token's mint.
    pub fn mint(&mut self) -> String {
        word(&self.ask(&json!({ "mint": { "decimals": 6 } }))["address"])
    }

    /// Gives tokens to an owner's associated account, whose address is answered.
    pub fn give(&mut self, owner: &str, mint: &str, amount: u64) -> String {
        let tokens = json!({ "owner": owner, "mint": mint, "amount": amount });
        word(&self.ask(&json!({ "tokens": tokens }))["address"])
    }

    pub fn blockhash(&mut self) -> String {
        word(&self.ask(&json!({ "blockhash": null }))["blockhash"])
    }

    /// An unsigned transaction with a recent blockhash.
    pub fn build(&mut self, version: &str, payer: &str, instructions: &Value) -> Vec<u8> {
        let blockhash = self.blockhash();
        self.build_with(version, payer, &blockhash, instructions)
    }

    pub fn build_with(
        &mut self,
        version: &str,
        payer: &str,
        blockhash: &str,
        instructions: &Value,
    ) -> Vec<u8> {
        let built = json!({
            "version": version, "payer": payer, "blockhash": blockhash, "instructions": instructions,
        });
        decoded(&self.ask(&json!({ "build": built }))["transaction"])
    }

    /// One signature more, of the key with this seed.
    pub fn sign(&mut self, transaction: &[u8], seed: &[u8; 32]) -> Vec<u8> {
        let sign = json!({ "transaction": BASE64.encode(transaction), "seed": HEXLOWER.encode(seed) });
        decoded(&self.ask(&json!({ "sign": sign }))["transaction"])
    }

    /// The error, if the network refuses it.
    pub fn send(&mut self, transaction: &[u8]) -> Option<String> {
        let answer = self.ask(&json!({ "send": BASE64.encode(transaction) }));
        answer["error"].as_str().map(str::to_owned)
    }

    /// From now on another blockhash is the recent one.
    pub fn expire(&mut self) {
        self.ask(&json!({ "expire": null }));
    }

    pub fn account(&mut self, address: &str) -> Value {
        self.ask(&json!({ "accounts": [address] }))[0].clone()
    }

    pub fn lamports(&mut self, address: &str) -> u64 {
        self.account(address)["lamports"].as_u64().unwrap_or_default()
    }

    /// The tokens in a token account.
    pub fn held(&mut self, address: &str) -> u64 {
        self.account(address)["tokens"].as_u64().unwrap_or_default()
    }
}

/// A client of Tron (`tron_client.py`): tronpy.
pub struct Tronpy(Machine);

impl Tronpy {
    pub fn start() -> Self {
        let venv = tools::python_venv(&["tron", "tronpy==0.6.2", "protobuf==7.36.2"]);
        let mut command = Command::new(venv.join("bin/python"));
        Self(Machine::start(command.arg("-B").arg(tools::script("tron_client.py"))))
    }

    pub fn ask(&mut self, command: &Value) -> Value {
        self.0.ask(command)
    }

    /// The unsigned `raw_data`.
    pub fn build(&mut self, transaction: &Value) -> Vec<u8> {
        let answer = self.ask(&json!({ "build": transaction }));
        HEXLOWER.decode(word(&answer["raw"]).as_bytes()).unwrap()
    }

    /// What a signed transaction says, and who signed it.
    pub fn read(&mut self, signed: &[u8]) -> Value {
        self.ask(&json!({ "read": HEXLOWER.encode(signed) }))
    }
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text was expected, found {value}")).to_owned()
}

fn decoded(value: &Value) -> Vec<u8> {
    BASE64.decode(word(value).as_bytes()).unwrap()
}
