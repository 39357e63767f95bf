//! Every promise in docs/claims.toml names the test that would notice if it broke.

use anyhow::{Context, Result};

use super::Findings;
use crate::sources;

const FILE: &str = "docs/claims.toml";

pub(crate) fn check() -> Result<Findings> {
    let text = sources::text(FILE.as_ref()).context(FILE)?;
    let claims: toml::Table = text.parse().context(FILE)?;
    let mut findings = Findings::new();
    for (claim, proof) in &claims {
        let tests = match proof {
            // `{ feature = "…", tests = … }`: a row of the table of what is proved where.
            toml::Value::Table(row) if row.get("feature").is_some_and(toml::Value::is_str) => {
                row.get("tests").unwrap_or(proof)
            }
            other => other,
        };
        let proofs = match tests {
            toml::Value::Array(list) => list.iter().filter_map(toml::Value::as_str).collect(),
            other => other.as_str().into_iter().collect::<Vec<_>>(),
        };
        if proofs.is_empty() {
            findings.push(format!("{FILE}: \"{claim}\": name its test as \"path::name\""));
        }
        for proof in proofs {
            if let Some(wrong) = wrong_with(proof) {
                findings.push(format!("{FILE}: \"{claim}\": {wrong}"));
            }
        }
    }
    Ok(findings)
}

fn wrong_with(proof: &str) -> Option<String> {
    let Some((file, name)) = proof.split_once("::") else {
        return Some(format!("\"{proof}\" is not of the form \"path::name\""));
    };
    let Some(text) = sources::text(file.as_ref()) else {
        return Some(format!("{file} is not there"));
    };
    // A Rust test is a function; a test of ours in JavaScript is a title in quotes.
    let there = if file.ends_with(".rs") {
        text.contains(&format!("fn {name}("))
    } else {
        ['"', '\'', '`'].iter().any(|quote| text.contains(&format!("{quote}{name}{quote}")))
    };
    (!there).then(|| format!("{file} has no test {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_a_test_that_exists() {
        assert_eq!(wrong_with("xtask/src/tidy/claims.rs::a_proof_is_a_test_that_exists"), None);
        assert!(wrong_with("xtask/src/tidy/claims.rs::a_proof_of_thin_air").is_some());
        assert!(wrong_with("xtask/src/nowhere.rs::a").is_some());
        assert!(wrong_with("nothing").is_some());
    }
}
