//! What only the inside of identities can be asked: places of hashing, and changes at the worst
//! moment.

use std::time::Duration;

use tasktonic_store::model::ModelStore;

use super::*;

const PASSWORD: &str = "correct horse 1";

async fn with_ana() -> (Identity, tempfile::TempDir) {
    let scratch = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let store = Arc::new(ModelStore::new(clock.clone()));
    let identity = Identity::open(store, scratch.path(), Vec::new(), clock).unwrap();
    identity.create_account("ana", PASSWORD, Role::User).await.unwrap();
    (identity, scratch)
}

fn home() -> IpAddr {
    std::net::Ipv4Addr::LOCALHOST.into()
}

async fn sign_in(identity: &Identity) -> Result<Tokens, Denied> {
    identity.sign_in("ana", PASSWORD.to_owned(), home()).await
}

#[tokio::test]
async fn a_hash_keeps_its_place_though_whoever_asked_has_gone() {
    let (identity, _scratch) = with_ana().await;
    let asked = tokio::spawn({
        let identity = identity.clone();
        async move { sign_in(&identity).await.is_ok() }
    });
    let free = || identity.0.hashing.available_permits();
    while free() == HASHES_MAX {
        tokio::task::yield_now().await;
    }
    asked.abort();
    assert!(asked.await.is_err(), "it was given up in the midst of the hash");
    assert_eq!(free(), HASHES_MAX - 1, "the hash goes on, and holds its place");
    let all = identity.0.hashing.acquire_many(HASHES_MAX as u32);
    drop(tokio::time::timeout(Duration::from_secs(30), all).await.unwrap().unwrap());
}

#[tokio::test]
async fn a_sign_in_under_way_does_not_survive_a_change_of_the_password() {
    let (identity, _scratch) = with_ana().await;
    let held = identity.0.hashing.clone().acquire_many_owned(HASHES_MAX as u32).await.unwrap();
    let asked = tokio::spawn({
        let identity = identity.clone();
        async move { sign_in(&identity).await }
    });
    while identity.0.waiting.available_permits() == HASHES_WAITING_MAX {
        tokio::task::yield_now().await;
    }
    // It has read the account, and waits for its turn.
    identity.set_password("ana", "another horse 2").await.unwrap();
    drop(held);
    assert!(matches!(asked.await.unwrap(), Err(Denied::Credentials)));
    assert_eq!(identity.registry().list(Table::Refresh).await.unwrap(), []);
}

#[tokio::test]
async fn the_oldest_sign_ins_of_a_user_end_when_there_are_too_many() {
    let (identity, _scratch) = with_ana().await;
    for n in 0..SIGN_INS_MAX + 3 {
        let (family, _) = refresh::start("ana", identity.0.clock.now_ms() + n as i64);
        let put =
            identity.registry().put(Table::Refresh, &family.id, to_json(&family), Expect::Absent);
        put.await.unwrap();
    }
    let (other, _) = refresh::start("ben", identity.0.clock.now_ms());
    identity
        .registry()
        .put(Table::Refresh, &other.id, to_json(&other), Expect::Absent)
        .await
        .unwrap();
    assert_eq!(identity.forget_expired().await.unwrap(), 3);
    let kept = identity.registry().list(Table::Refresh).await.unwrap();
    assert_eq!(kept.len(), SIGN_INS_MAX + 1);
    assert_eq!(identity.forget_expired().await.unwrap(), 0);
}

#[tokio::test]
async fn a_bad_key_file_leaves_the_old_keys() {
    let scratch = tempfile::tempdir().unwrap();
    let jwks = scratch.path().join("jwks.json");
    let theirs = Issuer::new("https://id.example", tasktonic_auth::SigningKey::generate());
    std::fs::write(&jwks, theirs.jwks_json()).unwrap();
    let file = IssuerFile {
        issuer: "https://id.example".to_owned(),
        audience: AUDIENCE.to_owned(),
        jwks: jwks.clone(),
        algorithm: None,
        secrets: false,
        role_claim: None,
        roles: Vec::new(),
    };
    let clock = Clock::system();
    let store = Arc::new(ModelStore::new(clock.clone()));
    let keys = scratch.path().join("keys");
    let identity = Identity::open(store, &keys, vec![file], clock).unwrap();
    let new = NewToken {
        subject: "ana".to_owned(),
        role: Role::User,
        name: None,
        scopes: Vec::new(),
        ttl_s: 600,
        audience: AUDIENCE.to_owned(),
    };
    let token = theirs.mint(&new, identity.now_s());
    for bad in ["", "{", r#"{"keys":[]}"#, r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#] {
        std::fs::write(&jwks, bad).unwrap();
        identity.reload_issuers();
        assert!(identity.verify(&token).is_ok(), "{bad}");
    }
    std::fs::remove_file(&jwks).unwrap();
    identity.reload_issuers();
    assert!(identity.verify(&token).is_ok());
}
