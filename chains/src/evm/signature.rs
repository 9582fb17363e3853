//! Signatures as they come back from the signer. One that is faulty may tell the key, or spend
//! nothing: it is found here and never leaves.

use k256::{
    ProjectivePoint, Scalar,
    elliptic_curve::{
        Group, PrimeField,
        ops::{MulByGeneratorVartime, Reduce},
        point::AffineCoordinates,
        scalar::IsHigh,
    },
};

use crate::Refused;

/// r, s and the parity of R's y. It signs the digest that it was checked with, by the key that it
/// was checked with, and s is low (EIP-2).
pub(super) struct Signature {
    pub(super) r: [u8; 32],
    pub(super) s: [u8; 32],
    pub(super) y_is_odd: bool,
}

impl Signature {
    /// Reads r ‖ s ‖ recovery id and checks that the digest and the signature give `key`.
    ///
    /// # Errors
    /// `transaction.evm.signature`; the text holds nothing of the signature.
    pub(super) fn verified(bytes: &[u8], digest: &[u8; 32], key: &k256::PublicKey) -> Result<Self, Refused> {
        let (signature, r, s) = Self::read(bytes).ok_or_else(|| {
            refused("65 bytes, r and s within the order, low s, recovery id 0 or 1", "another form")
        })?;
        if signature.signs(r, s, digest, key) {
            Ok(signature)
        } else {
            Err(refused("a signature of this transaction by its key", "another signature"))
        }
    }

    fn read(bytes: &[u8]) -> Option<(Self, Scalar, Scalar)> {
        let (scalars, [recovery_id]) = bytes.split_at_checked(64)? else { return None };
        let (r, s) = scalars.split_at_checked(32)?;
        let signature = Self {
            r: r.try_into().ok()?,
            s: s.try_into().ok()?,
            y_is_odd: match recovery_id {
                0 => false,
                1 => true,
                _ => return None,
            },
        };
        let r = scalar(&signature.r)?;
        let s = scalar(&signature.s)?;
        (!bool::from(s.is_high())).then_some((signature, r, s))
    }

    /// SEC 1 §4.1.4 and, for the recovery id, §4.1.6: R = s⁻¹(z·G + r·Q), x(R) = r, and the
    /// parity of y(R). Recovery ids 0 and 1 say that x(R) is below the order.
    #[expect(clippy::arithmetic_side_effects, reason = "scalars and points, not integers")]
    fn signs(&self, r: Scalar, s: Scalar, digest: &[u8; 32], key: &k256::PublicKey) -> bool {
        let Some(inverse) = s.invert_vartime().into_option() else { return false };
        let z = <Scalar as Reduce<k256::FieldBytes>>::reduce(&(*digest).into());
        let key = ProjectivePoint::from(*key.as_affine());
        // Nothing here is secret.
        let point =
            ProjectivePoint::mul_by_generator_and_mul_add_vartime(&(z * inverse), &(r * inverse), &key);
        let affine = point.to_affine();
        !bool::from(point.is_identity())
            && affine.x().as_slice() == self.r.as_slice()
            && bool::from(affine.y_is_odd()) == self.y_is_odd
    }
}

/// 1 to the order - 1.
fn scalar(bytes: &[u8; 32]) -> Option<Scalar> {
    let scalar = Scalar::from_repr((*bytes).into()).into_option()?;
    (scalar != Scalar::ZERO).then_some(scalar)
}

pub(super) fn refused(allowed: &str, found: &str) -> Refused {
    Refused::new("transaction.evm.signature", allowed, found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k256::ecdsa::{RecoveryId, SigningKey, VerifyingKey};
    use proptest::prelude::*;

    /// What k256's own recovery of the key says.
    fn recovers(bytes: &[u8], digest: &[u8; 32], key: &VerifyingKey) -> bool {
        let Ok(signature) = k256::ecdsa::Signature::from_slice(&bytes[..64]) else { return false };
        let Some(id) = RecoveryId::from_byte(bytes[64]).filter(|id| !id.is_x_reduced()) else { return false };
        let low = signature.normalize_s() == signature;
        low && VerifyingKey::recover_from_prehash(digest, &signature, id).ok().as_ref() == Some(key)
    }

    fn digest() -> impl Strategy<Value = [u8; 32]> {
        // At and above the order, a digest is reduced.
        prop_oneof![4 => any::<[u8; 32]>(), 1 => Just([0; 32]), 1 => Just([0xff; 32])]
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_what_recovers_to_the_key(
            secret in 1_u64..,
            digest in digest(),
            other: [u8; 32],
            change in 0..6_usize,
            (at, bit) in (0..65_usize, 0..8_u8),
        ) {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&secret.to_be_bytes());
            let key = SigningKey::from_slice(&bytes).unwrap();
            let (signature, id) = key.sign_prehash_recoverable(&digest);
            let mut bytes = [&signature.to_bytes()[..], &[id.to_byte()]].concat();
            match change {
                0 => bytes[at] ^= 1 << bit,
                1 => bytes[..32].copy_from_slice(&other),
                2 => bytes[32..64].copy_from_slice(&other),
                3 => bytes.copy_within(..32, 32),
                _ => (),
            }
            let expected = recovers(&bytes, &digest, key.verifying_key());
            let found = Signature::verified(&bytes, &digest, &key.verifying_key().into()).is_ok();
            prop_assert_eq!(found, expected);
            prop_assert!(expected || change < 4);
        }
    }
}
