//! What the command line says of attempts: `--backoff`, `--rule` and `--keep`, each in one word.

use tasktonic_protocol::policy::{Action, Backoff, Keep, Rule};
use tasktonic_protocol::time::parse_duration_ms;

/// How a task is attempted and kept, where it is not as its kind has it.
#[derive(clap::Args)]
#[command(next_help_heading = "Attempts")]
pub(super) struct Policy {
    /// Attempts in all
    #[arg(long, value_name = "N")]
    attempts_max: Option<u32>,
    /// Attempts that may end with the loss of their worker
    #[arg(long, value_name = "N")]
    crashes_max: Option<u32>,
    /// The wait between attempts: fixed:5s, exponential:2s,2,10m (first, growth, longest), or
    /// list:1s,10s,1m
    #[arg(long, value_name = "FORM", value_parser = backoff)]
    backoff: Option<Backoff>,
    /// Share of the waits that is spread at random, 0 to 1
    #[arg(long, value_name = "SHARE", requires = "backoff")]
    jitter: Option<f64>,
    /// What follows an error of this code (with * at its end: of all that begin like it): bury, again,
    /// or the time after which; the first that fits decides
    #[arg(long = "rule", value_name = "CODE=bury|again|TIME", value_parser = rule)]
    rules: Vec<Rule>,
    /// Tell the handler to stop after this long
    #[arg(long, value_name = "MS")]
    soft_timeout_ms: Option<u64>,
    /// Longest run of one attempt: then it is cut off
    #[arg(long, value_name = "MS")]
    timeout_ms: Option<u64>,
    /// How long the task is kept after its end
    #[arg(long, value_name = "completed|cancelled|failed=TIME", value_parser = keep)]
    keep: Vec<Keep>,
}

impl Policy {
    /// Writes what was said into a submission.
    pub(super) fn fill(self, request: &mut tasktonic_protocol::http::SubmitRequest) {
        let Self { attempts_max, crashes_max, backoff, jitter, rules, .. } = self;
        request.attempts_max = attempts_max;
        request.crashes_max = crashes_max;
        request.backoff = backoff.map(|backoff| match jitter {
            Some(jitter) => spread(backoff, jitter),
            None => backoff,
        });
        request.rules = (!rules.is_empty()).then_some(rules);
        request.soft_timeout_ms = self.soft_timeout_ms;
        request.timeout_ms = self.timeout_ms;
        request.keep = self.keep.into_iter().reduce(|all, one| Keep {
            completed_s: one.completed_s.or(all.completed_s),
            cancelled_s: one.cancelled_s.or(all.cancelled_s),
            failed_s: one.failed_s.or(all.failed_s),
        });
    }
}

fn spread(backoff: Backoff, jitter: f64) -> Backoff {
    match backoff {
        Backoff::Fixed { wait_ms, .. } => Backoff::Fixed { wait_ms, jitter },
        Backoff::Exponential { base_ms, factor, max_ms, .. } => {
            Backoff::Exponential { base_ms, factor, max_ms, jitter }
        }
        Backoff::List { waits_ms, .. } => Backoff::List { waits_ms, jitter },
    }
}

/// A length of time, in ms.
pub(super) fn time(text: &str) -> Result<u64, String> {
    parse_duration_ms(text)
        .ok_or_else(|| format!("{text:?} is no length of time; write it like 90s, 5m or 1h30m"))
}

fn backoff(text: &str) -> Result<Backoff, String> {
    const FORMS: &str = "one of fixed:5s, exponential:2s,2,10m and list:1s,10s,1m";
    let jitter = tasktonic_core::policy::Backoff::JITTER_DEFAULT;
    let (form, said) = text.split_once(':').ok_or(FORMS)?;
    let parts: Vec<&str> = said.split(',').collect();
    match (form, &parts[..]) {
        ("fixed", [wait]) => Ok(Backoff::Fixed { wait_ms: time(wait)?, jitter }),
        ("exponential", [first, growth, longest]) => Ok(Backoff::Exponential {
            base_ms: time(first)?,
            factor: growth
                .parse()
                .map_err(|_| format!("{growth:?} is no growth; write 2 or 1.5"))?,
            max_ms: time(longest)?,
            jitter,
        }),
        ("list", waits) => {
            let waits_ms = waits.iter().map(|wait| time(wait)).collect::<Result<_, _>>()?;
            Ok(Backoff::List { waits_ms, jitter })
        }
        _ => Err(FORMS.into()),
    }
}

