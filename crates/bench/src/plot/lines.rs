//! Lines over two logarithmic axes, with a mark at each point that was measured. Pure.

use std::fmt::Write as _;

use super::{FILLS, escaped, head, legend};

/// A picture of lines.
pub(crate) struct Lines {
    pub(crate) title: String,
    /// What the axes are, and which way is good.
    pub(crate) subtitle: String,
    pub(crate) lines: Vec<Line>,
}

/// One of them.
pub(crate) struct Line {
    pub(crate) name: &'static str,
    /// Both above 0; others are left out.
    pub(crate) points: Vec<(f64, f64)>,
}

const HEIGHT: f64 = 340.0;
const TOP: f64 = 90.0;
const BOTTOM: f64 = 304.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 730.0;
const DASHES: [&str; 4] = ["", "7 4", "2 3", "9 3 2 3"];

/// An axis from one power of ten to another.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Axis {
    low: i32,
    high: i32,
    /// Where they are, in the picture.
    from: f64,
    to: f64,
}

impl Axis {
    fn around(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (mut low, mut high) = (f64::MAX, f64::MIN);
        for value in values {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            (low, high) = (1.0, 10.0);
        }
        // Powers of ten are exact in a logarithm; others are rounded outwards.
        let low = low.log10().floor() as i32;
        let high = (high.log10().ceil() as i32).max(low + 1);
        Self { low, high, from, to }
    }

    fn place(self, value: f64) -> f64 {
        let share = (value.log10() - f64::from(self.low)) / f64::from(self.high - self.low);
        self.from + share * (self.to - self.from)
    }
}

impl Lines {
    /// The picture.
    pub(crate) fn svg(&self) -> String {
        let all = || {
            let points = self.lines.iter().flat_map(|line| &line.points);
            points.copied().filter(|(x, y)| *x > 0.0 && *y > 0.0)
        };
        let across = Axis::around(all().map(|(x, _)| x), LEFT, RIGHT);
        let up = Axis::around(all().map(|(_, y)| y), BOTTOM, TOP);
        let mut svg = head(&self.title, &self.subtitle, HEIGHT);
        legend(&mut svg, self.lines.iter().map(|line| line.name).zip(FILLS));
        // Writing to a text cannot fail.
        for power in across.low..=across.high {
            let x = across.place(10_f64.powi(power));
            let _ = writeln!(
                svg,
                "<path d=\"M{x:.1} {TOP}V{BOTTOM}\" class=\"grid\"/><text x=\"{x:.1}\" \
                 y=\"{:.1}\" text-anchor=\"middle\" font-size=\"11\" class=\"soft\">{}</text>",
                BOTTOM + 18.0,
                short(power)
            );
        }
        for power in up.low..=up.high {
            let y = up.place(10_f64.powi(power));
            let _ = writeln!(
                svg,
                "<path d=\"M{LEFT} {y:.1}H{RIGHT}\" class=\"grid\"/><text x=\"{:.1}\" \
                 y=\"{:.1}\" text-anchor=\"end\" font-size=\"11\" class=\"soft\">{}</text>",
                LEFT - 8.0,
                y + 4.0,
                short(power)
            );
        }
        for ((line, fill), dashes) in self.lines.iter().zip(FILLS).zip(DASHES) {
            let points: Vec<(f64, f64)> = line
                .points
                .iter()
                .filter(|(x, y)| *x > 0.0 && *y > 0.0)
                .map(|(x, y)| (across.place(*x), up.place(*y)))
                .collect();
            let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let _ = writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{fill}\" stroke-width=\"2\" \
                 stroke-dasharray=\"{dashes}\"><title>{}</title></polyline>",
                path.join(" "),
                escaped(line.name)
            );
            for (x, y) in points {
                let _ =
                    write!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{fill}\"/>");
            }
            svg.push('\n');
        }
        svg.push_str("</svg>\n");
        svg
    }
}

/// A power of ten as people write it.
fn short(power: i32) -> String {
    match power {
        ..0 => format!("{:.*}", usize::try_from(-power).unwrap_or(0), 10_f64.powi(power)),
        0..3 => format!("{:.0}", 10_f64.powi(power)),
        3..6 => format!("{:.0} k", 10_f64.powi(power - 3)),
        6.. => format!("{:.0} M", 10_f64.powi(power - 6)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(points: Vec<(f64, f64)>) -> Lines {
        let lines = vec![Line { name: "a & b", points }];
        Lines { title: "t<u".into(), subtitle: "s".into(), lines }
    }

    #[test]
    fn axes_are_named_by_powers_of_ten() {
        let svg = lines(vec![(10.0, 0.5), (1_000_000.0, 40.0)]).svg();
        for text in [">10<", ">100 k<", ">1 M<", ">0.1<", ">100<", "a &amp; b", "t&lt;u"] {
            assert!(svg.contains(text), "{text} in {svg}");
        }
        assert_eq!(svg.matches("<circle").count(), 2);
    }

    #[test]
    fn what_has_no_place_on_a_logarithmic_axis_is_left_out() {
        let svg = lines(vec![(0.0, 1.0), (1.0, 0.0), (-1.0, 2.0)]).svg();
        assert_eq!(svg.matches("<circle").count(), 0);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    proptest! {
        #[test]
        fn every_point_is_inside_and_more_is_further_up(
            a in 0.001..1e8f64, b in 0.001..1e8f64,
        ) {
            let axis = Axis::around([a, b].into_iter(), BOTTOM, TOP);
            let (low, high) = (axis.place(a.min(b)), axis.place(a.max(b)));
            prop_assert!(high <= low && low <= BOTTOM + 0.01 && high >= TOP - 0.01);
        }
    }
}
