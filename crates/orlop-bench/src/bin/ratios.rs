//! Prints the ratios of the last benchmark run, each beside its goal, as a Markdown table.
//!
//! Reads criterion's estimates (medians) under `target/criterion`, or under the folder given.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// How a ratio must lie to its goal.
#[derive(Clone, Copy)]
enum Goal {
    /// Ours takes at most this many times the baseline's time.
    TimeAtMost(f64),
    /// Ours does at least this many times the baseline's rate.
    RateAtLeast(f64),
}

/// A comparison: what it is called, ours, the baselines (the fastest counts), the goal.
struct Row {
    path: &'static str,
    ours: &'static str,
    baselines: &'static [&'static str],
    goal: Goal,
}

const SQLITE_PUT: &[&str] = &[
    "rival_put/sqlite_1",
    "rival_put/sqlite_4",
    "rival_put/sqlite_64",
];
const SQLITE_TRANSFER: &[&str] = &[
    "rival_transfer/sqlite_1",
    "rival_transfer/sqlite_4",
    "rival_transfer/sqlite_64",
];
const SQLITE_MIXED: &[&str] = &[
    "rival_mixed/sqlite_1",
    "rival_mixed/sqlite_4",
    "rival_mixed/sqlite_64",
];

const ROWS: &[Row] = &[
    Row {
        path: "cached get, independent keys",
        ours: "cached_get/orlop_independent",
        baselines: &["cached_get/quick_cache_independent"],
        goal: Goal::TimeAtMost(1.5),
    },
    Row {
        path: "cached get, each key from the document before",
        ours: "cached_get/orlop_dependent",
        baselines: &["cached_get/quick_cache_dependent"],
        goal: Goal::TimeAtMost(1.2),
    },
    Row {
        path: "cached list of 50, against a cached get",
        ours: "cached_list/orlop_50",
        baselines: &["cached_get/orlop_independent"],
        goal: Goal::TimeAtMost(2.0),
    },
    Row {
        path: "cold get",
        ours: "cold_get/orlop",
        baselines: &["cold_get/fjall_and_decode"],
        goal: Goal::TimeAtMost(1.25),
    },
    Row {
        path: "durable put, 1 writer",
        ours: "durable_put/orlop_1_writers",
        baselines: &["durable_put/fjall_1_writer"],
        goal: Goal::RateAtLeast(0.8),
    },
    Row {
        path: "durable put, 64 writers against 1",
        ours: "durable_put/orlop_64_writers",
        baselines: &["durable_put/orlop_1_writers"],
        goal: Goal::RateAtLeast(10.0),
    },
    Row {
        path: "put_many of 100 000",
        ours: "put_many_100_000/orlop",
        baselines: &["put_many_100_000/fjall_batches"],
        goal: Goal::RateAtLeast(0.6),
    },
    Row {
        path: "query of 50 of 100 000, cold, against SQLite",
        ours: "rival_query/orlop_cold",
        baselines: &["rival_query/sqlite"],
        goal: Goal::RateAtLeast(1.0),
    },
    Row {
        path: "the same, cached",
        ours: "rival_query/orlop_cached",
        baselines: &["rival_query/sqlite"],
        goal: Goal::RateAtLeast(20.0),
    },
    Row {
        path: "durable put, 64 callers, against SQLite",
        ours: "rival_put/orlop_64",
        baselines: SQLITE_PUT,
        goal: Goal::RateAtLeast(8.0),
    },
    Row {
        path: "transfer, 64 callers, against SQLite",
        ours: "rival_transfer/orlop_64",
        baselines: SQLITE_TRANSFER,
        goal: Goal::RateAtLeast(4.0),
    },
    Row {
        path: "95 % get, 5 % put, 64 callers, against SQLite",
        ours: "rival_mixed/orlop_64",
        baselines: SQLITE_MIXED,
        goal: Goal::RateAtLeast(20.0),
    },
];

/// Reported without a goal.
const OTHERS: &[&str] = &[
    "durable_put/orlop_4_writers",
    "rival_put/orlop_1",
    "rival_put/orlop_4",
    "rival_transfer/orlop_1",
    "rival_transfer/orlop_4",
    "rival_transfer/orlop_64_guarded",
    "rival_mixed/orlop_1",
    "rival_mixed/orlop_4",
];

fn main() -> ExitCode {
    let given = std::env::args().nth(1).map(PathBuf::from);
    let folder = given.unwrap_or_else(|| PathBuf::from("target/criterion"));
    println!("| path | ours | baseline | ratio | goal | |");
    println!("|---|---|---|---|---|---|");
    let mut reached = true;
    for row in ROWS {
        reached &= print(&folder, row);
    }
    println!();
    println!("| also measured | time |");
    println!("|---|---|");
    let sqlite = [SQLITE_PUT, SQLITE_TRANSFER, SQLITE_MIXED];
    for name in OTHERS.iter().chain(sqlite.into_iter().flatten()) {
        if let Some(nanos) = median(&folder, name) {
            println!("| {name} | {} |", time(nanos));
        }
    }
    match reached {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Prints one row; false when its goal is not reached, or not measured.
fn print(folder: &Path, row: &Row) -> bool {
    let best = row.baselines.iter().filter_map(|name| {
        let nanos = median(folder, name)?;
        Some((nanos, *name))
    });
    let best = best.min_by(|a, b| a.0.total_cmp(&b.0));
    let (Some(ours), Some((baseline, name))) = (median(folder, row.ours), best) else {
        println!("| {} | not measured | | | | |", row.path);
        return false;
    };
    let (ratio, wanted, reached) = match row.goal {
        Goal::TimeAtMost(most) => {
            let ratio = ours / baseline;
            (ratio, format!("<= {most} x its time"), ratio <= most)
        }
        Goal::RateAtLeast(least) => {
            let ratio = baseline / ours;
            (ratio, format!(">= {least} x its rate"), ratio >= least)
        }
    };
    let kind = name.rsplit('/').next().unwrap_or(name);
    println!(
        "| {} | {} | {} ({kind}) | {ratio:.2} | {wanted} | {} |",
        row.path,
        time(ours),
        time(baseline),
        if reached { "reached" } else { "**missed**" },
    );
    reached
}

/// The median time of one iteration, in nanoseconds.
fn median(folder: &Path, name: &str) -> Option<f64> {
    let file = folder.join(name).join("new/estimates.json");
    let text = std::fs::read_to_string(file).ok()?;
    let estimates: serde_json::Value = serde_json::from_str(&text).ok()?;
    estimates["median"]["point_estimate"].as_f64()
}

fn time(nanos: f64) -> String {
    match nanos {
        nanos if nanos < 1e3 => format!("{nanos:.0} ns"),
        nanos if nanos < 1e6 => format!("{:.1} us", nanos / 1e3),
        nanos if nanos < 1e9 => format!("{:.1} ms", nanos / 1e6),
        nanos => format!("{:.2} s", nanos / 1e9),
    }
}
