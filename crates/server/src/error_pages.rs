//! The pages about errors under `/docs/errors`: what a refusal's `type` names. They are the
//! documents of the repository, built in, so that they always fit the codes of this release.
//! Never knows who asks: whoever was refused may have no token to read them with.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::Path;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use pulldown_cmark::{Event, Parser, Tag, TagEnd, html::push_html};
use tasktonic_protocol::problem::Code;

use crate::App;
use crate::problem::Refusal;

/// A page may be kept for an hour: it changes with a release only.
const KEEP: &str = "public, max-age=3600";
/// It loads nothing, sends nothing, and is shown in no frame.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";
const STYLE: &str = include_str!("error_pages/page.css");
/// Where the pages are.
const PLACE: &str = "/docs/errors";

/// `/docs/errors` and a page for each code.
pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/docs/errors", get(list))
        .route("/docs/errors/", get(list))
        .route("/docs/errors/{code}", get(page))
}

async fn list() -> Response {
    static LIST: LazyLock<String> = LazyLock::new(render_list);
    answer(&LIST)
}

async fn page(Path(code): Path<String>) -> Response {
    static PAGES: LazyLock<BTreeMap<&'static str, String>> =
        LazyLock::new(|| Code::ALL.iter().map(|code| (code.name(), render_page(*code))).collect());
    match PAGES.get(code.as_str()) {
        Some(page) => answer(page),
        None => Refusal::not_found().into_response(),
    }
}

fn answer(page: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, KEEP),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, page).into_response()
}

macro_rules! documents {
    ($($code:ident $name:literal,)*) => {
        /// The document of a code. A code without one does not compile.
        const fn document(code: Code) -> &'static str {
            match code {
                $(Code::$code => include_str!(concat!("../../../docs/errors/", $name, ".md")),)*
            }
        }
    };
}

documents! {
    AlreadyEnded "already_ended",
    AmbiguousTarget "ambiguous_target",
    BadRequest "bad_request",
    ChangedMeanwhile "changed_meanwhile",
    CredentialsInvalid "credentials_invalid",
    FlowClosed "flow_closed",
    FlowInvalid "flow_invalid",
    Forbidden "forbidden",
    ForeignOrigin "foreign_origin",
    HeadersTooLarge "headers_too_large",
    IdempotencyConflict "idempotency_conflict",
    Internal "internal",
    KindUnknown "kind_unknown",
    LostLease "lost_lease",
    MediaTypeUnsupported "media_type_unsupported",
    BytesExceeded "bytes_exceeded",
    MethodNotAllowed "method_not_allowed",
    NotEnded "not_ended",
    NotFound "not_found",
    NotRetryable "not_retryable",
    NotWaiting "not_waiting",
    OutcomeUnknown "outcome_unknown",
    PagesUnavailable "pages_unavailable",
    PayloadInvalid "payload_invalid",
    PayloadTooLarge "payload_too_large",
    QuotaExceeded "quota_exceeded",
    ServerUnavailable "server_unavailable",
    SubmissionInvalid "submission_invalid",
    ScheduleExists "schedule_exists",
    ScheduleInvalid "schedule_invalid",
    StoreDiskFull "store_disk_full",
    StoreFull "store_full",
    StoreUnavailable "store_unavailable",
    TokenAlgorithm "token_algorithm",
    TokenExpired "token_expired",
    TokenInvalid "token_invalid",
    TokenMissing "token_missing",
    TooManyRequests "too_many_requests",
    UnknownHost "unknown_host",
    UpgradeRequired "upgrade_required",
}

/// What a document says in its first lines, and the rest.
struct Document {
    /// What happened, one sentence.
    means: &'static str,
    /// Everything from the first heading of the second rank.
    rest: &'static str,
}

/// Takes a document apart: `# code`, then `STATUS · sentence`, then the rest.
fn parts(code: Code) -> Document {
    let text = document(code);
    let (head, rest) = text.split_at(text.find("\n## ").unwrap_or(text.len()));
    let line = head.lines().nth(2).unwrap_or_default();
    Document { means: line.split_once(" · ").map_or("", |(_, means)| means), rest }
}

fn render_page(code: Code) -> String {
    let Document { means, rest } = parts(code);
    let mut main = format!(
        "<nav><a href=\"{PLACE}\">All errors</a></nav>\n\
         <p class=\"code\"><span class=\"status s{family}\">{status}</span> <code>{name}</code></p>\n\
         <h1>{title}</h1>\n",
        family = code.status() / 100,
        status = code.status(),
        name = code.name(),
        title = escape(code.title()),
    );
    if means.trim_end_matches('.') != code.title() {
        writeln!(main, "<p class=\"means\">{}</p>", inline(means))
            .expect("a string takes all that is written");
    }
    push_html(&mut main, safe(rest));
    whole(code.title(), &main)
}

