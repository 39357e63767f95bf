//! The claims of a token whose signature is good: times, type, audience, and who it is. A claim
//! of the wrong JSON type refuses the token; nothing is skipped because it looks odd.

use serde_json::{Map, Value};

use super::{Claims, NAME_CHARS_MAX, SCOPES_MAX, SUBJECT_BYTES_MAX, TrustedIssuer};
use crate::jws::Parts;
use crate::{Refusal, Role};

type Payload = Map<String, Value>;

/// The end of the year 9999: no honest time lies behind it.
const SECONDS_MAX: i64 = 253_402_300_799;
/// Longest token id, bytes.
const TOKEN_ID_BYTES_MAX: usize = 256;
/// Longest scope, bytes.
const SCOPE_BYTES_MAX: usize = 128;
/// Claims that only ID tokens have.
const ID_TOKEN_CLAIMS: &[&str] = &["nonce", "at_hash", "c_hash", "s_hash"];

/// The times of a token, seconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) expires_s: i64,
    pub(super) starts_s: Option<i64>,
    pub(super) issued_s: Option<i64>,
}

impl Times {
    pub(super) fn of(payload: &Payload) -> Result<Self, Refusal> {
        Ok(Self {
            expires_s: seconds(payload, "exp")?.ok_or(Refusal::Times)?,
            starts_s: seconds(payload, "nbf")?,
            issued_s: seconds(payload, "iat")?,
        })
    }

    /// Good from its start until its end; the end itself is outside.
    pub(super) fn check(&self, now_s: i64, leeway_s: i64) -> Result<(), Refusal> {
        if now_s >= self.expires_s.saturating_add(leeway_s) {
            return Err(Refusal::Expired);
        }
        let latest = now_s.saturating_add(leeway_s);
        let started = self.starts_s.is_none_or(|at| at <= latest);
        let issued = self.issued_s.is_none_or(|at| at <= latest);
        if started && issued { Ok(()) } else { Err(Refusal::NotYet) }
    }
}

fn seconds(payload: &Payload, name: &str) -> Result<Option<i64>, Refusal> {
    let Some(value) = payload.get(name) else { return Ok(None) };
    let seconds = value.as_i64().filter(|seconds| (0..=SECONDS_MAX).contains(seconds));
    seconds.map(Some).ok_or(Refusal::Times)
}

pub(super) fn check_type(
    parts: &Parts<'_>,
    payload: &Payload,
    issuer: &TrustedIssuer,
) -> Result<(), Refusal> {
    let typ = parts.text("typ").map(str::to_ascii_lowercase);
    let plain = match typ.as_deref() {
        Some("at+jwt" | "application/at+jwt") => false,
        None | Some("jwt" | "application/jwt") if issuer.plain_jwt => true,
        _ => return Err(Refusal::Type),
    };
    let nested = parts.header.contains_key("cty");
    let id_token = plain && ID_TOKEN_CLAIMS.iter().any(|name| payload.contains_key(*name));
    if nested || id_token { Err(Refusal::Type) } else { Ok(()) }
}

pub(super) fn check_audience(payload: &Payload, audience: &str) -> Result<(), Refusal> {
    let ours = match payload.get("aud") {
        Some(Value::String(only)) => only == audience,
        Some(Value::Array(list)) => {
            list.iter().all(Value::is_string) && list.iter().any(|one| one == audience)
        }
        _ => false,
    };
    if ours { Ok(()) } else { Err(Refusal::Audience) }
}

pub(super) fn of(
    payload: &Payload,
    issuer: &TrustedIssuer,
    alone: bool,
    times: Times,
) -> Result<Claims, Refusal> {
    let subject = payload.get("sub").and_then(Value::as_str).ok_or(Refusal::Subject)?;
    let fits = !subject.is_empty() && subject.len() <= SUBJECT_BYTES_MAX;
    if !fits || subject.chars().any(char::is_control) {
        return Err(Refusal::Subject);
    }
    Ok(Claims {
        subject: subject.to_owned(),
        user: issuer.user(subject, alone),
        issuer: issuer.issuer.clone(),
        role: role(payload, issuer)?,
        name: text(payload, "name")?.filter(|name| is_showable(name)).map(str::to_owned),
        scopes: scopes(payload)?,
        issued_s: times.issued_s,
        expires_s: times.expires_s,
        token_id: match text(payload, "jti")? {
            Some(id) if id.len() > TOKEN_ID_BYTES_MAX => return Err(Refusal::Claims),
            id => id.map(str::to_owned),
        },
    })
}

fn text<'a>(payload: &'a Payload, name: &str) -> Result<Option<&'a str>, Refusal> {
    match payload.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Refusal::Claims),
    }
}

/// A name is for reading only: one that cannot be shown is left out, and refuses nobody.
fn is_showable(name: &str) -> bool {
    !name.trim().is_empty()
        && name.chars().count() <= NAME_CHARS_MAX
        && !name.chars().any(char::is_control)
}

fn role(payload: &Payload, issuer: &TrustedIssuer) -> Result<Role, Refusal> {
    if issuer.built_in {
        let word = text(payload, "role")?.ok_or(Refusal::Claims)?;
        return word.parse().map_err(|_| Refusal::Claims);
    }
    let Some(value) = issuer.role_claim.as_ref().and_then(|name| payload.get(name)) else {
        return Ok(Role::User);
    };
    let has = |group: &str| match value {
        Value::String(one) => one == group,
        Value::Array(list) => list.iter().any(|one| one == group),
        _ => false,
    };
    let row = issuer.roles.iter().find(|(group, _)| has(group));
    Ok(row.map_or(Role::User, |(_, role)| *role))
}

/// `scope` (RFC 9068) or `scp`, as a text of words or an array of them. Present but empty is
/// refused: no scopes would mean all.
fn scopes(payload: &Payload) -> Result<Vec<String>, Refusal> {
    let words: Vec<&str> = match payload.get("scope").or_else(|| payload.get("scp")) {
        None => return Ok(Vec::new()),
        Some(Value::String(text)) => text.split(' ').collect(),
        Some(Value::Array(list)) => {
            list.iter().map(Value::as_str).collect::<Option<_>>().ok_or(Refusal::Claims)?
        }
        Some(_) => return Err(Refusal::Claims),
    };
    let fits = |word: &&str| {
        !word.is_empty()
            && word.len() <= SCOPE_BYTES_MAX
            && word.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if words.is_empty() || words.len() > SCOPES_MAX || !words.iter().all(fits) {
        return Err(Refusal::Claims);
    }
    Ok(words.into_iter().map(str::to_owned).collect())
}
