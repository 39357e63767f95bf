//! How often the range that is stated for a start holds, in the simulated settings whose figures are
//! published.

#[path = "../examples/estimate/sim.rs"]
mod sim;

/// Runs of each setting: few enough for a test, many enough for the bounds.
const RUNS: u64 = 6;
/// Stated are 80 %. No setting may fall below this, also where workers come and go.
const SHARE_MIN: f64 = 0.70;
/// All settings together: above it the ranges would be too wide to be of use.
const SHARE_MAX: f64 = 0.95;
/// Half of the ranges are narrower than this part of the true wait, all settings together.
const WIDTH_MAX: f64 = 1.25;
/// Of the questions that could have been answered, so many must be.
const ANSWERED_MIN: f64 = 0.80;

#[test]
fn the_stated_range_holds_as_often_as_it_says() {
    let mut all = sim::Outcome::default();
    for scenario in sim::SCENARIOS {
        let outcome = sim::run(scenario, RUNS);
        let (name, share) = (scenario.name, outcome.share());
        assert!(outcome.ranges() > 100, "{name}: only {} ranges", outcome.ranges());
        assert!(share >= SHARE_MIN, "{name}: {share:.2} of the starts were inside");
        let answered = f64::from(outcome.ranges()) / f64::from(outcome.asked);
        assert!(answered >= ANSWERED_MIN, "{name}: {answered:.2} of the questions got a range");
        all.add(outcome);
    }
    let (share, width) = (all.share(), all.width());
    assert!((0.8..=SHARE_MAX).contains(&share), "{share:.2} of all starts were inside");
    assert!(width <= WIDTH_MAX, "half of the ranges are wider than {width:.2} of the wait");
}
