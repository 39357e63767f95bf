//! The header fields of a request: found by name, counted, and sorted into those that go on and
//! those that do not.

use super::policy::Limits;

/// Names that a client may not send on: each would be believed by somebody behind us.
const DROPPED: &[&str] = &[
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "x-original-url",
    "x-original-host",
    "x-rewrite-url",
    "x-matched-path",
    "x-now-route-matches",
    "x-prerender-revalidate",
    "x-prerender-revalidate-if-generated",
    "x-action-forwarded",
    "x-http-method-override",
    "next-resume",
];
/// Beginnings of such names: our own identity headers, and what Next.js says to itself.
const DROPPED_FAMILIES: &[&str] =
    &["x-tt-", "x-forwarded-", "x-middleware-", "x-nextjs-", "x-invoke-", "x-vercel-"];
/// Fields about this connection only.
const HOP_BY_HOP: &[&str] =
    &["connection", "upgrade", "keep-alive", "proxy-connection", "te", "http2-settings"];

/// The fields of one request.
#[derive(Clone, Copy)]
pub(super) struct Headers<'a>(&'a [(&'a str, &'a [u8])]);

/// A field that must come once came twice, or holds what is no text.
pub(super) struct Odd;

impl<'a> Headers<'a> {
    /// Nothing when there are too many to look at.
    pub(super) fn of(fields: &'a [(&'a str, &'a [u8])], limits: &Limits) -> Option<Self> {
        let bytes: usize = fields.iter().map(|(name, value)| name.len() + value.len()).sum();
        let fits = fields.len() <= limits.headers_max && bytes <= limits.header_bytes_max;
        fits.then_some(Self(fields))
    }

    /// All values of a field.
    pub(super) fn all(&self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let fields = self.0.iter();
        fields.filter(move |(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// Whether the field is there at all.
    pub(super) fn has(&self, name: &'a str) -> bool {
        self.all(name).next().is_some()
    }

    /// The value of a field that must not come twice.
    pub(super) fn one(&self, name: &'a str) -> Result<Option<&'a str>, Odd> {
        let mut values = self.all(name);
        let first = values.next();
        if values.next().is_some() {
            return Err(Odd);
        }
        first.map(|value| std::str::from_utf8(value).map_err(|_| Odd)).transpose()
    }

    /// The words of a field that is a list: separated by commas, in all its lines.
    pub(super) fn words(&self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.all(name)
            .filter_map(|value| std::str::from_utf8(value).ok())
            .flat_map(|value| value.split(','))
            .map(|word| word.trim_matches([' ', '\t']))
            .filter(|word| !word.is_empty())
    }

    /// The names, in lower case and each once, that do not go on.
    pub(super) fn dropped(&self, socket: bool) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (name, _) in self.0 {
            let is = |other: &&str| name.eq_ignore_ascii_case(other);
            let begins = |family: &&str| {
                let start = name.as_bytes().get(..family.len());
                start.is_some_and(|start| start.eq_ignore_ascii_case(family.as_bytes()))
            };
            let drop = DROPPED.iter().any(is)
                || DROPPED_FAMILIES.iter().any(begins)
                // Some readers take `x_tt_user` for `x-tt-user`.
                || name.contains('_')
                || (!socket && HOP_BY_HOP.iter().any(is));
            if drop && !names.iter().any(|known| is(&known.as_str())) {
                names.push(name.to_ascii_lowercase());
            }
        }
        names
    }
}
