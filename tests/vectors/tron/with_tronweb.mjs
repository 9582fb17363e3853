// Writes tronweb.json: what TronWeb's transactionBuilder makes without a network. `sweeps` are to
// be signed; `refused` is everything else that it can make, one of a kind.
//
//   npm install tronweb@6.5.1        (in the directory where this is run)
//   node with_tronweb.mjs > tronweb.json
//
// The keys are SHA-256 of a counter: nobody's money, and the same file every time (RFC 6979).
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';

const { TronWeb, utils } = createRequire(`${process.cwd()}/`)('tronweb');

const USDT = 'TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t';
const hash = (text) => createHash('sha256').update(text).digest('hex');
const address = (secret) => TronWeb.address.fromPrivateKey(secret);
// Nothing is sent there: every transaction is built locally.
const tronWeb = new TronWeb({ fullHost: 'http://127.0.0.1:1' });
const builder = tronWeb.transactionBuilder;

function header(counter) {
  const block = hash(`block ${counter}`);
  const timestamp = 1_770_000_000_000 + counter * 3_599_999;
  return {
    ref_block_bytes: block.slice(12, 16),
    ref_block_hash: block.slice(16, 32),
    timestamp,
    expiration: timestamp + 60_000,
  };
}

const transferOf = (to, value) => [
  { type: 'address', value: to },
  { type: 'uint256', value },
];

const call = (selector, parameters, owner, counter, options = {}) =>
  builder
    .triggerSmartContract(
      USDT,
      selector,
      { txLocal: true, feeLimit: 30_000_000, blockHeader: header(counter), ...options },
      parameters,
      owner,
    )
    .then(({ transaction }) => transaction);

async function sweep(counter) {
  const secret = hash(`cofferdam tronweb owner ${counter}`);
  const owner = address(secret);
  const destination = address(hash(`cofferdam tronweb destination ${counter}`));
  const token = counter % 2 === 1;
  const amount = token ? (7n ** BigInt(5 * counter)) % 2n ** 128n : 10n ** BigInt(counter);
  const unsigned = token
    ? await call('transfer(address,uint256)', transferOf(destination, amount.toString()), owner, counter)
    : await builder.sendTrx(destination, Number(amount), owner, { blockHeader: header(counter) });
  if (!utils.transaction.txCheck(unsigned)) throw new Error('TronWeb reads another transaction than it made');
  const pb = utils.transaction.txJsonToPb(unsigned);
  const signed = await tronWeb.trx.sign(unsigned, secret);
  const signature = signed.signature[0];
  // TronWeb recovers the owner with 0 and 1 for the last byte as well.
  const plain = signature.slice(0, 128) + (parseInt(signature.slice(128), 16) - 27).toString(16).padStart(2, '0');
  for (const spelling of [signature, plain]) {
    const recovered = utils.crypto.ecRecover(signed.txID, spelling);
    if (TronWeb.address.fromHex(recovered) !== owner) throw new Error('another owner was recovered');
  }
  pb.addSignature(Uint8Array.from(Buffer.from(plain, 'hex')));
  return {
    kind: token ? 'tron.trc20' : 'tron.trx',
    secret,
    owner,
    destination,
    contract: token ? USDT : null,
    amount: amount.toString(),
    fee_limit: token ? 30_000_000 : 0,
    expiration: unsigned.raw_data.expiration,
    timestamp: unsigned.raw_data.timestamp,
    raw: unsigned.raw_data_hex,
    txid: unsigned.txID,
    signature,
    signed: Buffer.from(pb.serializeBinary()).toString('hex'),
  };
}

