//! Goals held against what was measured: reached or not, and why not. Pure.

use std::fmt::Write as _;

use crate::figures::rounded;

/// How a goal fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The further one too.
    Surpassed,
    Reached,
    Missed,
    /// What it needs could not be measured in this run.
    Unknown,
    /// Another verb measures it.
    Elsewhere,
}

impl Verdict {
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Surpassed => "reached, the further goal too",
            Self::Reached => "reached",
            Self::Missed => "**not reached**",
            Self::Unknown => "not measured",
            Self::Elsewhere => "measured elsewhere",
        }
    }
}

/// One line of the table of goals.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Goal {
    /// Number of the figure, and what it is.
    pub(crate) figure: &'static str,
    pub(crate) aim: String,
    pub(crate) value: String,
    pub(crate) verdict: Verdict,
    /// Why it was not reached, or where it is measured.
    pub(crate) why: &'static str,
}

/// Which way is good.
#[derive(Clone, Copy)]
pub(crate) enum Way {
    AtMost,
    AtLeast,
}

/// A figure, what it should be at first, and what further on.
pub(crate) struct Aim {
    pub(crate) figure: &'static str,
    pub(crate) way: Way,
    pub(crate) aim: f64,
    pub(crate) further: Option<f64>,
    pub(crate) unit: &'static str,
    /// Why it may be missed.
    pub(crate) why: &'static str,
}

impl Aim {
    /// How it fares with what was measured.
    pub(crate) fn held_against(&self, value: Option<f64>) -> Goal {
        let Self { figure, way, aim, further, unit, why } = *self;
        let holds = |value: f64, aim: f64| match way {
            Way::AtMost => value <= aim,
            Way::AtLeast => value >= aim,
        };
        let verdict = match value {
            None => Verdict::Unknown,
            Some(value) if !holds(value, aim) => Verdict::Missed,
            Some(value) if further.is_some_and(|further| holds(value, further)) => {
                Verdict::Surpassed
            }
            Some(_) => Verdict::Reached,
        };
        let word = match way {
            Way::AtMost => "at most",
            Way::AtLeast => "at least",
        };
        let then = further.map(|more| format!(", then {}", plain(more))).unwrap_or_default();
        Goal {
            figure,
            aim: format!("{word} {}{then} {unit}", plain(aim)).trim_end().to_owned(),
            value: value.map_or("–".into(), |value| format!("{} {unit}", rounded(value))),
            verdict,
            why: if verdict == Verdict::Missed { why } else { "" },
        }
    }
}

/// A goal as it was set, without digits that nobody chose.
fn plain(aim: f64) -> String {
    if aim >= 1_000.0 { rounded(aim) } else { aim.to_string() }
}

/// All of them as a table in Markdown, and how many were reached.
pub(crate) fn table(goals: &[Goal]) -> String {
    let mut page =
        String::from("| Figure | Goal | Here | | Why, or where |\n|---|---|---:|---|---|\n");
    for goal in goals {
        // Writing to a text cannot fail.
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} |",
            goal.figure,
            goal.aim,
            goal.value.trim(),
            goal.verdict.words(),
            goal.why
        );
    }
    let count =
        |verdicts: &[Verdict]| goals.iter().filter(|goal| verdicts.contains(&goal.verdict)).count();
    let _ = writeln!(
        page,
        "\n{} reached, {} not, {} not measured by this bench.",
        count(&[Verdict::Reached, Verdict::Surpassed]),
        count(&[Verdict::Missed]),
        count(&[Verdict::Unknown, Verdict::Elsewhere]),
    );
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aim(way: Way) -> Aim {
        Aim { figure: "f", way, aim: 15.0, further: Some(10.0), unit: "µs", why: "because" }
    }

    #[test]
    fn a_goal_is_missed_reached_or_surpassed_and_says_why_only_when_missed() {
        let verdict = |value| aim(Way::AtMost).held_against(value);
        assert_eq!(verdict(Some(15.1)).verdict, Verdict::Missed);
        assert_eq!(verdict(Some(15.1)).why, "because");
        assert_eq!(verdict(Some(15.0)).verdict, Verdict::Reached);
        assert_eq!(verdict(Some(10.0)).verdict, Verdict::Surpassed);
        assert_eq!(verdict(Some(10.0)).why, "");
        assert_eq!(verdict(None).verdict, Verdict::Unknown);
        let least = Aim { further: Some(20.0), ..aim(Way::AtLeast) };
        assert_eq!(least.held_against(Some(14.0)).verdict, Verdict::Missed);
        assert_eq!(least.held_against(Some(20.0)).verdict, Verdict::Surpassed);
        assert_eq!(least.held_against(None).aim, "at least 15, then 20 µs");
    }
}
