//! The rows of figures: what was measured of whom, and how it prints.

use std::time::Duration;

use serde_json::{Value, json};

/// What is compared with what: a row's ratio is its median through that of the same figure of
/// `base`.
#[derive(Debug, Clone)]
pub struct Row {
    pub figure: String,
    pub who: &'static str,
    pub base: &'static str,
    pub unit: Unit,
    /// Or why there is none.
    pub samples: Result<Samples, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Milliseconds,
    Microseconds,
    GigabitsPerSecond,
    CpuSecondsPerGigabyte,
    PerSecond,
    Times,
    Megabytes,
    Percent,
}

impl Unit {
    pub fn text(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::Microseconds => "us",
            Self::GigabitsPerSecond => "Gb/s",
            Self::CpuSecondsPerGigabyte => "cpu-s/GB",
            Self::PerSecond => "1/s",
            Self::Times => "times",
            Self::Megabytes => "MB",
            Self::Percent => "%",
        }
    }
}

#[derive(Debug, Clone, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    pub fn push(&mut self, sample: f64) {
        let place = self.0.partition_point(|other| *other <= sample);
        self.0.insert(place, sample);
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The sample that `percent` of all are not above (nearest rank); 0 when there is none.
    pub fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100);
        self.0.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
    }

    pub fn median(&self) -> f64 {
        self.percentile(50)
    }

    /// Where the middle half of them is.
    fn print_spread(&self) -> String {
        let [low, high] = [25, 75].map(|percent| print_number(self.percentile(percent)));
        match self.count() {
            0 | 1 => "-".to_owned(),
            _ => format!("{low}-{high}"),
        }
    }
}

#[derive(Debug, Default)]
pub struct Table(pub Vec<Row>);

const COLUMNS: usize = 8;
const HEAD: [&str; COLUMNS] = [
    "FIGURE", "WHO", "MEDIAN", "P25-P75", "P99", "UNIT", "N", "RATIO",
];
/// The first columns are words, the others numbers but for the last.
const LEFT: [usize; 4] = [0, 1, 5, 7];

impl Table {
    pub fn samples(&self, figure: &str, who: &str) -> Option<&Samples> {
        let of = |row: &&Row| row.figure == figure && row.who == who;
        self.0.iter().find(of)?.samples.as_ref().ok()
    }

    pub fn has(&self, figure: &str) -> bool {
        self.0.iter().any(|row| row.figure == figure)
    }

    pub fn is_whole(&self) -> bool {
        self.0.iter().all(|row| row.samples.is_ok())
    }

    fn ratio(&self, row: &Row) -> Option<f64> {
        let samples = row.samples.as_ref().ok()?;
        let base = self.samples(&row.figure, row.base)?.median();
        (row.who != row.base && base > 0.0).then(|| samples.median() / base)
    }

    pub fn print(&self) -> String {
        let head = HEAD.map(str::to_owned);
        let rows: Vec<[String; COLUMNS]> = self.0.iter().map(|row| self.cells(row)).collect();
        let mut widths = HEAD.map(str::len);
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row).take(COLUMNS - 1) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = line(&head, &widths);
        let mut figure = None;
        for (row, cells) in self.0.iter().zip(&rows) {
            if figure.replace(&row.figure) != Some(&row.figure) {
                text.push('\n');
            }
            text.push_str(&line(cells, &widths));
        }
        text
    }

    fn cells(&self, row: &Row) -> [String; COLUMNS] {
        let who = row.who.to_owned();
        let samples = match &row.samples {
            Ok(samples) => samples,
            Err(why) => {
                let why = format!("not measured: {}", why.replace('\n', " "));
                let [spread, p99, unit, count] = ["-", "-", "", ""].map(str::to_owned);
                let median = spread.clone();
                return [
                    row.figure.clone(),
                    who,
                    median,
                    spread,
                    p99,
                    unit,
                    count,
                    why,
                ];
            }
        };
        let p99 = match row.unit {
            Unit::Milliseconds => print_number(samples.percentile(99)),
            // Too few samples for one in a hundred.
            _ => "-".to_owned(),
        };
        let ratio = self.ratio(row);
        [
            row.figure.clone(),
            who,
            print_number(samples.median()),
            samples.print_spread(),
            p99,
            row.unit.text().to_owned(),
            samples.count().to_string(),
            ratio.map_or(String::new(), |ratio| format!("{ratio:.2} x {}", row.base)),
        ]
    }

    pub fn json(&self) -> Value {
        self.0.iter().map(|row| self.json_row(row)).collect()
    }

    fn json_row(&self, row: &Row) -> Value {
        let samples = row.samples.as_ref().ok();
        json!({
            "figure": row.figure,
            "who": row.who,
            "unit": row.unit.text(),
            "n": samples.map(Samples::count),
            "min": samples.map(|samples| samples.percentile(0)),
            "p25": samples.map(|samples| samples.percentile(25)),
            "median": samples.map(Samples::median),
            "p75": samples.map(|samples| samples.percentile(75)),
            "p99": samples.map(|samples| samples.percentile(99)),
            "max": samples.map(|samples| samples.percentile(100)),
            "base": row.base,
            "ratio": self.ratio(row),
            "not_measured": row.samples.as_ref().err(),
        })
    }
}

pub fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

pub fn print_number(number: f64) -> String {
    if number < 100.0 {
        format!("{number:.2}")
    } else {
        format!("{number:.0}")
    }
}

fn line(cells: &[String; COLUMNS], widths: &[usize; COLUMNS]) -> String {
    let cells = cells.iter().zip(widths).enumerate();
    let padded = cells.map(|(column, (cell, width))| {
        if LEFT.contains(&column) {
            format!("{cell:<width$}")
        } else {
            format!("{cell:>width$}")
        }
    });
    let joined = padded.collect::<Vec<_>>().join("  ");
    format!("{}\n", joined.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(who: &'static str, samples: &[f64]) -> Row {
        let mut all = Samples::default();
        samples.iter().for_each(|sample| all.push(*sample));
        Row {
            figure: "attach".to_owned(),
            who,
            base: "us",
            unit: Unit::Milliseconds,
            samples: Ok(all),
        }
    }

    #[test]
    fn percentiles_are_samples_by_nearest_rank() {
        let mut samples = Samples::default();
        (1..=100).rev().for_each(|n| samples.push(f64::from(n)));
        let at = [0, 50, 99, 100].map(|percent| samples.percentile(percent));
        assert_eq!(at, [1.0, 50.0, 99.0, 100.0]);
        assert!(Samples::default().median().abs() < f64::EPSILON);
    }

    #[test]
    fn a_row_is_compared_with_its_base_and_a_missing_one_says_so() {
        let mut absent = row("absent", &[]);
        absent.samples = Err("no absent here".to_owned());
        let table = Table(vec![row("us", &[2.0]), row("them", &[9.0]), absent]);
        let text = table.print();
        assert!(text.contains("4.50 x us"), "{text}");
        assert!(text.contains("not measured: no absent here"), "{text}");
        assert!(!table.is_whole());
    }
}
