//! All that a front door goes by, as one text: so that another process can decide the same. It
//! holds public keys, and shared secrets only where its reader may have them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tasktonic_protocol::strict::strict_value;

use super::{Head, Limits, Policy, PolicyError, Verdict, decide};
use crate::{Algorithm, KeySet, Role, TrustedIssuer, Verifier, key, verify};

/// The form of the document that is written and read here.
pub const VERSION: u32 = 1;
/// Largest document, bytes.
pub const DOCUMENT_BYTES_MAX: usize = 1024 * 1024;
/// Members of a key that whoever verifies needs. Others (private ones among them) do not travel.
const PUBLIC_MEMBERS: &[&str] = &["kty", "use", "key_ops", "alg", "kid", "n", "e", "crv", "x", "y"];
/// The member that is a shared secret.
const SECRET_MEMBER: &str = "k";

/// What the front door goes by.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// [`VERSION`].
    pub v: u32,
    /// The origins it answers for.
    pub origins: Vec<String>,
    /// Whether `/ws/echo` exists: in test builds only.
    pub test_hooks: bool,
    /// Header fields of one request, at most.
    pub headers_max: usize,
    /// Bytes of all names and values of a request together, at most.
    pub header_bytes_max: usize,
    /// Bytes of a target, at most.
    pub target_bytes_max: usize,
    /// How much clocks may differ, seconds.
    pub leeway_s: u32,
    /// Whose tokens are believed.
    pub issuers: Vec<IssuerPart>,
}

/// One issuer in a [`Document`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerPart {
    /// As in `iss`.
    pub issuer: String,
    /// Must be among `aud`.
    pub audience: String,
    /// See [`TrustedIssuer::built_in`].
    pub built_in: bool,
    /// See [`TrustedIssuer::plain_jwt`].
    pub plain_jwt: bool,
    /// See [`TrustedIssuer::role_claim`].
    pub role_claim: Option<String>,
    /// Values of that claim, and the names of the roles they mean.
    pub roles: Vec<(String, String)>,
    /// The name of the algorithm of keys that name none.
    pub algorithm: Option<String>,
    /// Whether the keys may be shared secrets.
    pub secrets: bool,
    /// JSON Web Keys.
    pub keys: Vec<Map<String, Value>>,
}

/// Why a document cannot be used. Never holds key material.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Too large, not JSON, a member twice, missing or unknown.
    #[error("the door document is not as it must be: {0}")]
    Malformed(String),
    /// Of another version.
    #[error(
        "the door document has version {0}, and this library reads {VERSION}; install both from one release"
    )]
    Version(u64),
    /// Origins.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A name that means nothing here.
    #[error("the issuer {issuer} has the {what} {name:?}, which is not known here")]
    Unknown {
        /// Whose.
        issuer: String,
        /// Role or algorithm.
        what: &'static str,
        /// As it is spelled.
        name: String,
    },
    /// The keys of an issuer.
    #[error("the keys of the issuer {issuer}: {error}")]
    Keys {
        /// Whose.
        issuer: String,
        /// Why.
        error: key::Error,
    },
    /// The issuers together.
    #[error(transparent)]
    Issuers(#[from] verify::Error),
}

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Document")
            .field("origins", &self.origins)
            .field("issuers", &self.issuers)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for IssuerPart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuerPart")
            .field("issuer", &self.issuer)
            .field("secrets", &self.secrets)
            .field("keys", &self.keys.len())
            .finish_non_exhaustive()
    }
}

impl Document {
    /// The document of this policy, these clocks and these issuers.
    #[must_use]
    pub fn new(policy: &Policy, leeway_s: u32, issuers: Vec<IssuerPart>) -> Self {
        Self {
            v: VERSION,
            origins: policy.origins().iter().map(ToString::to_string).collect(),
            test_hooks: policy.test_hooks,
            headers_max: policy.limits.headers_max,
            header_bytes_max: policy.limits.header_bytes_max,
            target_bytes_max: policy.limits.target_bytes_max,
            leeway_s,
            issuers,
        }
    }

    /// The same for a reader that may not have secrets: without the issuers that use them.
    #[must_use]
    pub fn without_secrets(mut self) -> Self {
        self.issuers.retain(|issuer| !issuer.secrets);
        self
    }

    /// Its text.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("the members are texts and numbers")
    }
}

