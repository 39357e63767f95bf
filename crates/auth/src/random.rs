//! Random bytes from the operating system's generator, by way of the one cryptography provider.

/// `N` unpredictable bytes.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the generator of aws-lc never fails once seeded");
    bytes
}
