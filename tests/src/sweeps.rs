//! Unsigned sweeps as a backend writes them, for what is not about any chain's details.

use chains::Chain;

use crate::authority::collection;

/// An EIP-1559 transaction on chain 1 that pays the collection wallet (EIP-1559, RLP).
pub fn evm(nonce: u64, wei: u64) -> Vec<u8> {
    let to = data_encoding::HEXLOWER_PERMISSIVE.decode(&collection(Chain::Evm).as_bytes()[2..]).unwrap();
    let number = |number: u64| {
        let bytes = number.to_be_bytes();
        bytes[number.leading_zeros() as usize / 8..].to_vec()
    };
    let fields = [
        number(1),
        number(nonce),
        number(1_000_000_000),
        number(30_000_000_000),
        number(21_000),
        to,
        number(wei),
        Vec::new(),
    ];
    let mut list: Vec<u8> = fields.iter().flat_map(|field| item(field)).collect();
    // The empty access list.
    list.push(0xc0);
    [&[0x02, 0xc0 + u8::try_from(list.len()).unwrap()], list.as_slice()].concat()
}

fn item(bytes: &[u8]) -> Vec<u8> {
    match bytes {
        [byte @ ..=0x7f] => vec![*byte],
        _ => [&[0x80 + u8::try_from(bytes.len()).unwrap()], bytes].concat(),
    }
}
