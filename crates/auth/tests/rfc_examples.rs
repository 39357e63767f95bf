//! The public examples of RFC 7515, 7519, 7520, 7797 and 8037, as printed there.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails, and that is right")]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use tasktonic_auth::command::{Asked, KeyFile, Refused, keys, verify_jws, verify_jwt};
use tasktonic_auth::{Algorithm, Key, Refusal, SigningKey, key};

const JOE: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
const JOE_TEXT: &str =
    "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";
const A1_KEY: &str = r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#;
const A1_HEADER: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9";
const A1_SIGNATURE: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const A2_KEY: &str = r#"{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}"#;
const A2_SIGNATURE: &str = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
const A3_KEY: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
const A3_SIGNATURE: &str =
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
const A4_KEY: &str = r#"{"kty":"EC","crv":"P-521","x":"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk","y":"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"}"#;
const A4_TOKEN: &str = "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn";
const EDWARDS_KEY: &str =
    r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
const EDWARDS_TOKEN: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

const COOKBOOK_RSA: &str = r#"{"kty":"RSA","kid":"bilbo.baggins@hobbiton.example","use":"sig","n":"n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw","e":"AQAB"}"#;
const COOKBOOK_HMAC: &str = r#"{"kty":"oct","kid":"018c0ae5-4d9b-471b-bfd6-eef314bc7037","use":"sig","alg":"HS256","k":"hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg"}"#;
const COOKBOOK_PAYLOAD: &str = "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4";
const COOKBOOK_TEXT: &str = "It\u{2019}s a dangerous business, Frodo, going out your door. You step onto the road, and if you don't keep your feet, there\u{2019}s no knowing where you might be swept off to.";
const COOKBOOK_RS256: (&str, &str) = (
    "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9",
    "MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996ivp83xuglII7PNDi84wnB-BDkoBwA78185hX-Es4JIwmDLJK3lfWRa-XtL0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFxnt8Is9UzpERV0ePPQdLuW3IS_de3xyIrDaLGdjluPxUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fcIe8u9ipH84ogoree7vjbU5y18kDquDg",
);
const COOKBOOK_PS384: (&str, &str) = (
    "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9",
    "cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tPid6VrklHkqsGqDqHCdP6O8TTB5dDDItllVo6_1OLPpcbUrhiUSMxbbXUvdvWXzg-UD8biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_ijQ7p8Vdz0TTrxUeT3lm8d9shnr2lfJT8ImUjvAA2Xez2Mlp8cBE5awDzT0qI0n6uiP1aCN_2_jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6GYmJUAfmWjwZ6oD4ifKo8DYM-X72Eaw",
);
const COOKBOOK_HS256: (&str, &str) = (
    "eyJhbGciOiJIUzI1NiIsImtpZCI6IjAxOGMwYWU1LTRkOWItNDcxYi1iZmQ2LWVlZjMxNGJjNzAzNyJ9",
    "s0h6KThzkfBBBkLspW1h84VsJZFTsPPqMDA7g1Md7p0",
);

fn verified(token: &str, jwk: &str, alg: Option<Algorithm>) -> Result<String, Refused> {
    let keys = keys(jwk.as_bytes(), KeyFile::Jwk, alg)?;
    verify_jws(token.as_bytes(), &keys, alg).map(|payload| String::from_utf8(payload).unwrap())
}

#[test]
fn the_examples_of_rfc_7515_verify() {
    let hs = format!("{A1_HEADER}.{JOE}.{A1_SIGNATURE}");
    let rs = format!("eyJhbGciOiJSUzI1NiJ9.{JOE}.{A2_SIGNATURE}");
    let es = format!("eyJhbGciOiJFUzI1NiJ9.{JOE}.{A3_SIGNATURE}");
    for (name, token, jwk, alg) in [
        ("A.1", &hs, A1_KEY, Some(Algorithm::Hs256)),
        ("A.2", &rs, A2_KEY, Some(Algorithm::Rs256)),
        ("A.3", &es, A3_KEY, None),
    ] {
        assert_eq!(verified(token, jwk, alg).as_deref(), Ok(JOE_TEXT), "{name}");
    }
    assert_eq!(verified(&rs, A2_KEY, None), Err(Refused::Key(key::Error::AlgorithmMissing)));
    assert_eq!(verified(&hs, A1_KEY, None), Err(Refused::Key(key::Error::AlgorithmMissing)));
    let pinned = verified(&rs, A2_KEY, Some(Algorithm::Ps256));
    assert_eq!(pinned, Err(Refused::Token(Refusal::Algorithm)));
}