fn rule(text: &str) -> Result<Rule, String> {
    let (code, then) = text.split_once('=').ok_or("CODE=bury, CODE=again or CODE=30s")?;
    match then {
        "bury" => Ok(Rule::new(code, Action::Bury)),
        "again" => Ok(Rule::new(code, Action::Again)),
        after => Ok(Rule { after_ms: Some(time(after)?), ..Rule::new(code, Action::AgainAfter) }),
    }
}

fn keep(text: &str) -> Result<Keep, String> {
    const WORDS: &str = "completed=1h, cancelled=1h or failed=30d";
    let (end, kept) = text.split_once('=').ok_or(WORDS)?;
    let kept_s = Some(u32::try_from(time(kept)? / 1_000).unwrap_or(u32::MAX));
    match end {
        "completed" => Ok(Keep { completed_s: kept_s, ..Keep::default() }),
        "cancelled" => Ok(Keep { cancelled_s: kept_s, ..Keep::default() }),
        "failed" => Ok(Keep { failed_s: kept_s, ..Keep::default() }),
        _ => Err(WORDS.into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        policy: Policy,
    }

    fn said(words: &[&str]) -> Result<tasktonic_protocol::policy::Asked, String> {
        let line = Line::try_parse_from([&["submit"], words].concat());
        let line = line.map_err(|error| error.to_string())?;
        let null = serde_json::value::RawValue::NULL.to_owned();
        let mut request = tasktonic_client::submission("noop", null);
        line.policy.fill(&mut request);
        Ok(request.policy())
    }

    #[test]
    fn everything_about_attempts_can_be_said() {
        let asked = said(&[
            "--attempts-max=9",
            "--crashes-max=2",
            "--backoff=exponential:1s,1.5,1h",
            "--jitter=0",
            "--rule=http_429=1m",
            "--rule=http_4*=bury",
            "--rule=x=again",
            "--soft-timeout-ms=100",
            "--timeout-ms=200",
            "--keep=completed=1h",
            "--keep=failed=30d",
        ])
        .unwrap();
        let grows =
            Backoff::Exponential { base_ms: 1_000, factor: 1.5, max_ms: 3_600_000, jitter: 0.0 };
        assert_eq!(asked.backoff, Some(grows));
        let rules = asked.rules.clone().unwrap();
        assert_eq!((rules[0].action, rules[0].after_ms), (Action::AgainAfter, Some(60_000)));
        assert_eq!(
            (&*rules[1].code, rules[1].action, rules[2].action),
            ("http_4*", Action::Bury, Action::Again)
        );
        assert_eq!((asked.attempts_max, asked.crashes_max), (Some(9), Some(2)));
        assert_eq!((asked.soft_timeout_ms, asked.timeout_ms), (Some(100), Some(200)));
        assert_eq!(asked.keep_s(), Some([3_600, 86_400, 30 * 86_400]));
        assert_eq!(asked.faults(), []);
        assert_eq!(said(&[]).unwrap(), tasktonic_protocol::policy::Asked::default());
        let list = Backoff::List { waits_ms: vec![1_000, 60_000], jitter: 0.2 };
        assert_eq!(said(&["--backoff=list:1s,1m"]).unwrap().backoff, Some(list));
    }

    #[test]
    fn what_cannot_be_read_is_said_with_how_to_write_it() {
        for (word, expected) in [
            ("--backoff=5s", "fixed:5s"),
            ("--backoff=fixed:soon", "90s, 5m"),
            ("--backoff=exponential:1s", "exponential:2s,2,10m"),
            ("--rule=busy", "CODE=bury"),
            ("--rule=busy=later", "90s, 5m"),
            ("--keep=dead=1h", "failed=30d"),
            ("--jitter=0.5", "--backoff"),
        ] {
            let Err(found) = said(&[word]) else { panic!("{word} was taken") };
            assert!(found.contains(expected), "{word} said {found}");
        }
    }
}
