//! Pictures as SVG, in text of our own, readable on light and on dark pages: bars on a logarithmic
//! scale, since what they compare differs by orders of magnitude, with the value beside each; lines
//! are in [`lines`]. Pure.

mod lines;

use std::fmt::Write as _;

use crate::figures::rounded;
pub(crate) use lines::{Line, Lines};

/// A picture of bars.
pub(crate) struct Bars {
    pub(crate) title: String,
    /// What the numbers are, and which way is good.
    pub(crate) subtitle: String,
    /// Names of the bars of a group.
    pub(crate) series: Vec<&'static str>,
    /// Each with a value per series; absent where it was not measured.
    pub(crate) groups: Vec<(String, Vec<Option<f64>>)>,
}

const WIDTH: f64 = 760.0;
const LEFT: f64 = 110.0;
const RIGHT: f64 = 90.0;
const TOP: f64 = 84.0;
const BAR: f64 = 14.0;
const GAP: f64 = 14.0;
/// Told apart also without colours: bars by their order, lines by their dashes and names.
const FILLS: [&str; 4] = ["#3a78c2", "#2a9d8f", "#d08a1d", "#c8553d"];
/// A page's colours decide, as far as the browser tells a picture.
const STYLE: &str = "<style>.page{fill:#fff}.ink{fill:#1b1b1f}.soft{fill:#55565c}\
    .grid{stroke:#e2e2e8}@media(prefers-color-scheme:dark){.page{fill:#0d1117}.ink{fill:#e8e8ee}\
    .soft{fill:#a5a6ae}.grid{stroke:#2b3038}}</style>\n";

impl Bars {
    /// The picture.
    pub(crate) fn svg(&self) -> String {
        let bars = self.series.len() as f64;
        let group = bars * BAR + GAP;
        let height = TOP + self.groups.len() as f64 * group + 12.0;
        let mut svg = head(&self.title, &self.subtitle, height);
        legend(&mut svg, self.series.iter().copied().zip(FILLS));
        let (low, high) = self.scale();
        for (at, (name, values)) in self.groups.iter().enumerate() {
            let top = TOP + at as f64 * group;
            let _ = writeln!(
                svg,
                "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" class=\"ink\">{}</text>",
                LEFT - 10.0,
                top + bars * BAR / 2.0 + 4.0,
                escaped(name)
            );
            for (n, (value, fill)) in values.iter().zip(FILLS).enumerate() {
                let y = top + n as f64 * BAR;
                let (width, label) = match value {
                    Some(value) => (length(*value, low, high), rounded(*value)),
                    None => (0.0, "not measured".into()),
                };
                let _ = writeln!(
                    svg,
                    "<rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{}\" \
                     fill=\"{fill}\"/><text x=\"{:.1}\" y=\"{:.1}\" font-size=\"11\" \
                     class=\"soft\">{label}</text>",
                    BAR - 2.0,
                    LEFT + width + 5.0,
                    y + BAR - 4.0,
                );
            }
        }
        svg.push_str("</svg>\n");
        svg
    }

    /// Powers of ten around all values.
    fn scale(&self) -> (f64, f64) {
        let values =
            || self.groups.iter().flat_map(|(_, v)| v.iter().flatten()).filter(|v| **v > 0.0);
        let (min, max) = values()
            .fold((f64::MAX, 0.0_f64), |(low, high), value| (low.min(*value), high.max(*value)));
        if max <= 0.0 {
            return (0.0, 1.0);
        }
        // The smallest has a bar as well.
        ((min.log10() - 0.3).floor(), max.log10().max(min.log10() + 0.1))
    }
}

/// Length of the bar of `value` between two powers of ten.
fn length(value: f64, low: f64, high: f64) -> f64 {
    if value <= 0.0 {
        return 0.0;
    }
    ((value.log10() - low) / (high - low)).clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
}

/// The beginning of a picture: what it is called, for those who do not see it too.
fn head(title: &str, subtitle: &str, height: f64) -> String {
    let (title, subtitle) = (escaped(title), escaped(subtitle));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\">\n\
         <title>{title}</title>\n<desc>{subtitle}</desc>\n{STYLE}\
         <rect width=\"100%\" height=\"100%\" class=\"page\"/>\n\
         <text x=\"16\" y=\"26\" font-size=\"16\" font-weight=\"600\" class=\"ink\">{title}</text>\n\
         <text x=\"16\" y=\"45\" class=\"soft\">{subtitle}</text>\n"
    )
}

/// Which colour is whose.
fn legend<'a>(svg: &mut String, names: impl Iterator<Item = (&'a str, &'a str)>) {
    let mut x = 16.0;
    for (name, fill) in names {
        // Writing to a text cannot fail.
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"57\" width=\"11\" height=\"11\" fill=\"{fill}\"/>\
             <text x=\"{}\" y=\"67\" class=\"ink\">{}</text>",
            x + 16.0,
            escaped(name)
        );
        x += 40.0 + 7.0 * name.chars().count() as f64;
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bars(values: Vec<Option<f64>>) -> Bars {
        let groups = values.into_iter().map(|value| ("a<b".into(), vec![value])).collect();
        Bars { title: "t & u".into(), subtitle: "s".into(), series: vec!["one"], groups }
    }

    #[test]
    fn names_are_escaped_and_what_is_missing_is_said() {
        let svg = bars(vec![Some(1_234.0), None]).svg();
        assert!(svg.contains("t &amp; u") && svg.contains("a&lt;b") && !svg.contains("a<b"));
        assert!(svg.contains("1,234") && svg.contains("not measured"), "{svg}");
        assert!(bars(vec![None, Some(0.0)]).svg().contains("not measured"));
    }

    proptest! {
        #[test]
        fn bars_fit_and_a_larger_value_has_a_longer_one(a in 0.001..1e6f64, b in 0.001..1e6f64) {
            let (low, high) = bars(vec![Some(a), Some(b)]).scale();
            let (short, long) = (length(a.min(b), low, high), length(a.max(b), low, high));
            prop_assert!(short > 0.0 && short <= long && long <= WIDTH - LEFT - RIGHT);
        }
    }
}