async function refused() {
  const owner = address(hash('cofferdam tronweb refused'));
  const other = address(hash('cofferdam tronweb other'));
  const options = { blockHeader: header(99) };
  const key = (account) => ({ address: TronWeb.address.toHex(account), weight: 1 });
  const permission = (type, id, name) => ({
    type,
    ...(id === undefined ? {} : { id }),
    permission_name: name,
    threshold: 1,
    ...(type === 2 ? { operations: `7fff1fc0033e${'00'.repeat(26)}` } : {}),
    keys: [key(other)],
  });
  const ownerPermission = permission(0, 0, 'owner');
  const activePermission = permission(2, 2, 'active0');
  const transfer = transferOf(other, '5');
  const made = {
    sendToken: () => builder.sendToken(other, 5, '1000001', owner, options),
    purchaseToken: () => builder.purchaseToken(other, '1000001', 5, owner, options),
    freezeBalance: () => builder.freezeBalance(1_000_000, 3, 'ENERGY', owner, other, options),
    unfreezeBalance: () => builder.unfreezeBalance('ENERGY', owner, other, options),
    freezeBalanceV2: () => builder.freezeBalanceV2(1_000_000, 'ENERGY', owner, options),
    unfreezeBalanceV2: () => builder.unfreezeBalanceV2(1_000_000, 'ENERGY', owner, options),
    cancelUnfreezeBalanceV2: () => builder.cancelUnfreezeBalanceV2(owner, options),
    delegateResource: () => builder.delegateResource(1_000_000, other, 'ENERGY', owner, true, 100, options),
    undelegateResource: () => builder.undelegateResource(1_000_000, other, 'ENERGY', owner, options),
    withdrawExpireUnfreeze: () => builder.withdrawExpireUnfreeze(owner, options),
    withdrawBlockRewards: () => builder.withdrawBlockRewards(owner, options),
    applyForSR: () => builder.applyForSR(owner, 'https://example.com', options),
    updateWitness: () => builder.updateWitness(owner, 'https://example.com', options),
    vote: () => builder.vote({ [other]: 5 }, owner, options),
    createSmartContract: () =>
      builder.createSmartContract(
        { abi: [], bytecode: '6000', feeLimit: 1_000_000, parameters: [], name: 'C', ...options },
        owner,
      ),
    clearABI: () => builder.clearABI(USDT, owner, options),
    updateBrokerage: () => builder.updateBrokerage(20, owner, options),
    createAccount: () => builder.createAccount(other, owner, options),
    updateAccount: () => builder.updateAccount('name', owner, options),
    setAccountId: () => builder.setAccountId('6162636465666768', owner, options),
    createProposal: () => builder.createProposal({ key: 0, value: 1_000_000 }, owner, options),
    deleteProposal: () => builder.deleteProposal(1, owner, options),
    voteProposal: () => builder.voteProposal(1, true, owner, options),
    createTRXExchange: () => builder.createTRXExchange('1000001', 5, 5, owner, options),
    injectExchangeTokens: () => builder.injectExchangeTokens(1, '1000001', 5, owner, options),
    withdrawExchangeTokens: () => builder.withdrawExchangeTokens(1, '1000001', 5, owner, options),
    tradeExchangeTokens: () => builder.tradeExchangeTokens(1, '1000001', 5, 5, owner, options),
    updateSetting: () => builder.updateSetting(USDT, 10, owner, options),
    updateEnergyLimit: () => builder.updateEnergyLimit(USDT, 10_000_000, owner, options),
    updateAccountPermissions: () =>
      builder.updateAccountPermissions(owner, ownerPermission, undefined, [activePermission], options),
    approve: () => call('approve(address,uint256)', transfer, owner, 99),
    transferFrom: () =>
      call('transferFrom(address,address,uint256)', [{ type: 'address', value: owner }, ...transfer], owner, 99),
    withCallValue: () => call('transfer(address,uint256)', transfer, owner, 99, { callValue: 1 }),
    withTokenValue: () =>
      call('transfer(address,uint256)', transfer, owner, 99, { tokenValue: 5, tokenId: 1_000_001 }),
    tokenAmountFrom2To128: () =>
      call('transfer(address,uint256)', transferOf(other, (2n ** 128n).toString()), owner, 99),
    trxByPermission: () => builder.sendTrx(other, 5, owner, { permissionId: 2, ...options }),
    tokenByPermission: () => call('transfer(address,uint256)', transfer, owner, 99, { permissionId: 3 }),
    memo: async () => {
      const plain = await builder.sendTrx(other, 5, owner, options);
      return builder.addUpdateData(plain, 'a memo', 'utf8', { txLocal: true });
    },
    prefixedRecipient: () =>
      call('transfer(address,uint256)', [], owner, 99, {
        rawParameter: TronWeb.address.toHex(other).padStart(64, '0') + '5'.padStart(64, '0'),
      }),
  };
  const cases = [];
  for (const [name, make] of Object.entries(made)) {
    const { raw_data: data, raw_data_hex: raw } = await make();
    cases.push({ name, contract: data.contract[0].type, owner, raw });
  }
  return cases;
}

const lines = (cases) => `[\n${cases.map((one) => JSON.stringify(one)).join(',\n')}\n]`;
const sweeps = await Promise.all(Array.from({ length: 16 }, (_, counter) => sweep(counter)));
console.log(`{"sweeps": ${lines(sweeps)},\n"refused": ${lines(await refused())}}`);
