//! Why there was no answer, in words for whoever submitted the task. The causes as the libraries
//! spell them go to the task's log; the address, which may hold a secret, goes nowhere.

use std::error::Error as StdError;
use std::io::{self, ErrorKind};

use rustls::{CertificateError, Error as TlsError};
use tasktonic_protocol::stored::LogLevel;
use tasktonic_worker::{Context, Failure};

use super::CONNECT_MS_MAX;
use super::guard::{NotPublic, Unresolved, refused};

/// A request that was not answered.
pub(super) fn failed(error: reqwest::Error, host: &str, cx: &Context) -> Failure {
    let error = error.without_url();
    if chain(&error).any(|cause| cause.is::<NotPublic>()) {
        return refused(host);
    }
    note(&error, host, cx);
    let words = words(&error, host);
    if error.is_builder() {
        Failure::fatal("request_refused", words)
    } else if error.is_connect() {
        Failure::attempt("not_connected", words)
    } else {
        Failure::attempt("not_answered", words)
    }
}

/// An answer that began and did not end.
pub(super) fn broke_off(host: &str) -> Failure {
    Failure::attempt("not_answered", format!("The answer of {host} broke off before its end."))
}

/// Writes the causes into the task's log.
pub(super) fn note(error: &(dyn StdError + 'static), host: &str, cx: &Context) {
    let mut causes: Vec<String> = chain(error).map(ToString::to_string).collect();
    causes.dedup();
    cx.log(LogLevel::Warn, format!("{host}: {}", causes.join(": ")));
}

fn words(error: &reqwest::Error, host: &str) -> String {
    if let Some(tls) = chain(error).find_map(|cause| cause.downcast_ref()) {
        return tls_words(tls, host);
    }
    if let Some(Unresolved { name, .. }) = chain(error).find_map(|cause| cause.downcast_ref()) {
        return format!(
            "The name {name} could not be resolved. Check its spelling; if it is right, the name \
             service does not know it or did not answer."
        );
    }
    if error.is_timeout() && error.is_connect() {
        let s = CONNECT_MS_MAX / 1_000;
        return format!("{host} did not take the connection within {s} s.");
    }
    if error.is_timeout() {
        return format!("{host} did not answer in time.");
    }
    if error.is_builder() {
        return format!(
            "The request to {host} could not be put together; the task's log says why."
        );
    }
    let kind = chain(error).find_map(|cause| cause.downcast_ref()).map(io::Error::kind);
    match kind {
        Some(ErrorKind::ConnectionRefused) => {
            format!("{host} refused the connection. Is a server running there, on that port?")
        }
        Some(ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable) => {
            format!("{host} cannot be reached from here: there is no way to its network.")
        }
        _ if error.is_connect() => format!("No connection to {host} could be made."),
        Some(
            ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof,
        ) => format!("{host} closed the connection before it had answered."),
        _ => format!("{host} took the connection and gave no answer that HTTP knows."),
    }
}

fn tls_words(error: &TlsError, host: &str) -> String {
    use CertificateError::{
        Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
        NotValidYetContext, Revoked, UnknownIssuer,
    };
    match error {
        TlsError::InvalidCertificate(wrong) => match wrong {
            Expired | ExpiredContext { .. } => format!("The certificate of {host} has expired."),
            NotValidYet | NotValidYetContext { .. } => {
                format!(
                    "The certificate of {host} is not valid yet. Is this machine's clock right?"
                )
            }
            NotValidForName | NotValidForNameContext { .. } => {
                format!("The certificate of {host} is for another name.")
            }
            UnknownIssuer => {
                format!("The certificate of {host} comes from nobody this machine trusts.")
            }
            Revoked => format!("The certificate of {host} was revoked."),
            _ => format!("The certificate of {host} is not accepted; the task's log says why."),
        },
        TlsError::InvalidMessage(_) => format!(
            "{host} does not speak TLS on that port. If it serves plain HTTP, begin the address \
             with http://."
        ),
        _ => format!("{host} and this machine agreed on no encrypted connection (TLS)."),
    }
}

/// An error and its causes. One that an I/O error wraps is no cause by its own account.
fn chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error: &&'a (dyn StdError + 'static)| {
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        match wrapped {
            Some(inner) => Some(inner as &(dyn StdError + 'static)),
            None => error.source(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_refused_with_the_reason_a_person_can_act_on() {
        for (wrong, word) in [
            (CertificateError::Expired, "has expired"),
            (CertificateError::NotValidForName, "another name"),
            (CertificateError::UnknownIssuer, "nobody this machine trusts"),
            (CertificateError::BadEncoding, "not accepted"),
        ] {
            let words = tls_words(&TlsError::InvalidCertificate(wrong), "a.example");
            assert!(words.contains("a.example") && words.contains(word), "{words}");
        }
    }

    #[test]
    fn what_an_io_error_wraps_is_found_and_looked_through() {
        let inner = io::Error::new(ErrorKind::InvalidData, TlsError::DecryptError);
        let outer = io::Error::other(inner);
        assert!(chain(&outer).any(|cause| cause.is::<TlsError>()));
    }
}
