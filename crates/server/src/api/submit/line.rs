//! The queue that a submission goes to: its own or its kind's, and the labels that its worker has to
//! have. Pure.

use tasktonic_core::labels::LABEL_MARK;
use tasktonic_core::{Labels, Name};
use tasktonic_protocol::http::SubmitRequest;
use tasktonic_protocol::problem::FieldError;
use tasktonic_protocol::worker::KindRecord;

use super::out_of_bounds;
use crate::problem::Refusal;

/// Where the task of a submission waits.
pub(super) fn queue(asked: &SubmitRequest, kind: &KindRecord) -> Result<Name, Refusal> {
    let named = asked.queue.as_deref().unwrap_or(&kind.queue);
    if named.contains(LABEL_MARK) {
        return Err(Refusal::bad_request(
            "`queue` names no labels. Name it without them, and the labels in `needs`.",
        ));
    }
    let Ok(queue) = named.parse::<Name>() else {
        return Err(Refusal::bad_request("`queue` is 1 to 64 characters of A-Z a-z 0-9 _ . -"));
    };
    let needs = asked.needs.as_ref().unwrap_or(&kind.needs);
    let labels = Labels::new(needs).map_err(|error| {
        out_of_bounds(vec![FieldError { pointer: "/needs".into(), detail: error.to_string() }])
    })?;
    Ok(queue.with_labels(&labels))
}

#[cfg(test)]
mod tests {
    use serde_json::value::to_raw_value;
    use tasktonic_protocol::problem::Code;

    use super::*;

    fn asked(queue: Option<&str>, needs: Option<&[&str]>) -> SubmitRequest {
        let mut asked = SubmitRequest::new("images", to_raw_value(&()).unwrap());
        asked.queue = queue.map(Into::into);
        asked.needs = needs.map(|needs| needs.iter().map(ToString::to_string).collect());
        asked
    }

    #[test]
    fn the_submission_says_what_is_needed_or_else_the_kind() {
        let plain = KindRecord::new("images");
        let heavy = KindRecord { needs: vec!["gpu".into()], ..KindRecord::new("images") };
        let line = |kind: &KindRecord, queue, needs| {
            queue_of(&asked(queue, needs), kind).map_err(|refusal| refusal.code)
        };
        assert_eq!(line(&plain, None, None).as_deref(), Ok("images"));
        assert_eq!(line(&plain, None, Some(&["gpu", "eu", "gpu"])).as_deref(), Ok("images+eu+gpu"));
        assert_eq!(line(&heavy, None, None).as_deref(), Ok("images+gpu"));
        assert_eq!(line(&heavy, Some("slow"), Some(&["eu"])).as_deref(), Ok("slow+eu"));
        assert_eq!(line(&heavy, None, Some(&[])).as_deref(), Ok("images"));
        assert_eq!(line(&plain, Some("images+gpu"), None), Err(Code::BadRequest));
        assert_eq!(line(&plain, None, Some(&["GPU"])), Err(Code::SubmissionInvalid));
        assert_eq!(line(&plain, None, Some(&["a", "b", "c", "d"])), Err(Code::SubmissionInvalid));
    }

    fn queue_of(asked: &SubmitRequest, kind: &KindRecord) -> Result<String, Refusal> {
        queue(asked, kind).map(|queue| queue.to_string())
    }
}
