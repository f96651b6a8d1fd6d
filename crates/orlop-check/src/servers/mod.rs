//! Real `mongod` and `redis-server` processes for tests: found, started, stopped whatever happens.
//!
//! A server listens on a free loopback port and keeps its files in a temporary folder. It ends when
//! its handle is dropped, and also when the test process is killed: a small shell between the two
//! sees its input close, kills the server and removes the folder.
//!
//! Where a program comes from: `ORLOP_MONGOD` / `ORLOP_REDIS_SERVER`, then `target/servers/` (filled
//! by `scripts/get-servers`), then PATH.

mod mongo;
mod process;
mod redis;
mod wire;

use std::env;
use std::path::{Path, PathBuf};

use libtest_mimic::{Failed, Trial};

pub use mongo::{Mongod, ReplicaSet};
pub use process::ServerError;
pub use redis::Redis;
pub use wire::Wire;

/// A server program that tests start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// MongoDB's server.
    Mongod,
    /// Redis' server.
    RedisServer,
}

impl Program {
    /// The name of its executable.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mongod => "mongod",
            Self::RedisServer => "redis-server",
        }
    }

    fn variable(self) -> &'static str {
        match self {
            Self::Mongod => "ORLOP_MONGOD",
            Self::RedisServer => "ORLOP_REDIS_SERVER",
        }
    }

    /// Where it is.
    ///
    /// # Errors
    /// A sentence that says what is missing and how to get it.
    pub fn find(self) -> Result<PathBuf, String> {
        if let Some(named) = env::var_os(self.variable()).filter(|value| !value.is_empty()) {
            let named = PathBuf::from(named);
            return if named.is_file() {
                Ok(named)
            } else {
                Err(format!("{} names no file", self.variable()))
            };
        }
        let path = env::var_os("PATH").unwrap_or_default();
        std::iter::once(target_folder().join("servers"))
            .chain(env::split_paths(&path))
            .map(|folder| folder.join(self.name()))
            .find(|candidate| candidate.is_file())
            .ok_or_else(|| format!("no {}: run scripts/get-servers", self.name()))
    }
}

/// Where cargo builds, and so where `scripts/get-servers` puts what it fetched.
fn target_folder() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
        PathBuf::from,
    )
}

/// A test that needs `programs`: shown as ignored, with the reason, where one is missing.
///
/// With `ORLOP_REQUIRE_SERVERS=1`, as in CI, a missing program is a failure instead, so that a test
/// is never left out unseen.
pub fn trial(
    name: &str,
    programs: &[Program],
    run: impl FnOnce() -> Result<(), Failed> + Send + 'static,
) -> Trial {
    let missing = programs
        .iter()
        .find_map(|program| program.find().err())
        .unwrap_or_default();
    if missing.is_empty() {
        return Trial::test(name, run);
    }
    if env::var_os("ORLOP_REQUIRE_SERVERS").is_some_and(|value| value == "1") {
        return Trial::test(name, move || Err(Failed::from(missing)));
    }
    Trial::test(name, run)
        .with_kind(missing)
        .with_ignored_flag(true)
}
