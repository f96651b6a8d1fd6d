//! The launcher starts real servers, and leaves none behind whatever happens.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use bson::doc;
use libtest_mimic::{Arguments, Failed};
use orlop_check::servers::{Mongod, Program, Redis, ReplicaSet, trial};

/// Set in the child process of `no_server_outlives_a_killed_test`.
const CHILD: &str = "ORLOP_SERVERS_CHILD";

fn main() -> ExitCode {
    if std::env::var_os(CHILD).is_some() {
        hold_servers();
    }
    let mongod = &[Program::Mongod][..];
    let redis = &[Program::RedisServer][..];
    let both = &[Program::Mongod, Program::RedisServer][..];
    let trials = vec![
        trial(
            "mongod_answers_and_ends_with_its_handle",
            mongod,
            mongod_answers,
        ),
        trial(
            "mongod_keeps_its_data_through_a_kill",
            mongod,
            mongod_restarts,
        ),
        trial(
            "replica_set_elects_a_new_primary",
            mongod,
            replica_set_elects,
        ),
        trial(
            "redis_answers_and_ends_with_its_handle",
            redis,
            redis_answers,
        ),
        trial("no_server_outlives_a_killed_test", both, killed_holder),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn mongod_answers() -> Result<(), Failed> {
    let mongod = Mongod::start()?;
    let build = mongod.wire()?.run("admin", doc! { "buildInfo": 1 })?;
    assert!(build.get_str("version").is_ok_and(|v| v.starts_with("6.0")));
    let pid = mongod.pid().expect("it runs");
    let folder = mongod.folder().to_owned();
    drop(mongod);
    assert!(!alive(pid), "mongod {pid} lives on");
    assert!(!folder.exists(), "its folder is left");
    Ok(())
}

fn mongod_restarts() -> Result<(), Failed> {
    let mut mongod = Mongod::start()?;
    let insert = doc! {
        "insert": "c", "documents": [{ "_id": 1 }], "writeConcern": { "j": true },
    };
    mongod.wire()?.run("t", insert)?;
    mongod.kill();
    assert!(mongod.wire().is_err(), "a killed server answers");
    mongod.restart()?;
    // Not `count`: what it answers without a filter is only an estimate after a kill.
    let found = mongod.wire()?.run("t", doc! { "find": "c" })?;
    let batch = found.get_document("cursor")?.get_array("firstBatch")?;
    assert_eq!(batch.len(), 1);
    Ok(())
}

fn replica_set_elects() -> Result<(), Failed> {
    let mut set = ReplicaSet::start(3)?;
    let first = set.primary()?;
    let insert = doc! {
        "insert": "c", "documents": [{ "_id": 1 }], "writeConcern": { "w": "majority" },
    };
    set.members[first].wire()?.run("t", insert)?;
    set.members[first].kill();
    let second = set.primary()?;
    assert_ne!(first, second);
    let count = set.members[second]
        .wire()?
        .run("t", doc! { "count": "c" })?;
    assert_eq!(count.get_i32("n")?, 1);
    Ok(())
}

fn redis_answers() -> Result<(), Failed> {
    let mut redis = Redis::start()?;
    assert_eq!(redis.ask("SET a 1")?, "+OK");
    redis.kill();
    assert!(redis.ask("PING").is_err(), "a killed server answers");
    redis.restart()?;
    assert_eq!(
        redis.ask("GET a")?,
        "$-1",
        "a server without persistence kept a value"
    );
    let pid = redis.pid().expect("it runs");
    drop(redis);
    assert!(!alive(pid), "redis-server {pid} lives on");
    Ok(())
}

fn killed_holder() -> Result<(), Failed> {
    let mut holder = Command::new(std::env::current_exe()?)
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .spawn()?;
    let said = said_by(&mut holder)?;
    let pids: Vec<u32> = said[..2]
        .iter()
        .map(|pid| pid.parse())
        .collect::<Result<_, _>>()?;
    assert!(
        pids.iter().all(|pid| alive(*pid)),
        "the servers run: {pids:?}"
    );
    // `Child::kill` is SIGKILL: no destructor of the holder runs.
    holder.kill()?;
    holder.wait()?;
    let started = Instant::now();
    let gone =
        || !pids.iter().any(|pid| alive(*pid)) && !said[2..].iter().any(|f| Path::new(f).exists());
    while !gone() {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "left: {said:?}"
        );
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// What the child says: the process numbers of its servers, then their folders.
fn said_by(holder: &mut Child) -> Result<Vec<String>, Failed> {
    let output = holder.stdout.take().expect("its output is piped");
    let lines = BufReader::new(output)
        .lines()
        .take(4)
        .collect::<Result<Vec<_>, _>>()?;
    if lines.len() == 4 {
        Ok(lines)
    } else {
        Err(format!("the child only said {lines:?}").into())
    }
}

fn hold_servers() -> ! {
    let mongod = Mongod::start().expect("mongod starts");
    let redis = Redis::start().expect("redis-server starts");
    for pid in [mongod.pid(), redis.pid()] {
        println!("{}", pid.expect("it runs"));
    }
    for folder in [mongod.folder(), redis.folder()] {
        println!("{}", folder.display());
    }
    loop {
        thread::park();
    }
}

fn alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}
