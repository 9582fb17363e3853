//! ECDSA over secp256k1 (SEC 1 §4.1.4), verified with the recovery id as a node does it: a node
//! knows no key, it recovers one and compares the address.

use k256::{
    FieldBytes, ProjectivePoint, Scalar,
    elliptic_curve::{
        PrimeField,
        ops::{LinearCombination, Reduce},
        scalar::IsHigh,
    },
};

use crate::Refused;

/// The tag of every other signature.
pub(super) const TAG: &str = "transaction.tron.signature";
const ALLOWED: &str =
    "r, s of the lower half, and a recovery id of 0 or 1, by which the owner's key is recovered,";

/// Whether these 65 bytes, r ‖ s ‖ recovery id, are the low-s signature of `digest` from which
/// `key` is recovered.
///
/// # Errors
/// `transaction.tron.signature`
pub(super) fn check(key: &k256::PublicKey, digest: &[u8; 32], signature: &[u8]) -> Result<(), Refused> {
    let refused = |found: &str| Refused::new(TAG, ALLOWED, found);
    let (rs, recovery) = match signature {
        [rs @ .., recovery @ (0 | 1)] if rs.len() == 64 => (rs, *recovery),
        _ => return Err(refused(&format!("{} bytes, or another recovery id", signature.len()))),
    };
    let (x, s) = rs.split_at_checked(32).ok_or_else(|| refused("fewer bytes"))?;
    let (Some(r), Some(s)) = (scalar(x), scalar(s)) else {
        return Err(refused("a number that is zero, or not below the order"));
    };
    if bool::from(s.is_high()) {
        return Err(refused("s of the upper half"));
    }
    // The point whose x is r and whose y has the parity of the recovery id. Recovery ids 2 and 3,
    // for x of r + n, come once in 2^127 signatures; a signer would take another nonce.
    let commitment = [&[0x02 | recovery], x].concat();
    let commitment =
        k256::PublicKey::from_sec1_bytes(&commitment).map_err(|_| refused("r of no point"))?.to_projective();
    // The key is (s·R − z·G) / r: without the division, s·R − z·G − r·key is nothing.
    let z = <Scalar as Reduce<FieldBytes>>::reduce(&FieldBytes::from(*digest));
    let terms =
        [(commitment, s), (ProjectivePoint::GENERATOR, z.negate()), (key.to_projective(), r.negate())];
    if ProjectivePoint::lincomb_vartime(&terms) == ProjectivePoint::IDENTITY {
        Ok(())
    } else {
        Err(refused("a signature of something else, or by another key"))
    }
}

/// A number from 1 to below the order.
fn scalar(bytes: &[u8]) -> Option<Scalar> {
    let bytes: [u8; 32] = bytes.try_into().ok()?;
    Option::<Scalar>::from(Scalar::from_repr(bytes.into())).filter(|scalar| *scalar != Scalar::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k256::ecdsa::SigningKey;

    fn signed(digest: &[u8; 32]) -> (k256::PublicKey, [u8; 65]) {
        let key = SigningKey::from_slice(&[7; 32]).unwrap();
        let (signature, recovery) = key.sign_prehash_recoverable(digest);
        let mut bytes = [0; 65];
        bytes[..64].copy_from_slice(&signature.to_bytes());
        bytes[64] = recovery.to_byte();
        ((*key.verifying_key()).into(), bytes)
    }

    #[test]
    fn only_the_keys_own_signature_of_the_digest_passes() {
        for digest in [[0; 32], [1; 32], [0xff; 32]] {
            let (key, signature) = signed(&digest);
            check(&key, &digest, &signature).unwrap();
            let mut other_digest = digest;
            other_digest[31] ^= 1;
            assert_eq!(check(&key, &other_digest, &signature).unwrap_err().tag, TAG);
            let generator = k256::PublicKey::from_affine(k256::AffinePoint::GENERATOR).unwrap();
            assert_eq!(check(&generator, &digest, &signature).unwrap_err().tag, TAG);
            for bit in 0..65 * 8 {
                let mut changed = signature;
                changed[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(check(&key, &digest, &changed).unwrap_err().tag, TAG, "bit {bit}");
            }
        }
    }

    #[test]
    fn the_other_half_of_s_another_recovery_id_and_other_lengths_are_refused() {
        let digest = [3; 32];
        let (key, signature) = signed(&digest);
        let mut high = signature;
        high[32..64].copy_from_slice(&scalar(&signature[32..64]).unwrap().negate().to_bytes());
        high[64] ^= 1;
        let refused = check(&key, &digest, &high).unwrap_err();
        assert!(
            refused.found.contains("upper half"),
            "the same signature to a verifier that takes both: {refused}"
        );
        let with_recovery = |recovery| [&signature[..64], &[recovery]].concat();
        let longer = [signature.as_slice(), &[0]].concat();
        let zeros = [&[0; 64][..], &[0]].concat();
        let order = [&[0xff; 64][..], &[0]].concat();
        for bad in [
            &with_recovery(signature[64] ^ 1)[..],
            &with_recovery(2),
            &with_recovery(27),
            &with_recovery(28),
            &signature[..64],
            &longer,
            &zeros,
            &order,
            &[],
        ] {
            assert_eq!(check(&key, &digest, bad).unwrap_err().tag, TAG);
        }
    }
}
