//! What a TRC-20 token is called with: `transfer(address,uint256)` in Solidity's ABI and nothing
//! else (TIP-20, the same interface as ERC-20; Solidity's "Contract ABI Specification").
//!
//! The ABI has 12 zero bytes before an address. Some Tron tools put the 21-byte address there, 11
//! zero bytes and 0x41: old token contracts ignore that byte and newer ones revert. It is refused:
//! one transfer shall have one spelling, and whom it pays shall not depend on the contract.

use sha3::{Digest, Keccak256};

use super::TronAddress;
use crate::{Amount, Refused};

/// The tag of every other call.
pub(super) const TAG: &str = "transaction.tron.call";

const ALLOWED: &str = "transfer(address,uint256) with 12 zero bytes before the recipient";
const SELECTOR: [u8; 4] = [0xa9, 0x05, 0x9c, 0xbb];

/// Calls that a refusal names: those by which tokens leave, or may leave later.
const NAMED: [&str; 16] = [
    "approve(address,uint256)",
    "transferFrom(address,address,uint256)",
    "increaseAllowance(address,uint256)",
    "decreaseAllowance(address,uint256)",
    "increaseApproval(address,uint256)",
    "decreaseApproval(address,uint256)",
    "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)",
    "setApprovalForAll(address,bool)",
    "safeTransferFrom(address,address,uint256)",
    "transferAndCall(address,uint256,bytes)",
    "transferOwnership(address)",
    "mint(address,uint256)",
    "burn(uint256)",
    "deposit()",
    "withdraw(uint256)",
    "multicall(bytes[])",
];

/// Whom a token transfer pays, and how much in the token's base unit.
///
/// # Errors
/// `transaction.tron.call`, with the name of the call where it is a well-known one;
/// `transaction.tron.amount` for 0, and from 2^128.
pub(super) fn transfer(data: &[u8]) -> Result<(TronAddress, Amount), Refused> {
    let refused = |found: String| Refused::new(TAG, ALLOWED, found);
    let Some((selector, arguments)) = data.split_first_chunk() else {
        return Err(refused(format!("{} bytes of call data", data.len())));
    };
    if *selector != SELECTOR {
        return Err(refused(name(selector)));
    }
    let Some((recipient, amount)) = arguments.split_first_chunk::<32>() else {
        return Err(refused(format!("{} bytes of call data", data.len())));
    };
    let amount: &[u8; 32] =
        amount.try_into().map_err(|_| refused(format!("{} bytes of call data", data.len())))?;
    let Some(([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], account)) = recipient.split_first_chunk::<12>() else {
        return Err(refused(format!("the recipient {}", data_encoding::HEXLOWER.encode(recipient))));
    };
    let account = account.try_into().map_err(|_| refused("another length of a recipient".into()))?;
    let amount = Amount::from_word(amount).filter(|amount| *amount != Amount::ZERO).ok_or_else(|| {
        let found = format!("0x{}", data_encoding::HEXLOWER.encode(amount));
        Refused::new("transaction.tron.amount", "an amount from 1 to below 2^128", found)
    })?;
    Ok((TronAddress::from_account(account), amount))
}

fn name(selector: &[u8; 4]) -> String {
    let known = NAMED.into_iter().find(|call| Keccak256::digest(call).starts_with(selector));
    known.map_or_else(|| format!("the call 0x{}", data_encoding::HEXLOWER.encode(selector)), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(padding: [u8; 12], amount: [u8; 32]) -> Vec<u8> {
        [&SELECTOR[..], &padding, &[0x11; 20], &amount].concat()
    }

    fn word(number: u128) -> [u8; 32] {
        let mut word = [0; 32];
        word[16..].copy_from_slice(&number.to_be_bytes());
        word
    }

    #[test]
    fn the_selector_is_that_of_transfer() {
        assert!(Keccak256::digest("transfer(address,uint256)").starts_with(&SELECTOR));
    }

    #[test]
    fn a_transfer_has_one_spelling() {
        let expected = TronAddress::from_account([0x11; 20]);
        let data = call([0; 12], word(7));
        assert_eq!(transfer(&data).unwrap(), (expected, Amount::new(7)));
        assert_eq!(transfer(&call([0; 12], word(u128::MAX))).unwrap().1, Amount::new(u128::MAX));
        for length in 0..data.len() {
            assert_eq!(transfer(&data[..length]).unwrap_err().tag, TAG);
        }
        assert_eq!(transfer(&[&data[..], &[0]].concat()).unwrap_err().tag, TAG);
        for position in 0..12 {
            let mut padding = [0; 12];
            padding[position] = 0x41;
            let refused = transfer(&call(padding, word(7))).unwrap_err();
            assert_eq!(refused.tag, TAG, "0x41 before the recipient too: {refused}");
        }
        let mut too_much = word(0);
        too_much[15] = 1;
        for amount in [word(0), too_much, [0xff; 32]] {
            assert_eq!(transfer(&call([0; 12], amount)).unwrap_err().tag, "transaction.tron.amount");
        }
    }

    #[test]
    fn other_calls_are_refused_by_name() {
        for call in NAMED {
            let selector = Keccak256::digest(call);
            let data = [&selector[..4], &[0; 64]].concat();
            let refused = transfer(&data).unwrap_err();
            assert_eq!((refused.tag, refused.found.as_str()), (TAG, call));
        }
        assert_eq!(transfer(&[0; 68]).unwrap_err().found, "the call 0x00000000");
    }
}
