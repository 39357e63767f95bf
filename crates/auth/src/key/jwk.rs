//! One JSON Web Key (RFC 7517, 7518, 8037) to one [`Key`]. Never knows sets.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::{
    Algorithm, DOCUMENT_BYTES_MAX, Error, HMAC_BYTES_MAX, HMAC_BYTES_MIN, KID_BYTES_MAX, Key,
    Material, rsa,
};

type Members = Map<String, Value>;

/// The members of a key document.
pub(super) fn document(json: &[u8]) -> Result<Members, Error> {
    if json.len() > DOCUMENT_BYTES_MAX {
        return Err(Error::Document);
    }
    crate::json::object(json).ok_or(Error::Document)
}

/// The key these members describe.
pub(super) fn read(
    members: &Members,
    pinned: Option<Algorithm>,
    secrets: bool,
) -> Result<Key, Error> {
    check_purpose(members)?;
    let kid = match members.get("kid") {
        None => None,
        Some(Value::String(kid)) if kid.len() <= KID_BYTES_MAX => Some(kid.clone()),
        Some(_) => return Err(Error::Member),
    };
    let (algorithm, material) = match text(members, "kty")? {
        "oct" if !secrets => return Err(Error::Symmetric),
        "oct" => read_secret(members, pinned)?,
        "RSA" => read_rsa(members, pinned)?,
        "EC" => read_curve(members, pinned)?,
        "OKP" => read_edwards(members, pinned)?,
        _ => return Err(Error::Unsupported),
    };
    Ok(Key { kid, algorithm, material })
}

fn text<'a>(members: &'a Members, name: &str) -> Result<&'a str, Error> {
    members.get(name).and_then(Value::as_str).ok_or(Error::Member)
}

fn bytes(members: &Members, name: &str) -> Result<Vec<u8>, Error> {
    URL_SAFE_NO_PAD.decode(text(members, name)?).map_err(|_| Error::Member)
}

/// `use` and `key_ops`, where they are given, must allow verifying.
fn check_purpose(members: &Members) -> Result<(), Error> {
    match members.get("use") {
        None => {}
        Some(Value::String(purpose)) if purpose == "sig" => {}
        Some(Value::String(_)) => return Err(Error::Purpose),
        Some(_) => return Err(Error::Member),
    }
    match members.get("key_ops") {
        None => Ok(()),
        Some(Value::Array(ops)) if ops.iter().any(|op| op == "verify") => Ok(()),
        Some(Value::Array(_)) => Err(Error::Purpose),
        Some(_) => Err(Error::Member),
    }
}

/// The algorithm of the key: what the key says, else what its curve means, else what is asked
/// for; and they must not contradict each other.
fn agree(
    members: &Members,
    pinned: Option<Algorithm>,
    by_curve: Option<Algorithm>,
) -> Result<Algorithm, Error> {
    let said = match members.get("alg") {
        None => None,
        Some(Value::String(name)) => Some(Algorithm::from_name(name).ok_or(Error::Algorithm)?),
        Some(_) => return Err(Error::Member),
    };
    let opinions = [said, by_curve, pinned];
    let mut given = opinions.into_iter().flatten();
    let algorithm = given.next().ok_or(Error::AlgorithmMissing)?;
    if given.all(|other| other == algorithm) { Ok(algorithm) } else { Err(Error::Contradiction) }
}

fn read_secret(
    members: &Members,
    pinned: Option<Algorithm>,
) -> Result<(Algorithm, Material), Error> {
    let algorithm = agree(members, pinned, None)?;
    let digest = algorithm.hmac().ok_or(Error::Contradiction)?;
    let secret = bytes(members, "k")?;
    if secret.len() < HMAC_BYTES_MIN {
        return Err(Error::Weak);
    }
    if secret.len() > HMAC_BYTES_MAX {
        return Err(Error::Member);
    }
    Ok((algorithm, Material::Secret(Box::new(hmac::Key::new(digest, &secret)))))
}

fn read_rsa(members: &Members, pinned: Option<Algorithm>) -> Result<(Algorithm, Material), Error> {
    let (n, e) = (bytes(members, "n")?, bytes(members, "e")?);
    // Weakness first: it is what the owner of the key has to hear.
    let public = rsa::checked(&n, &e)?;
    let algorithm = agree(members, pinned, None)?;
    let parameters = algorithm.rsa().ok_or(Error::Contradiction)?;
    let key = public.to_parsed_public_key(parameters).map_err(|_| Error::Member)?;
    Ok((algorithm, Material::Public(key)))
}

fn read_curve(
    members: &Members,
    pinned: Option<Algorithm>,
) -> Result<(Algorithm, Material), Error> {
    let (algorithm, size) = match text(members, "crv")? {
        "P-256" => (Algorithm::Es256, 32),
        "P-384" => (Algorithm::Es384, 48),
        _ => return Err(Error::Unsupported),
    };
    agree(members, pinned, Some(algorithm))?;
    let (x, y) = (bytes(members, "x")?, bytes(members, "y")?);
    if x.len() != size || y.len() != size {
        return Err(Error::Member);
    }
    let point = [&[4], x.as_slice(), y.as_slice()].concat();
    let key = match algorithm {
        Algorithm::Es256 => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point),
        _ => ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point),
    };
    // Refused when the point is not on the curve.
    Ok((algorithm, Material::Public(key.map_err(|_| Error::Member)?)))
}

fn read_edwards(
    members: &Members,
    pinned: Option<Algorithm>,
) -> Result<(Algorithm, Material), Error> {
    if text(members, "crv")? != "Ed25519" {
        return Err(Error::Unsupported);
    }
    let algorithm = agree(members, pinned, Some(Algorithm::EdDsa))?;
    let x = bytes(members, "x")?;
    if x.len() != 32 {
        return Err(Error::Member);
    }
    if SMALL_ORDER.contains(&clear_sign(&x)) {
        return Err(Error::Weak);
    }
    let key = ParsedPublicKey::new(&ED25519, x).map_err(|_| Error::Member)?;
    Ok((algorithm, Material::Public(key)))
}

/// The bytes of a point without the sign of its x coordinate.
fn clear_sign(x: &[u8]) -> [u8; 32] {
    let mut y = [0; 32];
    y.copy_from_slice(x);
    y[31] &= 0x7f;
    y
}

const fn spelled(first: u8, last: u8, middle: u8) -> [u8; 32] {
    let mut y = [middle; 32];
    y[0] = first;
    y[31] = last;
    y
}

/// The y coordinates (little-endian) of points whose order divides 8, in each of their spellings:
/// under such a key one signature fits many texts.
const SMALL_ORDER: [[u8; 32]; 7] = [
    spelled(0, 0, 0),
    spelled(1, 0, 0),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
    spelled(0xec, 0x7f, 0xff),
    spelled(0xed, 0x7f, 0xff),
    spelled(0xee, 0x7f, 0xff),
];
