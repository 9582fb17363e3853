//! What a Tron transaction can be, by number (`Transaction.Contract.ContractType` in
//! tronprotocol/java-tron, protocol/src/main/protos/core/Tron.proto). All but two are refused; the
//! names are there so that a refusal says what was asked for.

/// `TransferContract`: TRX.
pub(super) const TRANSFER: u64 = 1;
/// `TriggerSmartContract`: a call.
pub(super) const TRIGGER: u64 = 31;

/// The name of a contract type; that of a message as well, in most cases.
pub(super) const fn name(number: u64) -> Option<&'static str> {
    Some(match number {
        0 => "AccountCreateContract",
        TRANSFER => "TransferContract",
        2 => "TransferAssetContract",
        3 => "VoteAssetContract",
        4 => "VoteWitnessContract",
        5 => "WitnessCreateContract",
        6 => "AssetIssueContract",
        8 => "WitnessUpdateContract",
        9 => "ParticipateAssetIssueContract",
        10 => "AccountUpdateContract",
        11 => "FreezeBalanceContract",
        12 => "UnfreezeBalanceContract",
        13 => "WithdrawBalanceContract",
        14 => "UnfreezeAssetContract",
        15 => "UpdateAssetContract",
        16 => "ProposalCreateContract",
        17 => "ProposalApproveContract",
        18 => "ProposalDeleteContract",
        19 => "SetAccountIdContract",
        20 => "CustomContract",
        30 => "CreateSmartContract",
        TRIGGER => "TriggerSmartContract",
        32 => "GetContract",
        33 => "UpdateSettingContract",
        41 => "ExchangeCreateContract",
        42 => "ExchangeInjectContract",
        43 => "ExchangeWithdrawContract",
        44 => "ExchangeTransactionContract",
        45 => "UpdateEnergyLimitContract",
        46 => "AccountPermissionUpdateContract",
        48 => "ClearABIContract",
        49 => "UpdateBrokerageContract",
        51 => "ShieldedTransferContract",
        52 => "MarketSellAssetContract",
        53 => "MarketCancelOrderContract",
        54 => "FreezeBalanceV2Contract",
        55 => "UnfreezeBalanceV2Contract",
        56 => "WithdrawExpireUnfreezeContract",
        57 => "DelegateResourceContract",
        58 => "UnDelegateResourceContract",
        59 => "CancelAllUnfreezeV2Contract",
        _ => return None,
    })
}
