//! SQLite as an application would use it for the same documents: JSON in a table, expression
//! indexes on it, WAL, every commit synced, statements prepared once.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

use crate::{id, mix, task};

/// A task as JSON holds it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JsonTask {
    /// The id, in hexadecimal digits.
    #[serde(rename = "_id")]
    pub id: String,
    /// A line.
    pub title: String,
    /// Most of the bytes.
    pub description: String,
    /// Whose it is.
    pub user_id: String,
    /// 0 to 9.
    pub priority: f64,
    /// Milliseconds since 1970.
    pub due_date: i64,
    /// Always the same.
    pub status: String,
    /// Two of them.
    pub tags: Vec<String>,
}

impl JsonTask {
    /// Document `n` of `users` users.
    pub fn new(n: u64, users: u64) -> Self {
        let text = |document: &bson::Document, name: &str| {
            let found = document.get_str(name);
            found.expect("the task has this text").to_owned()
        };
        let document = task(n, users);
        Self {
            id: id(n).to_hex(),
            title: text(&document, "title"),
            description: text(&document, "description"),
            user_id: id(n % users).to_hex(),
            priority: (mix(n) % 10) as f64,
            due_date: 1_700_000_000_000 + (mix(n) % 1_000_000) as i64 * 1_000,
            status: "TODO".to_owned(),
            tags: vec!["deck".to_owned(), "stores".to_owned()],
        }
    }
}

/// A database in a temporary folder, which goes with it.
pub struct Sqlite {
    file: PathBuf,
    _folder: tempfile::TempDir,
}

/// One caller's connection.
pub struct Caller(Connection);