impl IssuerPart {
    /// An issuer whose keys are those of a JWKS document (JSON text): only what verifying needs.
    ///
    /// # Errors
    /// [`key::Error::Document`].
    pub fn new(
        issuer: &TrustedIssuer,
        jwks: &[u8],
        algorithm: Option<Algorithm>,
        secrets: bool,
    ) -> Result<Self, key::Error> {
        let document = crate::json::object(jwks).ok_or(key::Error::Document)?;
        let Some(Value::Array(entries)) = document.get("keys") else {
            return Err(key::Error::Document);
        };
        let wanted =
            |name: &str| PUBLIC_MEMBERS.contains(&name) || (secrets && name == SECRET_MEMBER);
        // What is no object would be left out by whoever reads it.
        let keys = entries.iter().filter_map(Value::as_object).map(|members| {
            let kept = members.iter().filter(|(name, _)| wanted(name));
            kept.map(|(name, value)| (name.clone(), value.clone())).collect()
        });
        Ok(Self {
            issuer: issuer.issuer.clone(),
            audience: issuer.audience.clone(),
            built_in: issuer.built_in,
            plain_jwt: issuer.plain_jwt,
            role_claim: issuer.role_claim.clone(),
            roles: issuer
                .roles
                .iter()
                .map(|(value, role)| (value.clone(), role.name().to_owned()))
                .collect(),
            algorithm: algorithm.map(|algorithm| algorithm.name().to_owned()),
            secrets,
            keys: keys.collect(),
        })
    }

    fn trusted(self) -> Result<TrustedIssuer, DocumentError> {
        let unknown = |what, name: &str| DocumentError::Unknown {
            issuer: self.issuer.clone(),
            what,
            name: name.to_owned(),
        };
        let algorithm = match &self.algorithm {
            None => None,
            Some(name) => Some(Algorithm::from_name(name).ok_or(unknown("algorithm", name))?),
        };
        let mut roles = Vec::with_capacity(self.roles.len());
        for (value, name) in &self.roles {
            let role = name.parse::<Role>().map_err(|_| unknown("role", name))?;
            roles.push((value.clone(), role));
        }
        let keys = if self.keys.is_empty() {
            Ok(KeySet::default())
        } else {
            let json = serde_json::json!({ "keys": self.keys }).to_string();
            if self.secrets {
                KeySet::from_local_file(json.as_bytes(), algorithm)
            } else {
                KeySet::from_jwks(json.as_bytes(), algorithm)
            }
        };
        let keys =
            keys.map_err(|error| DocumentError::Keys { issuer: self.issuer.clone(), error })?;
        Ok(TrustedIssuer {
            issuer: self.issuer,
            audience: self.audience,
            keys,
            built_in: self.built_in,
            plain_jwt: self.plain_jwt,
            role_claim: self.role_claim,
            roles,
        })
    }
}

/// A front door that was made from a document.
#[derive(Debug)]
pub struct Door {
    policy: Policy,
    verifier: Verifier,
}

impl Door {
    /// The door that a document (JSON text) describes: whole, or an error.
    ///
    /// # Errors
    /// See [`DocumentError`].
    pub fn read(json: &[u8]) -> Result<Self, DocumentError> {
        let malformed = |why: &dyn std::fmt::Display| DocumentError::Malformed(why.to_string());
        if json.len() > DOCUMENT_BYTES_MAX {
            return Err(malformed(&"larger than 1 MiB"));
        }
        let value = strict_value(json).map_err(|_| malformed(&"no JSON, or a member twice"))?;
        if let Some(v) = value.get("v").and_then(Value::as_u64)
            && v != u64::from(VERSION)
        {
            return Err(DocumentError::Version(v));
        }
        // The error of the library may quote a value.
        let document: Document = serde_json::from_value(value)
            .map_err(|_| malformed(&"a member is missing, unknown or of another type"))?;
        let mut policy = Policy::parse(document.origins.iter().map(String::as_str))?;
        policy.test_hooks = document.test_hooks;
        policy.limits = Limits {
            headers_max: document.headers_max,
            header_bytes_max: document.header_bytes_max,
            target_bytes_max: document.target_bytes_max,
        };
        let issuers = document.issuers.into_iter().map(IssuerPart::trusted);
        let verifier = Verifier::new(issuers.collect::<Result<_, _>>()?, document.leeway_s)?;
        Ok(Self { policy, verifier })
    }

    /// [`decide`] by this document.
    #[must_use]
    pub fn decide(&self, head: &Head<'_>, now_s: i64) -> Verdict {
        decide(head, &self.policy, &self.verifier, now_s)
    }

    /// Whether, since this was last asked, a token named a key or an issuer that the document does
    /// not have: a newer document may.
    #[must_use]
    pub fn wants_keys(&self) -> bool {
        self.verifier.take_unknown()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Issuer, NewToken, SigningKey};

    const NOW_S: i64 = 1_800_000_000;

    fn part(issuer: &TrustedIssuer, keys: Value, secrets: bool) -> IssuerPart {
        let jwks = serde_json::json!({ "keys": keys }).to_string();
        IssuerPart::new(issuer, jwks.as_bytes(), None, secrets).unwrap()
    }

