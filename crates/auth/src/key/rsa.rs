//! Which RSA keys are strong enough. Never knows how a signature is checked.

use aws_lc_rs::signature::RsaPublicKeyComponents;

use super::{Error, RSA_BITS_MAX, RSA_BITS_MIN};

/// Longest public exponent, bytes. Larger ones only make verifying slow.
const EXPONENT_BYTES_MAX: usize = 4;

/// The primes that fingerprint moduli of the broken generator of CVE-2017-15361 (ROCA): there,
/// the modulus is a power of 65537 modulo each of them. By chance that happens to one modulus in
/// more than a hundred million.
const ROCA_PRIMES: &[u32] = &[
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
    101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];
const ROCA_GENERATOR: u32 = 65_537;

/// The components, if the key is strong enough.
pub(super) fn checked(n: &[u8], e: &[u8]) -> Result<RsaPublicKeyComponents<Vec<u8>>, Error> {
    let (n, e) = (without_leading_zeros(n), without_leading_zeros(e));
    let bits = n.len() * 8 - n.first().map_or(0, |first| first.leading_zeros() as usize);
    if bits > RSA_BITS_MAX || e.len() > EXPONENT_BYTES_MAX {
        return Err(Error::Member);
    }
    let odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
    if bits < RSA_BITS_MIN || !odd(n) || !odd(e) || e == [1] || is_roca(n) {
        return Err(Error::Weak);
    }
    Ok(RsaPublicKeyComponents { n: n.to_vec(), e: e.to_vec() })
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

fn is_roca(n: &[u8]) -> bool {
    ROCA_PRIMES.iter().all(|&prime| is_power_of_generator(remainder(n, prime), prime))
}

fn remainder(n: &[u8], prime: u32) -> u32 {
    n.iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime)
}

fn is_power_of_generator(rest: u32, prime: u32) -> bool {
    let mut power = 1;
    for _ in 0..prime {
        if power == rest {
            return true;
        }
        power = power * (ROCA_GENERATOR % prime) % prime;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A power of 65537: what the broken generator's moduli look like modulo small primes.
    fn power_of_generator(exponent: u32) -> Vec<u8> {
        let mut little_endian = vec![1_u8];
        for _ in 0..exponent {
            let mut shifted = vec![0, 0];
            shifted.extend(&little_endian);
            let mut carry = 0_u16;
            for (at, byte) in shifted.iter_mut().enumerate() {
                let sum = u16::from(*byte)
                    + u16::from(little_endian.get(at).copied().unwrap_or(0))
                    + carry;
                *byte = sum.to_le_bytes()[0];
                carry = sum >> 8;
            }
            if carry > 0 {
                shifted.push(1);
            }
            little_endian = shifted;
        }
        little_endian.reverse();
        little_endian
    }

    #[test]
    fn a_modulus_of_the_broken_generator_is_weak() {
        let n = power_of_generator(130);
        assert!(n.len() >= 256);
        assert_eq!(checked(&n, &[1, 0, 1]).err(), Some(Error::Weak));
        let mut other = n;
        *other.last_mut().unwrap() ^= 2;
        assert!(checked(&other, &[1, 0, 1]).is_ok());
    }

    #[test]
    fn exponents_of_one_and_even_numbers_are_weak() {
        let mut n = vec![0xff; 256];
        for e in [&[1][..], &[0, 1], &[], &[0], &[2], &[1, 0, 0]] {
            assert_eq!(checked(&n, e).err(), Some(Error::Weak), "{e:?}");
        }
        assert!(checked(&n, &[3]).is_ok());
        assert!(checked(&n, &[1, 0, 1]).is_ok());
        *n.last_mut().unwrap() = 0xfe;
        assert_eq!(checked(&n, &[1, 0, 1]).err(), Some(Error::Weak));
    }

    #[test]
    fn a_modulus_is_measured_in_bits() {
        let mut n = vec![0xff; 256];
        n[0] = 0x7f;
        assert_eq!(checked(&n, &[1, 0, 1]).err(), Some(Error::Weak), "2047 bits");
        n[0] = 0x80;
        assert!(checked(&n, &[1, 0, 1]).is_ok(), "2048 bits");
        assert_eq!(checked(&[0xff; 1025], &[1, 0, 1]).err(), Some(Error::Member));
    }
}