#[test]
fn the_token_of_rfc_7519_verifies_as_a_signature_and_has_expired_as_a_token() {
    let token = format!("{A1_HEADER}.{JOE}.{A1_SIGNATURE}");
    let keys = keys(A1_KEY.as_bytes(), KeyFile::Jwk, Some(Algorithm::Hs256)).unwrap();
    let asked = Asked {
        issuer: "joe".to_owned(),
        audience: "us".to_owned(),
        now_s: 1_800_000_000,
        leeway_s: 0,
    };
    let refused = verify_jwt(token.as_bytes(), keys, &asked).unwrap_err();
    assert_eq!(refused, Refused::Token(Refusal::Expired));
    assert_eq!(refused.exit_code(), 1);
    assert!(refused.to_string().starts_with("token_expired: "), "{refused}");
}

#[test]
fn es512_is_refused_as_not_offered() {
    let refused = verified(A4_TOKEN, A4_KEY, None);
    assert_eq!(refused, Err(Refused::Key(key::Error::Unsupported)));
    let other = verified(A4_TOKEN, A3_KEY, None);
    assert_eq!(other, Err(Refused::Token(Refusal::Algorithm)));
}

#[test]
fn unsecured_tokens_and_json_serialisations_are_refused() {
    let unsecured = format!("eyJhbGciOiJub25lIn0.{JOE}.");
    assert_eq!(verified(&unsecured, A3_KEY, None), Err(Refused::Token(Refusal::Algorithm)));
    let general = format!(
        r#"{{"payload":"{JOE}","signatures":[{{"protected":"eyJhbGciOiJFUzI1NiJ9","header":{{"kid":"e9bc097a-ce51-4036-9562-d2ade882db0d"}},"signature":"{A3_SIGNATURE}"}}]}}"#
    );
    let flattened = format!(
        r#"{{"payload":"{JOE}","protected":"eyJhbGciOiJFUzI1NiJ9","signature":"{A3_SIGNATURE}"}}"#
    );
    let (header, payload) = (r#"{"alg":"none","crit":["http://example.com/UNDEFINED"]}"#, "FAIL");
    let critical = format!("{}.{}.", B64.encode(header), B64.encode(payload));
    for token in [&general, &flattened, &critical] {
        let refused = verified(token, A3_KEY, None);
        assert_eq!(refused, Err(Refused::Token(Refusal::Malformed)), "{token}");
    }
}

#[test]
fn the_examples_of_the_cookbook_verify() {
    let compact =
        |(header, signature): (&str, &str)| format!("{header}.{COOKBOOK_PAYLOAD}.{signature}");
    for (name, parts, jwk, alg) in [
        ("4.1", COOKBOOK_RS256, COOKBOOK_RSA, Some(Algorithm::Rs256)),
        ("4.2", COOKBOOK_PS384, COOKBOOK_RSA, Some(Algorithm::Ps384)),
        ("4.4", COOKBOOK_HS256, COOKBOOK_HMAC, None),
    ] {
        assert_eq!(verified(&compact(parts), jwk, alg).as_deref(), Ok(COOKBOOK_TEXT), "{name}");
    }
    let detached = format!("{}..{}", COOKBOOK_HS256.0, COOKBOOK_HS256.1);
    let refused = verified(&detached, COOKBOOK_HMAC, None);
    assert_eq!(refused, Err(Refused::Token(Refusal::Signature)), "4.5");
    let exchanged = verified(&compact(COOKBOOK_RS256), COOKBOOK_RSA, Some(Algorithm::Ps384));
    assert_eq!(exchanged, Err(Refused::Token(Refusal::Algorithm)));
}

#[test]
fn unencoded_payloads_of_rfc_7797_are_refused() {
    // Section 4.2: {"alg":"HS256","b64":false,"crit":["b64"]}, payload "$.02" detached.
    let header = B64.encode(r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#);
    for payload in ["", "$.02", &B64.encode("$.02")] {
        let token = format!("{header}.{payload}.A5dxf2s96_n5FLueVuW1Z_vh161FwXZC4YLPff6dmDY");
        let refused = verified(&token, A1_KEY, Some(Algorithm::Hs256));
        assert_eq!(refused, Err(Refused::Token(Refusal::Malformed)), "{payload}");
    }
}

#[test]
fn the_example_of_rfc_8037_verifies_and_its_thumbprint_is_our_kid() {
    let payload = verified(EDWARDS_TOKEN, EDWARDS_KEY, None);
    assert_eq!(payload.as_deref(), Ok("Example of Ed25519 signing"));
    // A.1 and A.3: the private key, as PKCS#8, and the thumbprint of its public half.
    let seed = B64.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
    let prefix = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let key = SigningKey::from_pkcs8(&[&prefix[..], &seed].concat()).unwrap();
    assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    assert_eq!(key.public_jwk()["x"], "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    let again = SigningKey::from_pkcs8(&key.to_pkcs8()).unwrap();
    assert_eq!(again.kid(), key.kid());
    assert!(SigningKey::from_pkcs8(b"").is_err());
    assert!(Key::from_jwk(EDWARDS_KEY.as_bytes(), Some(Algorithm::Es256)).is_err());
}