    fn external() -> TrustedIssuer {
        TrustedIssuer {
            role_claim: Some("groups".to_owned()),
            roles: vec![("staff".to_owned(), Role::Operator)],
            ..TrustedIssuer::external("https://id.example", "tasks", KeySet::default())
        }
    }

    fn policy() -> Policy {
        Policy::parse(["https://tasks.example.com", "http://localhost:8080"]).unwrap()
    }

    #[test]
    fn only_what_verifying_needs_travels() {
        let key = serde_json::json!({
            "kty": "RSA", "n": "AQAB", "e": "AQAB", "d": "private", "p": "private", "q": "private",
            "dp": "private", "k": "private", "x5c": ["certificate"], "kid": "a", "alg": "RS256",
        });
        let json = Document::new(
            &policy(),
            5,
            vec![part(&external(), [key].into_iter().collect(), false)],
        );
        let json = json.to_json();
        assert!(json.contains("\"kid\":\"a\"") && json.contains("groups"), "{json}");
        assert!(!json.contains("private") && !json.contains("certificate"), "{json}");
    }

    #[test]
    fn secrets_stay_where_they_may_not_travel_and_are_shown_nowhere() {
        let secret = "c2hhcmVkIHNlY3JldCBvZiB0aGlydHktdHdvIGJ5dGVzISE";
        let key = serde_json::json!([{ "kty": "oct", "alg": "HS256", "k": secret }]);
        let document = Document::new(&policy(), 5, vec![part(&external(), key, true)]);
        assert!(document.to_json().contains(secret));
        assert!(Door::read(document.to_json().as_bytes()).is_ok());
        assert!(!format!("{document:?}").contains(secret));
        assert!(!document.without_secrets().to_json().contains(secret));
    }

    #[test]
    fn a_door_from_a_document_decides_like_the_one_it_was_made_from() {
        let (policy, key) = (policy(), SigningKey::generate());
        let own = TrustedIssuer::built_in("tasktonic", "tasktonic", KeySet::default());
        let issuer = Issuer::new("tasktonic", key);
        let jwks: Value = serde_json::from_str(&issuer.jwks_json()).unwrap();
        let part = part(&own, jwks["keys"].clone(), false);
        let door = Door::read(Document::new(&policy, 5, vec![part]).to_json().as_bytes()).unwrap();
        let trusted = TrustedIssuer::built_in("tasktonic", "tasktonic", issuer.key_set());
        let verifier = Verifier::new(vec![trusted], 5).unwrap();
        let token = issuer.mint(
            &NewToken {
                subject: "ada".to_owned(),
                role: Role::User,
                name: None,
                scopes: Vec::new(),
                ttl_s: 600,
                audience: "tasktonic".to_owned(),
            },
            NOW_S,
        );
        let bearer = format!("Bearer {token}");
        for (host, authorization) in [
            ("tasks.example.com", bearer.as_str()),
            ("localhost:8080", bearer.as_str()),
            ("evil.example", bearer.as_str()),
            ("tasks.example.com", "Bearer a.b.c"),
        ] {
            let headers: [(&str, &[u8]); 2] =
                [("host", host.as_bytes()), ("authorization", authorization.as_bytes())];
            let head = Head { method: "GET", target: "/api/v1/tasks", headers: &headers };
            for now_s in [NOW_S, NOW_S + 605, NOW_S + 606] {
                assert_eq!(
                    door.decide(&head, now_s),
                    decide(&head, &policy, &verifier, now_s),
                    "{host} {now_s}"
                );
            }
        }
    }

    #[test]
    fn what_is_wrong_with_a_document_is_said_without_its_content() {
        let good: Value =
            serde_json::from_str(&Document::new(&policy(), 5, Vec::new()).to_json()).unwrap();
        let with = |name: &str, value: Value| {
            let mut changed = good.clone();
            changed[name] = value;
            Door::read(changed.to_string().as_bytes()).unwrap_err().to_string()
        };
        assert!(Door::read(good.to_string().as_bytes()).is_ok());
        assert!(with("v", 2.into()).contains("one release"));
        assert!(with("new", "s3cret".into()).contains("unknown"));
        assert!(!with("leeway_s", "s3cret".into()).contains("s3cret"));
        assert!(with("leeway_s", 301.into()).contains("300"));
        assert!(with("origins", serde_json::json!([])).contains("origin"));
        let mut issuer =
            serde_json::to_value(part(&external(), serde_json::json!([]), false)).unwrap();
        issuer["roles"] = serde_json::json!([["a", "king"]]);
        assert!(with("issuers", serde_json::json!([issuer])).contains("king"));
        for text in ["", "{}", "[]", "{\"v\":1,\"v\":1}"] {
            assert!(
                matches!(Door::read(text.as_bytes()), Err(DocumentError::Malformed(_))),
                "{text}"
            );
        }
    }
}