fn render_list() -> String {
    let mut main = String::from(
        "<h1>Errors</h1>\n<p class=\"means\">Every refusal is an \
         <code>application/problem+json</code> document. Its <code>code</code> is stable and one \
         of these; each has a page that says what it means and what to do.</p>\n<ul class=\"list\">\n",
    );
    let mut codes = Code::ALL.to_vec();
    codes.sort_unstable_by_key(|code| code.name());
    for code in codes {
        let (name, status) = (code.name(), code.status());
        writeln!(
            main,
            "<li><a href=\"{PLACE}/{name}\"><span class=\"status s{}\">{status}</span>\
             <code>{name}</code><span class=\"says\">{}</span></a></li>",
            status / 100,
            plain(parts(code).means),
        )
        .expect("a string takes all that is written");
    }
    main.push_str("</ul>\n");
    whole("Errors", &main)
}

fn whole(title: &str, main: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{} · Task Tonic</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header><p>Task Tonic</p></header>\n<main>\n{main}</main>\n</body>\n</html>\n",
        escape(title)
    )
}

/// A document's events as they may stand in a page: links to other pages of errors lead there,
/// every other link is its text, and no markup passes through.
fn safe(markdown: &str) -> impl Iterator<Item = Event<'_>> {
    let mut open = Vec::new();
    Parser::new(markdown).filter_map(move |event| match event {
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            let place = place_of(&dest_url);
            open.push(place.is_some());
            let dest_url = place?.into();
            Some(Event::Start(Tag::Link { link_type, dest_url, title, id }))
        }
        Event::End(TagEnd::Link) => open.pop()?.then_some(Event::End(TagEnd::Link)),
        Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => None,
        Event::Html(text) | Event::InlineHtml(text) => Some(Event::Text(text)),
        other => Some(other),
    })
}

/// Where a link of a document leads among these pages.
fn place_of(link: &str) -> Option<String> {
    let name = link.strip_suffix(".md")?;
    if name == "README" {
        return Some(PLACE.to_owned());
    }
    Code::from_name(name).map(|code| format!("{PLACE}/{}", code.name()))
}

/// One sentence with its code and its links.
fn inline(sentence: &str) -> String {
    let paragraph = |event: &Event<'_>| {
        matches!(event, Event::Start(Tag::Paragraph) | Event::End(TagEnd::Paragraph))
    };
    let mut html = String::new();
    push_html(&mut html, safe(sentence).filter(|event| !paragraph(event)));
    html
}

/// One sentence that stands inside a link.
fn plain(sentence: &str) -> String {
    let mut text = String::new();
    for event in Parser::new(sentence) {
        if let Event::Text(part) | Event::Code(part) = event {
            text.push_str(&part);
        }
    }
    escape(&text)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_own_document_and_a_page_that_shows_it_whole() {
        for code in Code::ALL {
            let begins = format!("# {}\n\n{} · ", code.name(), code.status());
            assert!(document(*code).starts_with(&begins), "{code:?}");
            let page = render_page(*code);
            let title = format!("<h1>{}</h1>", escape(code.title()));
            for part in [&title, "<h2>What it means</h2>", "<h2>What to do</h2>"] {
                assert!(page.contains(part), "{code:?}: no {part:?}");
            }
            assert!(!parts(*code).means.is_empty(), "{code:?}");
        }
    }

    #[test]
    fn every_link_of_every_page_leads_to_a_page_that_is_served() {
        let names: Vec<_> =
            Code::ALL.iter().map(|code| format!("{PLACE}/{}", code.name())).collect();
        let mut pages: Vec<_> = Code::ALL.iter().map(|code| render_page(*code)).collect();
        pages.push(render_list());
        let mut led = 0;
        for page in pages {
            for link in page.split("href=\"").skip(1) {
                let to = link.split('"').next().unwrap();
                assert!(to == PLACE || names.iter().any(|name| name == to), "{to}");
                led += 1;
            }
            assert!(!page.contains("src=") && !page.contains("<script"));
        }
        assert!(led >= 2 * Code::ALL.len(), "{led}");
    }

    #[test]
    fn no_markup_and_no_foreign_link_passes_through() {
        let mut html = String::new();
        let text = "[a](https://evil.example) [b](javascript:alert) ![c](d.png) <b>e</b> \
                    [f](lost_lease.md)\n\n<script>g</script>\n";
        push_html(&mut html, safe(text));
        assert!(html.starts_with("<p>a b c &lt;b&gt;e&lt;/b&gt; "), "{html}");
        assert!(html.contains("<a href=\"/docs/errors/lost_lease\">f</a>"), "{html}");
        assert!(!html.contains("evil") && !html.contains("<script"), "{html}");
    }
}
