//! The forms of `up` that keep a store in one data folder, each its own; and what somebody is told
//! who starts one of them beside another.

use crate::data::Data;
use crate::{fleet, screen};

/// A form of `up` that keeps its store in the data folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The embedded store.
    OneProcess,
    /// One Redis of ours, or one with a replica.
    Redis,
    /// A Redis Cluster of ours.
    Cluster,
}

impl Form {
    const fn command(self) -> &'static str {
        match self {
            Self::OneProcess => "`tasktonic up`",
            Self::Redis => "`tasktonic up --redis`",
            Self::Cluster => "`tasktonic up --cluster`",
        }
    }
}

/// Says on standard error that tasks of other forms are in this folder too, if there are any.
pub(crate) fn tell_of_others(data: &Data, started: Form) {
    if let Some(line) = line(&held(data), started) {
        screen::note(&line);
    }
}

/// The forms that were started in this folder before.
fn held(data: &Data) -> Vec<Form> {
    let embedded = data.store().join("tasks.db").is_file().then_some(Form::OneProcess);
    embedded.into_iter().chain(fleet::forms_held(data.path())).collect()
}

fn line(held: &[Form], started: Form) -> Option<String> {
    let others: Vec<_> =
        held.iter().filter(|form| **form != started).map(|form| form.command()).collect();
    (!others.is_empty()).then(|| {
        format!(
            "note: this folder also holds tasks of {}, which are not shown here; `tasktonic \
             export` and `tasktonic import` move them (docs/guides/modes.md)",
            others.join(" and ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_named_and_one_alone_is_not_mentioned() {
        assert_eq!(line(&[], Form::Redis), None);
        assert_eq!(line(&[Form::Redis], Form::Redis), None);
        let said = line(&[Form::OneProcess, Form::Redis, Form::Cluster], Form::Redis);
        let said = said.unwrap_or_default();
        assert!(said.contains("`tasktonic up` and `tasktonic up --cluster`,"), "{said}");
        assert!(!said.contains('\n') && said.contains("export") && said.contains("import"));
    }
}
