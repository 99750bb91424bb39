//! RSA public keys whose private half is easy to compute.

use num_bigint::BigUint;

/// RFC 7518 section 3.3: the minimum size of an RSA key.
const MIN_BITS: u64 = 2048;

/// The largest key that the library verifies with.
const MAX_BITS: u64 = 8192;

/// Upper bound of the factors searched for: no sound key generator leaves a smaller one.
const SMALL_FACTORS: u32 = 1 << 16;

/// Steps from the square root within which two close factors are found (Fermat; CVE-2022-26320).
const FERMAT_STEPS: u32 = 100;

/// The primes that reveal ROCA keys (CVE-2017-15361). Their factors are powers of 65537 modulo the product of small
/// primes, so the modulus is one too, modulo each of these. About one other key in 200 million has this property.
const ROCA_PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103,
    107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// The base of the powers that reveal ROCA keys.
const ROCA_GENERATOR: u32 = 65_537;

/// DER tags.
const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;

/// Returns the reason why a key must not be used; `None` if there is none. Both numbers are big-endian.
pub(super) fn weakness(modulus: &[u8], exponent: &[u8]) -> Option<String> {
    let (modulus, exponent) = (BigUint::from_bytes_be(modulus), BigUint::from_bytes_be(exponent));
    let bits = modulus.bits();
    // An even modulus or exponent, or the exponent 1, is not RSA.
    if !modulus.bit(0) || !exponent.bit(0) || exponent.bits() < 2 {
        Some("is not an RSA public key".to_owned())
    } else if bits > MAX_BITS {
        Some(format!("has {bits} bits, RSA keys may have at most {MAX_BITS}"))
    } else if bits < MIN_BITS {
        Some(format!("has {bits} bits, RSA keys need at least {MIN_BITS}"))
    } else if is_roca(&modulus) {
        Some("can be broken: its modulus is of the ROCA kind (CVE-2017-15361), make another key".to_owned())
    } else if let Some(factor) = small_factor(&modulus) {
        Some(format!("can be broken: its modulus is divisible by {factor}, make another key"))
    } else if has_near_factors(&modulus) {
        Some("can be broken: the factors of its modulus are too near each other, make another key".to_owned())
    } else {
        None
    }
}

/// Returns the modulus and exponent of an `RSAPublicKey` (RFC 8017 appendix A.1.1) in DER.
pub(super) fn numbers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (content, _) = element(der, SEQUENCE)?;
    let (modulus, rest) = element(content, INTEGER)?;
    let (exponent, _) = element(rest, INTEGER)?;
    Some((modulus, exponent))
}

/// Returns the content of a DER element with this tag, and the bytes after it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match usize::from(*first) {
        short @ 0..0x80 => (short, rest),
        long => {
            let (length, rest) = rest.split_at_checked(long & 0x7f).filter(|(bytes, _)| bytes.len() <= 4)?;
            (length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
    };
    (*found == tag).then(|| rest.split_at_checked(length))?
}

fn is_roca(modulus: &BigUint) -> bool {
    ROCA_PRIMES.iter().all(|prime| {
        let residue = remainder(modulus, *prime);
        let generator = ROCA_GENERATOR % prime;
        let powers = std::iter::successors(Some(1), |power| Some(power * generator % prime));
        // The powers of a number repeat after fewer than `prime` of them.
        powers.take(*prime as usize).any(|power| power == residue)
    })
}

fn small_factor(modulus: &BigUint) -> Option<u32> {
    (3..SMALL_FACTORS).step_by(2).find(|factor| remainder(modulus, *factor) == 0)
}

fn remainder(number: &BigUint, divisor: u32) -> u32 {
    // The remainder is less than the divisor.
    u32::try_from(number % divisor).unwrap_or_default()
}

