//! Counts and times of requests, as Prometheus reads them.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// Upper bounds of the histogram's buckets, in microseconds.
const BUCKETS_US: [u64; 13] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 2_500_000,
    10_000_000,
];

/// Requests by method, route and status; one entry each, made when first seen.
///
/// # Cost
/// A shared lock and a hash a request.
#[derive(Debug, Default)]
pub struct Requests {
    routes: RwLock<HashMap<String, Cells>>,
    in_flight: AtomicU64,
}

/// The cells of one route: a handful, so they are searched in order.
type Cells = Vec<(Answer, Arc<Cell>)>;
/// Method and status.
type Answer = (&'static str, u16);

#[derive(Debug, Default)]
struct Cell {
    count: AtomicU64,
    sum_us: AtomicU64,
    buckets: [AtomicU64; BUCKETS_US.len()],
}

impl Requests {
    /// One more request is under way, until the guard is dropped.
    pub fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    /// A request was answered. `route` is the pattern, never the path: ids are no labels.
    pub fn record(&self, method: &axum::http::Method, route: &str, status: u16, took: Duration) {
        let cell = self.cell(method_name(method), route, status);
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        cell.count.fetch_add(1, Ordering::Relaxed);
        cell.sum_us.fetch_add(us, Ordering::Relaxed);
        let bucket = BUCKETS_US.partition_point(|bound| *bound < us);
        if let Some(bucket) = cell.buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Appends the metrics in Prometheus' text format.
    pub fn render(&self, out: &mut String) {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        let mut cells: Vec<_> = routes
            .iter()
            .flat_map(|(route, cells)| {
                cells
                    .iter()
                    .map(move |(answer, cell)| (route, answer, cell))
            })
            .collect();
        cells.sort_by_key(|(route, answer, _)| (*route, *answer));
        out.push_str("# HELP orlop_http_requests_in_flight Requests under way.\n");
        out.push_str("# TYPE orlop_http_requests_in_flight gauge\n");
        let in_flight = self.in_flight.load(Ordering::Relaxed);
        line(out, "orlop_http_requests_in_flight", "", in_flight);
        out.push_str("# HELP orlop_http_request_duration_seconds Time to answer, by route.\n");
        out.push_str("# TYPE orlop_http_request_duration_seconds histogram\n");
        for (route, (method, status), cell) in cells {
            let labels = format!(r#"method="{method}",route="{route}",status="{status}""#);
            let mut below = 0;
            for (bound, bucket) in BUCKETS_US.iter().zip(&cell.buckets) {
                below += bucket.load(Ordering::Relaxed);
                let seconds = *bound as f64 / 1e6;
                let labels = format!(r#"{labels},le="{seconds}""#);
                line(
                    out,
                    "orlop_http_request_duration_seconds_bucket",
                    &labels,
                    below,
                );
            }
            let count = cell.count.load(Ordering::Relaxed).max(below);
            let all = format!(r#"{labels},le="+Inf""#);
            line(
                out,
                "orlop_http_request_duration_seconds_bucket",
                &all,
                count,
            );
            let seconds = cell.sum_us.load(Ordering::Relaxed) as f64 / 1e6;
            line(
                out,
                "orlop_http_request_duration_seconds_sum",
                &labels,
                seconds,
            );
            line(
                out,
                "orlop_http_request_duration_seconds_count",
                &labels,
                count,
            );
        }
    }

    fn cell(&self, method: &'static str, route: &str, status: u16) -> Arc<Cell> {
        let answer = (method, status);
        let known = |cells: &Cells| {
            let found = cells.iter().find(|(one, _)| *one == answer);
            found.map(|(_, cell)| Arc::clone(cell))
        };
        {
            let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(cell) = routes.get(route).and_then(known) {
                return cell;
            }
        }
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        let cells = routes.entry(route.to_owned()).or_default();
        // Another request may have made it while this one waited.
        if let Some(cell) = known(cells) {
            return cell;
        }
        let cell = Arc::<Cell>::default();
        cells.push((answer, Arc::clone(&cell)));
        cell
    }
}

/// A request under way.
#[derive(Debug)]
pub struct InFlight(Arc<Requests>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Appends one gauge or counter with its help.
pub fn single(out: &mut String, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
    line(out, name, "", value);
}

/// Appends one sample.
pub fn line(out: &mut String, name: &str, labels: &str, value: impl std::fmt::Display) {
    // Writing to a string does not fail.
    let _ = if labels.is_empty() {
        writeln!(out, "{name} {value}")
    } else {
        writeln!(out, "{name}{{{labels}}} {value}")
    };
}

/// Any method outside this list shares one label: a client must not make series at will.
fn method_name(method: &axum::http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Method;

    use super::*;

    #[test]
    fn a_request_falls_into_its_bucket_and_all_above() {
        let requests = Arc::new(Requests::default());
        let under_way = requests.begin();
        requests.record(&Method::GET, "/a/{id}", 200, Duration::from_micros(250));
        requests.record(&Method::GET, "/a/{id}", 200, Duration::from_secs(60));
        let mut text = String::new();
        requests.render(&mut text);
        let labels = r#"method="GET",route="/a/{id}",status="200""#;
        for expected in [
            format!(r#"_bucket{{{labels},le="0.0001"}} 0"#),
            format!(r#"_bucket{{{labels},le="0.00025"}} 1"#),
            format!(r#"_bucket{{{labels},le="10"}} 1"#),
            format!(r#"_bucket{{{labels},le="+Inf"}} 2"#),
            format!(r#"_count{{{labels}}} 2"#),
            "in_flight 1\n".to_owned(),
        ] {
            assert!(text.contains(&expected), "{expected} is not in\n{text}");
        }
        drop(under_way);
        text.clear();
        requests.render(&mut text);
        assert!(text.contains("in_flight 0\n"), "{text}");
    }
}
