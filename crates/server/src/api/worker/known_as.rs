//! The id under which the store knows a remote worker. It is made from the credential that speaks
//! and the id that is given, so that no credential speaks for another's worker, whichever server
//! takes the call: nothing has to be remembered, and nothing can be taken over. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use tasktonic_core::{UserId, WorkerId};
use tasktonic_protocol::problem::Code;

use crate::problem::Refusal;

/// What these ids begin with: never like one of a worker in the server's own process.
const PREFIX: &str = "r-";
/// Characters that say whose worker it is: 96 bits.
const OWNER_CHARS: usize = 16;
/// Characters left for the given id: a worker id has at most 40.
const GIVEN_CHARS_MAX: usize = 40 - PREFIX.len() - OWNER_CHARS - 1;
/// Characters of the end of an id that people see (`protocol::stored::worker_name`).
const TAIL_CHARS: usize = 4;

/// The id under which the store knows the worker that `owner` calls `given`.
///
/// # Errors
/// `forbidden` for an id of a worker in the store's own process, which is taken for dead when that
/// process starts anew.
pub(crate) fn known_as(owner: &UserId, given: &WorkerId) -> Result<WorkerId, Refusal> {
    if given.is_in_process() {
        let prefix = WorkerId::IN_PROCESS;
        let detail = format!("Choose a worker id that does not begin with `{prefix}`.");
        return Err(Refusal::new(Code::Forbidden, detail));
    }
    let given = given.as_str();
    let part = if given.len() <= GIVEN_CHARS_MAX {
        given.to_owned()
    } else {
        let folded = digest(&[given], GIVEN_CHARS_MAX - TAIL_CHARS - 1);
        format!("{folded}-{}", &given[given.len() - TAIL_CHARS..])
    };
    let id = format!("{PREFIX}{}-{part}", owner_mark(owner, &part));
    Ok(id.parse().expect("word characters, and short enough"))
}

/// Whether the store knows a worker of `owner` under this id.
pub(crate) fn is_of(owner: &UserId, known: &WorkerId) -> bool {
    let Some(rest) = known.as_str().strip_prefix(PREFIX) else { return false };
    let Some((mark, part)) = rest.split_at_checked(OWNER_CHARS) else { return false };
    part.strip_prefix('-').is_some_and(|part| mark == owner_mark(owner, part))
}

fn owner_mark(owner: &UserId, part: &str) -> String {
    digest(&[owner.as_str(), part], OWNER_CHARS)
}

/// So many characters of a hash; neither a user id nor a worker id holds a line break.
fn digest(texts: &[&str], chars: usize) -> String {
    let hash = Sha256::digest(format!("remote worker\n{}", texts.join("\n")));
    let mut text = URL_SAFE_NO_PAD.encode(hash);
    text.truncate(chars);
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tasktonic_protocol::stored::worker_name;

    use super::*;

    proptest! {
        #[test]
        fn a_worker_is_its_own_credentials_and_no_others(
            given in "[A-Za-z0-9_-]{1,40}", other in "[A-Za-z0-9_-]{1,40}",
            owner in "[a-z0-9_-]{1,32}", stranger in "[a-z0-9_-]{1,32}",
        ) {
            let id = |text: &str| text.parse::<WorkerId>().unwrap();
            let (crew, others) = (UserId::encode(&owner), UserId::encode(&stranger));
            prop_assume!(!id(&given).is_in_process() && !id(&other).is_in_process());
            let known = known_as(&crew, &id(&given)).unwrap();
            prop_assert!(is_of(&crew, &known) && !known.is_in_process());
            prop_assert_eq!(&known, &known_as(&crew, &id(&given)).unwrap());
            if crew != others {
                prop_assert!(!is_of(&others, &known));
                prop_assert_ne!(&known, &known_as(&others, &id(&given)).unwrap());
                prop_assert_ne!(&known, &known_as(&others, &id(&other)).unwrap());
            }
            if given != other {
                prop_assert_ne!(&known, &known_as(&crew, &id(&other)).unwrap());
            }
            // What people see of it is what its worker says of itself.
            if given.len() >= TAIL_CHARS {
                prop_assert_eq!(worker_name("vm", known.as_str()), worker_name("vm", &given));
            }
            // The id itself cannot be given to be taken for its owner's.
            prop_assert_ne!(known_as(&others, &known).unwrap(), known.clone());
        }

        #[test]
        fn what_is_no_such_id_is_nobodys(text in "[A-Za-z0-9_-]{1,40}") {
            let known: WorkerId = text.parse().unwrap();
            prop_assert!(!is_of(&UserId::encode("crew"), &known));
        }
    }

    #[test]
    fn a_worker_of_the_stores_own_process_is_nobody_from_outside() {
        let crew = UserId::encode("crew");
        let refused = known_as(&crew, &"in-7".parse().unwrap()).unwrap_err();
        assert_eq!(refused.code, Code::Forbidden);
        assert!(!is_of(&crew, &"in-7".parse().unwrap()));
    }
}