/// Returns true if the modulus is the difference of two squares of which the larger is just above it.
fn has_near_factors(modulus: &BigUint) -> bool {
    let mut root = modulus.sqrt();
    if &root * &root < *modulus {
        root += 1_u32;
    }
    (0..FERMAT_STEPS).any(|step| {
        let root = &root + step;
        let rest = &root * &root - modulus;
        let side = rest.sqrt();
        &side * &side == rest
    })
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{
        rsa::KeySize,
        signature::{KeyPair, RsaKeyPair},
    };

    use super::*;

    const EXPONENT: [u8; 3] = [1, 0, 1];

    fn said(modulus: &BigUint) -> Option<String> {
        weakness(&modulus.to_bytes_be(), &EXPONENT)
    }

    /// Returns a number of about this many bits without small factors, which is quicker to find than a prime.
    fn large(bits: u64, seed: u32) -> BigUint {
        let odd = BigUint::from(seed) * 2_u32 + 1_u32;
        let start = (BigUint::from(3_u32) << (bits - 2)) + odd * 1_000_003_u32;
        (0..100_000_u32)
            .map(|step| &start + 2 * step)
            .find(|number| number.bit(0) && small_factor(number).is_none())
            .unwrap()
    }

    #[test]
    fn ordinary_keys_have_nothing_wrong_with_them() {
        for size in [KeySize::Rsa2048, KeySize::Rsa3072] {
            let pair = RsaKeyPair::generate(size).unwrap();
            let (modulus, exponent) = numbers(pair.public_key().as_ref()).unwrap();
            assert_eq!(weakness(modulus, exponent), None);
        }
        assert_eq!(said(&(large(1024, 1) * large(1100, 2))), None);
    }

    #[test]
    fn a_modulus_with_the_fingerprint_of_roca_is_refused() {
        let product = ROCA_PRIMES.iter().fold(BigUint::from(2_u32), |product, prime| product * prime);
        let of_the_kind = |bits: u64, power: u32| {
            let residue = BigUint::from(ROCA_GENERATOR).modpow(&power.into(), &product);
            ((BigUint::from(1_u32) << bits) / &product) * &product + residue
        };
        let modulus = of_the_kind(1040, 12_345) * of_the_kind(1060, 67_890);
        assert!(said(&modulus).unwrap().contains("CVE-2017-15361"));
        assert!(is_roca(&modulus) && !is_roca(&(modulus + 2_u32)));
    }

    #[test]
    fn a_modulus_that_is_easily_factored_is_refused() {
        let (one, other) = (large(1024, 1), large(1100, 2));
        assert!(said(&(&one * &other * 65_521_u32)).unwrap().contains("divisible by 65521"));
        assert!(said(&(&one * &one)).unwrap().contains("too near each other"), "a square");
        let near =
            (0..100_000_u32).map(|step| &one + 2 * step).skip(1).find(|near| small_factor(near).is_none());
        assert!(said(&(&one * near.unwrap())).unwrap().contains("too near each other"));
    }

    #[test]
    fn what_is_no_rsa_is_refused() {
        let modulus = large(1024, 1) * large(1100, 2);
        assert!(said(&(&modulus + 1_u32)).unwrap().contains("is not an RSA"));
        for exponent in [&[][..], &[0], &[1], &[0, 1], &[2], &[1, 0, 0]] {
            assert!(
                weakness(&modulus.to_bytes_be(), exponent).unwrap().contains("is not an RSA"),
                "{exponent:?}"
            );
        }
        assert!(said(&large(2047, 3)).unwrap().contains("has 2047 bits"));
        assert!(said(&large(8193, 3)).unwrap().contains("has 8193 bits"));
    }

    #[test]
    fn what_is_no_der_has_no_numbers() {
        let good = [0x30, 6, 2, 1, 35, 2, 1, 3];
        assert_eq!(numbers(&good), Some((&[35][..], &[3][..])));
        for cut in 0..good.len() {
            assert_eq!(numbers(&good[..cut]), None, "{cut}");
        }
        for bad in
            [&[0x31, 6, 2, 1, 35, 2, 1, 3][..], &[0x30, 0x85, 0, 0, 0, 0, 6], &[0x30, 6, 4, 1, 35, 2, 1, 3]]
        {
            assert_eq!(numbers(bad), None, "{bad:?}");
        }
    }
}
