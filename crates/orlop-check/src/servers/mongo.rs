//! `mongod`: alone, or as a replica set.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use bson::{Document, doc};

use super::process::{Process, ServerError};
use super::{Program, Wire};

/// How long a new replica set may take to elect.
const ELECTION_WAIT: Duration = Duration::from_secs(60);
/// The name of every set started here.
const SET_NAME: &str = "orlop";

/// One `mongod`. Ends when dropped.
#[derive(Debug)]
pub struct Mongod(Process);

impl Mongod {
    /// Starts a standalone server.
    ///
    /// # Errors
    /// When there is no `mongod` or it does not start; the last lines of its log are in the message.
    pub fn start() -> Result<Self, ServerError> {
        Self::start_with(&[])
    }

    /// Starts one with more arguments.
    ///
    /// # Errors
    /// As [`Mongod::start`].
    pub fn start_with(more: &[&str]) -> Result<Self, ServerError> {
        let program = Program::Mongod.find().map_err(ServerError::new)?;
        Process::start(
            &program,
            |port, folder| arguments(port, folder, more),
            ready,
        )
        .map(Self)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.0.port()
    }

    /// Its connection string.
    pub fn uri(&self) -> String {
        format!("mongodb://127.0.0.1:{}/?directConnection=true", self.port())
    }

    /// The folder with its files and its `log`.
    pub fn folder(&self) -> &Path {
        self.0.folder()
    }

    /// Its process number, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.0.pid()
    }

    /// A connection for commands.
    ///
    /// # Errors
    /// When it does not run.
    pub fn wire(&self) -> Result<Wire, ServerError> {
        Wire::connect(self.port())
    }

    /// Kills it, as `kill -9` does.
    pub fn kill(&mut self) {
        self.0.kill();
    }

    /// Starts it again on the same port and files.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&mut self) -> Result<(), ServerError> {
        self.0.run(ready)
    }

    /// Freezes it: it keeps its connections and answers nothing until [`Mongod::resume`].
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self) -> Result<(), ServerError> {
        self.0.signal("STOP")
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self) -> Result<(), ServerError> {
        self.0.signal("CONT")
    }
}

/// Several `mongod` that hold the same data. End when dropped.
#[derive(Debug)]
pub struct ReplicaSet {
    /// Its members, in the order of their `_id` in the set's configuration.
    pub members: Vec<Mongod>,
}

impl ReplicaSet {
    /// Starts `count` members, makes them one set and waits for a primary and its followers.
    ///
    /// # Errors
    /// When a member does not start or none is elected.
    pub fn start(count: usize) -> Result<Self, ServerError> {
        let members = (0..count)
            .map(|_| Mongod::start_with(&["--replSet", SET_NAME]))
            .collect::<Result<Vec<_>, _>>()?;
        let hosts: Vec<Document> = members
            .iter()
            .enumerate()
            .map(|(number, member)| {
                doc! { "_id": number as i32, "host": format!("127.0.0.1:{}", member.port()) }
            })
            .collect();
        let set = Self { members };
        let config = doc! {
            "_id": SET_NAME,
            "members": hosts,
            // A primary that is killed is replaced in about a second instead of ten.
            "settings": { "electionTimeoutMillis": 1000, "heartbeatIntervalMillis": 200 },
        };
        set.first()?
            .wire()?
            .run("admin", doc! { "replSetInitiate": config })?;
        set.wait(count)?;
        Ok(set)
    }

    /// Its connection string.
    pub fn uri(&self) -> String {
        let hosts: Vec<_> = self
            .members
            .iter()
            .map(|member| format!("127.0.0.1:{}", member.port()))
            .collect();
        format!("mongodb://{}/?replicaSet={SET_NAME}", hosts.join(","))
    }

    /// Position of the member that is primary now.
    ///
    /// # Errors
    /// When none is within a minute.
    pub fn primary(&self) -> Result<usize, ServerError> {
        self.wait(1)
    }

    fn first(&self) -> Result<&Mongod, ServerError> {
        self.members
            .first()
            .ok_or_else(|| ServerError::new("a replica set has one member at least"))
    }

    /// Waits for a primary and for `healthy` members that are primary or secondary.
    fn wait(&self, healthy: usize) -> Result<usize, ServerError> {
        let started = Instant::now();
        loop {
            let states: Vec<_> = self.members.iter().map(state).collect();
            let up = states.iter().filter(|state| state.is_some()).count();
            let primary = states.iter().position(|state| *state == Some(true));
            if let Some(primary) = primary.filter(|_| up >= healthy) {
                return Ok(primary);
            }
            if started.elapsed() > ELECTION_WAIT {
                return Err(ServerError::new(format!(
                    "no primary among {} members, {up} of them up",
                    self.members.len()
                )));
            }
            thread::sleep(Duration::from_millis(30));
        }
    }
}

/// Whether a member is the writable primary; none when it neither is that nor follows one.
fn state(member: &Mongod) -> Option<bool> {
    let hello = member
        .wire()
        .and_then(|mut wire| wire.run("admin", doc! { "hello": 1 }))
        .ok()?;
    let says = |name| hello.get_bool(name).unwrap_or(false);
    let primary = says("isWritablePrimary");
    (primary || says("secondary")).then_some(primary)
}

fn arguments(port: u16, folder: &Path, more: &[&str]) -> Vec<String> {
    let data = folder.join("data");
    // Where it cannot be made the server says so in its log.
    let _ = std::fs::create_dir_all(&data);
    let fixed = [
        "--bind_ip",
        "127.0.0.1",
        "--nounixsocket",
        "--wiredTigerCacheSizeGB",
        "0.25",
        "--setParameter",
        "enableTestCommands=1",
        "--setParameter",
        "diagnosticDataCollectionEnabled=false",
    ];
    let mut arguments = vec![
        "--port".to_owned(),
        port.to_string(),
        "--dbpath".to_owned(),
        data.display().to_string(),
    ];
    arguments.extend(fixed.iter().chain(more).map(|word| (*word).to_owned()));
    arguments
}

fn ready(port: u16) -> bool {
    Wire::connect(port)
        .and_then(|mut wire| wire.run("admin", doc! { "ping": 1 }))
        .is_ok()
}
