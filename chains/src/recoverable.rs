//! ECDSA signatures over secp256k1 with a recovery id, as EVM and Tron put them into transactions
//! and as they come back from the signer. A node knows no key: it recovers one and compares the
//! address. A faulty signature may tell the key, or spend nothing: it is found here and never leaves.

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
pub(crate) struct Signature {
    pub(crate) r: [u8; 32],
    pub(crate) s: [u8; 32],
    pub(crate) y_is_odd: bool,
}

impl Signature {
    /// Reads the one signature, r ‖ s ‖ recovery id, and checks that it and the digest give `key`.
    ///
    /// # Errors
    /// [`Refused`] with this tag; the text holds nothing of the signature.
    pub(crate) fn one(
        signatures: &[Vec<u8>],
        digest: &[u8; 32],
        key: &k256::PublicKey,
        tag: &'static str,
    ) -> Result<Self, Refused> {
        let [signature] = signatures else {
            return Err(Refused::new(tag, "one signature", format!("{} signatures", signatures.len())));
        };
        let form = "65 bytes, r and s within the order, low s, recovery id 0 or 1";
        let (signature, r, s) =
            Self::read(signature).ok_or_else(|| Refused::new(tag, form, "another form"))?;
        if signature.signs(r, s, digest, key) {
            Ok(signature)
        } else {
            Err(Refused::new(tag, "a signature of this transaction by its key", "another signature"))
        }
    }

    /// r ‖ s ‖ recovery id: 65 bytes.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        [&self.r[..], &self.s, &[u8::from(self.y_is_odd)]].concat()
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

#[cfg(test)]
mod tests {
    use super::*;
    use k256::ecdsa::{RecoveryId, SigningKey, VerifyingKey};
    use proptest::prelude::*;

    const TAG: &str = "transaction.test.signature";

    fn check(key: &k256::PublicKey, digest: &[u8; 32], signature: &[u8]) -> Result<(), Refused> {
        Signature::one(&[signature.to_vec()], digest, key, TAG).map(drop)
    }

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
        high[32..64]
            .copy_from_slice(&scalar(&signature[32..64].try_into().unwrap()).unwrap().negate().to_bytes());
        high[64] ^= 1;
        // The same signature to a verifier that takes both.
        assert_eq!(check(&key, &digest, &high).unwrap_err().tag, TAG);
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

    #[test]
    fn none_and_two_signatures_are_not_one() {
        let (key, signature) = signed(&[1; 32]);
        for signatures in [vec![], vec![signature.to_vec(); 2]] {
            assert_eq!(Signature::one(&signatures, &[1; 32], &key, TAG).err().unwrap().tag, TAG);
        }
    }

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
            let found = check(&key.verifying_key().into(), &digest, &bytes).is_ok();
            prop_assert_eq!(found, expected);
            prop_assert!(expected || change < 4);
        }
    }
}
