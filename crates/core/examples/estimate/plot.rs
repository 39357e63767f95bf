//! The page and the picture.

use std::fmt::Write as _;

use crate::sim::{Outcome, Scenario};

const WIDTH: f64 = 860.0;
const LEFT: f64 = 250.0;
const RIGHT: f64 = 40.0;
const ROW: f64 = 34.0;
const TOP: f64 = 64.0;

fn x(part: f64) -> f64 {
    LEFT + part * (WIDTH - LEFT - RIGHT)
}

/// One bar per setting: sooner, inside, later.
pub(crate) fn svg(all: &[(&Scenario, Outcome)]) -> String {
    let height = TOP + ROW * all.len() as f64 + 46.0;
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif" font-size="13" role="img" aria-labelledby="t">
<title id="t">Share of true starts sooner than, inside and later than the stated range, per setting</title>
<rect width="100%" height="100%" fill="#fff"/>
<text x="{LEFT}" y="24" font-size="15" font-weight="600" fill="#111">Where the true start was, of ranges stated with 80 %</text>
<g fill="#444"><rect x="{LEFT}" y="36" width="12" height="12" fill="#7fb2e5"/><text x="{}" y="47">sooner</text>
<rect x="{}" y="36" width="12" height="12" fill="#2e8b57"/><text x="{}" y="47">inside the range</text>
<rect x="{}" y="36" width="12" height="12" fill="#e08a3c"/><text x="{}" y="47">later</text></g>
"##,
        LEFT + 18.0,
        LEFT + 80.0,
        LEFT + 98.0,
        LEFT + 220.0,
        LEFT + 238.0,
    );
    for (row, (scenario, outcome)) in all.iter().enumerate() {
        let y = TOP + ROW * row as f64;
        let all = f64::from(outcome.ranges().max(1));
        let (sooner, inside) = (f64::from(outcome.sooner) / all, outcome.share());
        let _ = writeln!(
            svg,
            r##"<text x="{}" y="{}" text-anchor="end" fill="#222">{}</text>"##,
            LEFT - 10.0,
            y + 17.0,
            scenario.name
        );
        let parts = [
            (0.0, sooner, "#7fb2e5"),
            (sooner, inside, "#2e8b57"),
            (sooner + inside, 1.0 - sooner - inside, "#e08a3c"),
        ];
        for (from, width, colour) in parts {
            let _ = writeln!(
                svg,
                r##"<rect x="{:.1}" y="{y}" width="{:.1}" height="24" fill="{colour}"/>"##,
                x(from),
                (x(width) - LEFT).max(0.0)
            );
        }
        let _ = writeln!(
            svg,
            r##"<text x="{:.1}" y="{}" text-anchor="middle" fill="#fff" font-weight="600">{:.0} %</text>"##,
            x(sooner + inside / 2.0),
            y + 17.0,
            inside * 100.0
        );
    }
    let bottom = TOP + ROW * all.len() as f64;
    for mark in [0.0, 0.1, 0.9, 1.0] {
        let _ = writeln!(
            svg,
            r##"<line x1="{0:.1}" x2="{0:.1}" y1="{TOP}" y2="{bottom}" stroke="#111" stroke-dasharray="3 3" stroke-width="{1}"/><text x="{0:.1}" y="{2}" text-anchor="middle" fill="#444">{3:.0} %</text>"##,
            x(mark),
            if mark > 0.0 && mark < 1.0 { 1 } else { 0 },
            bottom + 18.0,
            mark * 100.0
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// The page.
pub(crate) fn page(all: &[(&Scenario, Outcome)], runs: u64) -> String {
    let mut page = format!(
        "# How often the stated time is right\n\n\
         The page of a queued task says when it will probably start, as a range of time that is to hold \
         for 80 of 100 questions ([how it is computed](../concepts/waiting.md)). Here simulated \
         installations were asked, and it was noted whether the task then started inside the range. The \
         part that hands out tasks is the real one (`Partition`); workers, users and work are \
         simulated: {runs} runs of 15 minutes per setting, all seeded, so the figures are the same on \
         every machine.\n\n![Where the true starts were](estimate.svg)\n\n\
         | Setting | Questions | Not known | Sooner | Inside | Later | Width of the range, median |\n\
         |---|--:|--:|--:|--:|--:|--:|\n"
    );
    let mut sum = Outcome::default();
    for (scenario, outcome) in all {
        let part = |count: u32| f64::from(count) / f64::from(outcome.ranges().max(1)) * 100.0;
        let _ = writeln!(
            page,
            "| {} | {} | {:.0} % | {:.0} % | **{:.0} %** | {:.0} % | {:.0} % of the wait |",
            scenario.name,
            outcome.asked,
            f64::from(outcome.few + outcome.still) / f64::from(outcome.asked.max(1)) * 100.0,
            part(outcome.sooner),
            part(outcome.inside),
            part(outcome.later),
            outcome.width() * 100.0,
        );
        sum.add(outcome.clone());
    }
    let _ = writeln!(
        page,
        "\nAll together: {:.0} % inside, {:.0} % sooner, {:.0} % later.\n\n\
         What to read in it:\n\n\
         - Where work is even the range always holds and is wider than it would have to be: nothing in \
         the past says that it will go on so.\n\
         - Where the number of workers or of users changes while the task waits, no history can know it. \
         There the share is lowest, and most misses are later than said.\n\
         - *Not known* are questions that were answered so: fewer than eight starts of this line lately, \
         or the line stood still.\n\n\
         The test `the_stated_range_holds_as_often_as_it_says` asks the same settings and fails outside \
         of named bounds. Again, with this page:\n\n\
         ```sh\ncargo run --release -p tasktonic-core --example estimate -- docs/benchmarks\n```",
        sum.share() * 100.0,
        f64::from(sum.sooner) / f64::from(sum.ranges().max(1)) * 100.0,
        f64::from(sum.later) / f64::from(sum.ranges().max(1)) * 100.0,
    );
    page
}
