//! How much a change may change before it is stopped.

use std::str::FromStr;

use super::report::Report;

/// The most differences of each kind; none is any number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// In all.
    pub all: Option<u64>,
    /// Firings that are new.
    pub fired: Option<u64>,
    /// Firings that are gone.
    pub lost: Option<u64>,
    /// Firings with other parameters.
    pub changed: Option<u64>,
}

impl FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is no budget: expected a number, or fired=0,lost=0,changed=5");
        let mut budget = Self::default();
        for part in text.split(',').map(str::trim) {
            let (place, number) = match part.split_once('=') {
                None => (&mut budget.all, part),
                Some(("fired", number)) => (&mut budget.fired, number),
                Some(("lost", number)) => (&mut budget.lost, number),
                Some(("changed", number)) => (&mut budget.changed, number),
                Some(_) => return Err(wrong()),
            };
            if place.replace(number.parse().map_err(|_| wrong())?).is_some() {
                return Err(wrong());
            }
        }
        Ok(budget)
    }
}

impl Budget {
    /// What is over the budget, in words; empty where nothing is.
    pub fn exceeded(&self, report: &Report) -> Vec<String> {
        let sum = |of: fn(&super::report::SensorReport) -> u64| report.sensors.iter().map(of).sum();
        let (fired, lost, changed): (u64, u64, u64) =
            (sum(|of| of.fired), sum(|of| of.lost), sum(|of| of.changed));
        let kinds = [
            ("differences", self.all, fired + lost + changed),
            ("would fire", self.fired, fired),
            ("would no longer fire", self.lost, lost),
            ("parameters differ", self.changed, changed),
        ];
        let over = kinds.into_iter().filter_map(|(what, most, found)| {
            let most = most.filter(|most| found > *most)?;
            Some(format!("{what}: {found}, the budget is {most}"))
        });
        over.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_a_number_or_one_for_each_kind() {
        let all = Budget { all: Some(3), ..Budget::default() };
        assert_eq!("3".parse(), Ok(all));
        let each = Budget { fired: Some(0), lost: Some(1), ..Budget::default() };
        assert_eq!("fired=0, lost=1".parse(), Ok(each));
        for text in ["", "x", "fired", "fired=", "fired=-1", "fire=0", "1,2", "lost=1,lost=2"] {
            let error = text.parse::<Budget>().unwrap_err();
            assert!(error.contains("expected a number"), "{error}");
        }
    }
}