const TABLES: &str = "
    CREATE TABLE tasks (id BLOB PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
    CREATE INDEX by_priority ON tasks
        (json_extract(body, '$.userId'), json_extract(body, '$.priority') DESC);
    CREATE INDEX by_due_date ON tasks
        (json_extract(body, '$.userId'), json_extract(body, '$.dueDate'));
    CREATE TABLE accounts (id BLOB PRIMARY KEY, balance INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE transfers (id BLOB PRIMARY KEY, source BLOB, target BLOB, amount INTEGER)
        WITHOUT ROWID;
";
const PUT: &str = "INSERT OR REPLACE INTO tasks (id, body) VALUES (?1, ?2)";
const GET: &str = "SELECT body FROM tasks WHERE id = ?1";
const MINE: &str = "
    SELECT body FROM tasks WHERE json_extract(body, '$.userId') = ?1
    ORDER BY json_extract(body, '$.priority') DESC LIMIT 50";
const TAKE: &str = "UPDATE accounts SET balance = balance - ?2 WHERE id = ?1 AND balance >= ?2";
const GIVE: &str = "UPDATE accounts SET balance = balance + ?2 WHERE id = ?1";
const TRANSFER: &str = "INSERT INTO transfers VALUES (?1, ?2, ?3, ?4)";

impl Sqlite {
    /// Empty tables.
    #[expect(clippy::new_without_default, reason = "it makes files")]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder is made");
        let made = Self {
            file: folder.path().join("rival.sqlite"),
            _folder: folder,
        };
        let tables = made.caller().0.execute_batch(TABLES);
        tables.expect("the tables are made");
        made
    }

    /// Holds tasks `0..count`.
    pub fn filled(self, count: u64, users: u64) -> Self {
        let mut caller = self.caller();
        for first in (0..count).step_by(10_000) {
            caller.write(|transaction| {
                for n in first..count.min(first + 10_000) {
                    put(transaction, n, users);
                }
            });
        }
        self
    }

    /// Holds accounts `0..count` with a million each.
    pub fn with_accounts(self, count: u64) -> Self {
        self.caller().write(|transaction| {
            for n in 0..count {
                let id = id(n).bytes();
                let made =
                    transaction.execute("INSERT INTO accounts VALUES (?1, 1000000)", params![id]);
                made.expect("the account is stored");
            }
        });
        self
    }

    /// A connection as a careful application opens it.
    pub fn caller(&self) -> Caller {
        let connection = Connection::open(&self.file).expect("SQLite opens");
        let set = |name: &str, value: &str| {
            let done = connection.pragma_update(None, name, value);
            done.expect("the pragma is known");
        };
        connection
            .busy_timeout(Duration::from_secs(60))
            .expect("a time-out can be set");
        set("journal_mode", "WAL");
        set("synchronous", "FULL");
        set("cache_size", "-65536");
        set("mmap_size", "268435456");
        connection.set_prepared_statement_cache_capacity(16);
        Caller(connection)
    }

    /// Runs `work(caller, n)` for `n` in `0..count`, split over `callers` threads, each with its own
    /// connection; the time of all.
    pub fn timed(
        &self,
        callers: u64,
        count: u64,
        work: impl Fn(&mut Caller, u64) + Sync,
    ) -> Duration {
        let connections: Vec<Caller> = (0..callers).map(|_| self.caller()).collect();
        let work = &work;
        let started = Instant::now();
        std::thread::scope(|scope| {
            for (first, mut caller) in connections.into_iter().enumerate() {
                scope.spawn(move || {
                    for n in (first as u64..count).step_by(callers as usize) {
                        work(&mut caller, n);
                    }
                });
            }
        });
        started.elapsed()
    }
}

impl Caller {
    /// Stores one task, synced.
    pub fn put(&mut self, n: u64, users: u64) {
        self.write(|transaction| put(transaction, n, users));
    }

    /// Reads and decodes one task.
    pub fn get(&self, n: u64) -> Option<JsonTask> {
        let mut statement = self.0.prepare_cached(GET).expect("the query is sound");
        let found = statement.query_row(params![id(n).bytes()], decoded);
        found.optional().expect("SQLite reads")
    }

    /// The first 50 tasks of user `n` by falling priority, decoded.
    pub fn mine(&self, n: u64) -> Vec<JsonTask> {
        let mut statement = self.0.prepare_cached(MINE).expect("the query is sound");
        let rows = statement.query_map(params![id(n).to_hex()], decoded);
        let rows: Result<Vec<_>, _> = rows.expect("the query runs").collect();
        rows.expect("SQLite reads")
    }

    /// Moves `amount` between two accounts and notes transfer `n`, synced.
    pub fn transfer(&mut self, n: u64, source: u64, target: u64, amount: i64) {
        self.write(|transaction| {
            let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| {
                let mut statement = transaction.prepare_cached(sql).expect("the text is sound");
                statement.execute(values).expect("SQLite writes")
            };
            let (source, target) = (id(source).bytes(), id(target).bytes());
            assert_eq!(run(TAKE, &[&source, &amount]), 1, "there is enough");
            assert_eq!(run(GIVE, &[&target, &amount]), 1);
            run(TRANSFER, &[&id(n).bytes(), &source, &target, &amount]);
        });
    }

    fn write(&mut self, work: impl FnOnce(&Transaction<'_>)) {
        // Immediate: one that reads first and writes later is refused when another was faster.
        let transaction = self
            .0
            .transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = transaction.expect("SQLite waits for the lock");
        work(&transaction);
        transaction.commit().expect("SQLite commits");
    }
}

fn put(transaction: &Transaction<'_>, n: u64, users: u64) {
    let body = serde_json::to_string(&JsonTask::new(n, users)).expect("it is plain JSON");
    let mut statement = transaction.prepare_cached(PUT).expect("the text is sound");
    let stored = statement.execute(params![id(n).bytes(), body]);
    stored.expect("the task is stored");
}

fn decoded(row: &rusqlite::Row<'_>) -> rusqlite::Result<JsonTask> {
    let body = row.get_ref(0)?.as_str()?;
    Ok(serde_json::from_str(body).expect("it was a task when it was stored"))
}
