//! The names of the instructions that programs know, so that a refusal says what was asked for.

const UNKNOWN: &str = "an unknown instruction";

/// Instructions of the System program.
pub(super) const fn system(number: u32) -> &'static str {
    match number {
        0 => "CreateAccount",
        1 => "Assign",
        2 => "Transfer",
        3 => "CreateAccountWithSeed",
        4 => "AdvanceNonceAccount",
        5 => "WithdrawNonceAccount",
        6 => "InitializeNonceAccount",
        7 => "AuthorizeNonceAccount",
        8 => "Allocate",
        9 => "AllocateWithSeed",
        10 => "AssignWithSeed",
        11 => "TransferWithSeed",
        12 => "UpgradeNonceAccount",
        13 => "CreateAccountAllowPrefund",
        _ => UNKNOWN,
    }
}

/// Instructions of the ComputeBudget program.
pub(super) const fn compute_budget(number: Option<u8>) -> &'static str {
    match number {
        Some(0) => "RequestUnits",
        Some(1) => "RequestHeapFrame",
        Some(2) => "SetComputeUnitLimit",
        Some(3) => "SetComputeUnitPrice",
        Some(4) => "SetLoadedAccountsDataSizeLimit",
        _ => UNKNOWN,
    }
}

/// Instructions of the Associated Token Account program. Without data it is the first.
pub(super) const fn associated_token(number: Option<u8>) -> &'static str {
    match number {
        None | Some(0) => "Create",
        Some(1) => "CreateIdempotent",
        Some(2) => "RecoverNested",
        _ => UNKNOWN,
    }
}

/// Instructions of the classic Token program, p-token's included.
pub(super) const fn token(number: Option<u8>) -> &'static str {
    match number {
        Some(0) => "InitializeMint",
        Some(1) => "InitializeAccount",
        Some(2) => "InitializeMultisig",
        Some(3) => "Transfer",
        Some(4) => "Approve",
        Some(5) => "Revoke",
        Some(6) => "SetAuthority",
        Some(7) => "MintTo",
        Some(8) => "Burn",
        Some(9) => "CloseAccount",
        Some(10) => "FreezeAccount",
        Some(11) => "ThawAccount",
        Some(12) => "TransferChecked",
        Some(13) => "ApproveChecked",
        Some(14) => "MintToChecked",
        Some(15) => "BurnChecked",
        Some(16) => "InitializeAccount2",
        Some(17) => "SyncNative",
        Some(18) => "InitializeAccount3",
        Some(19) => "InitializeMultisig2",
        Some(20) => "InitializeMint2",
        Some(21) => "GetAccountDataSize",
        Some(22) => "InitializeImmutableOwner",
        Some(23) => "AmountToUiAmount",
        Some(24) => "UiAmountToAmount",
        Some(38) => "WithdrawExcessLamports",
        Some(45) => "UnwrapLamports",
        Some(255) => "Batch",
        _ => UNKNOWN,
    }
}
