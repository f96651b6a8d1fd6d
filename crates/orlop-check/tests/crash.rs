//! A store survives what happens to processes, disks and files: kills, lost and torn writes, bits.
//!
//! `ORLOP_CRASH_KILLS` and `ORLOP_CRASH_FLIPS` set how many; `SEED` repeats a run.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use bson::Document;
use libtest_mimic::{Arguments, Failed, Trial};
use orlop::engine::{Durability, LocalSettings};
use orlop::{ErrorKind, Orlop, Settings};
use orlop_check::crash::{Expected, Image, Life, Told, declare, live, matches, op};
use orlop_check::random::Random;

/// Set in the process to kill: the store's folder.
const CHILD: &str = "ORLOP_CRASH_CHILD";
const WRITERS: u64 = 6;

fn main() -> ExitCode {
    if let Some(folder) = std::env::var_os(CHILD) {
        return child(Path::new(&folder));
    }
    let trials = vec![
        Trial::test("every_acknowledged_write_survives_a_killed_process", kills),
        Trial::test(
            "synced_writes_survive_lost_and_torn_ones_behind_them",
            torn_writes,
        ),
        Trial::test("a_store_ahead_of_its_log_opens_and_goes_on", ahead_of_log),
        Trial::test("a_flipped_bit_is_named_or_harmless", flips),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn count(variable: &str, default: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given
        .and_then(|count| count.parse().ok())
        .unwrap_or(default)
}

fn runtime() -> Result<tokio::runtime::Runtime, Failed> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    Ok(builder.worker_threads(2).enable_all().build()?)
}

/// The file beside a store's folder that says what must be in it.
fn expectations(folder: &Path) -> PathBuf {
    folder.with_extension("expected")
}

fn child(folder: &Path) -> ExitCode {
    let life = || -> Result<(), String> {
        let bytes = std::fs::read(expectations(folder)).map_err(|error| error.to_string())?;
        let document = Document::from_reader(&*bytes).map_err(|error| error.to_string())?;
        let expected = Expected::from_document(&document)?;
        let runtime = runtime().map_err(|_| "no runtime")?;
        runtime.block_on(live(Life { folder, expected }, std::io::stdout()))
    };
    match life() {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            eprintln!("{wrong}");
            ExitCode::FAILURE
        }
    }
}

/// What the kills hit.
#[derive(Debug, Default)]
struct Tally {
    kills: u64,
    while_opening: u64,
    acknowledged: u64,
    /// Operations in flight that were found done, and not done.
    in_flight_done: u64,
    in_flight_lost: u64,
}

fn kills() -> Result<(), Failed> {
    let seed = Random::from_env("SEED").number();
    let mut random = Random::new(seed);
    let outer = tempfile::tempdir()?;
    let folder = outer.path().join("store");
    let mut expected = Expected::new(seed, WRITERS);
    let mut tally = Tally::default();
    let began = Instant::now();
    while tally.kills < count("ORLOP_CRASH_KILLS", 100) {
        one_life(&folder, &mut expected, &mut random, &mut tally)?;
    }
    println!("{tally:?} in {:.1} s", began.elapsed().as_secs_f64());
    // A test that killed nothing but idle processes would prove nothing.
    if tally.acknowledged < tally.kills * 5 || tally.while_opening == tally.kills {
        return Err(format!("too little happened: {tally:?}").into());
    }
    let last = Expected::to_document(&expected);
    std::fs::write(expectations(&folder), last.to_vec()?)?;
    runtime()?.block_on(async {
        let db = Orlop::open(folder.to_str().ok_or("a name is not UTF-8")?).await?;
        for (number, writer) in (0..).zip(&expected.writers) {
            matches(&db, seed, number, writer, 1).await?;
        }
        let damage = db.check().await?.damage;
        db.close().await?;
        match damage.is_empty() {
            true => Ok(()),
            false => Err(Failed::from(format!("{damage:?}"))),
        }
    })
}

/// Starts a process on the store and kills it at a random moment.
fn one_life(
    folder: &Path,
    expected: &mut Expected,
    random: &mut Random,
    tally: &mut Tally,
) -> Result<(), Failed> {
    std::fs::write(expectations(folder), expected.to_document().to_vec()?)?;
    let mut child = Command::new(std::env::current_exe()?)
        .env(CHILD, folder)
        .stdout(Stdio::piped())
        .spawn()?;
    let lines = child.stdout.take().ok_or("no pipe")?;
    let (sender, told) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        // A line cut by the kill has no end and says nothing: its operation counts as in flight.
        let mut lines = BufReader::new(lines);
        let mut line = String::new();
        while lines.read_line(&mut line).is_ok_and(|read| read > 0) {
            if let Some(told) = line.strip_suffix('\n').and_then(Told::of) {
                let _ = sender.send(told);
            }
            line.clear();
        }
    });
    // One of five may be hit before it has even opened the store.
    let early = random.below(5) == 0;
    let mut deadline = Instant::now() + Duration::from_millis(random.below(250));
    let mut ready = false;
    let patience = Instant::now() + Duration::from_secs(60);
    loop {
        let until = if early || ready { deadline } else { patience };
        match told.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(Told::Ready) if !early => {
                ready = true;
                deadline = Instant::now() + Duration::from_millis(random.below(250));
            }
            Ok(Told::Ready) => ready = true,
            Ok(other) => note(other, expected, tally),
            Err(RecvTimeoutError::Timeout) => break,
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if Instant::now() >= deadline && (early || ready) {
            break;
        }
    }
    child.kill()?;
    let status = child.wait()?;
    reader.join().map_err(|_| "the reader panicked")?;
    for other in told.try_iter() {
        note(other, expected, tally);
    }
    if status.code().is_some() {
        return Err(format!("life {} ended by itself: {status}", tally.kills).into());
    }
    tally.kills += 1;
    tally.while_opening += u64::from(!ready);
    Ok(())
}

fn note(told: Told, expected: &mut Expected, tally: &mut Tally) {
    match told {
        Told::Found(writer, done) => {
            let known = expected
                .writers
                .get(writer as usize)
                .map_or(0, |known| known.done);
            match done > known {
                true => tally.in_flight_done += 1,
                false => tally.in_flight_lost += 1,
            }
            expected.advance(writer, done);
        }
        Told::Done(writer, done) => {
            tally.acknowledged += 1;
            expected.advance(writer, done);
        }
        Told::Ready => {}
    }
}

/// Settings under which nothing but the commits writes.
fn quiet() -> Settings {
    Settings {
        local: LocalSettings {
            upkeep_interval: Duration::from_secs(3600),
            space_floor_bytes: 0,
            ..LocalSettings::default()
        },
        ..Settings::default()
    }
}

async fn open(folder: &Path) -> Result<Orlop, orlop::Error> {
    Orlop::open_with(folder.to_str().unwrap_or_default(), quiet()).await
}

fn torn_writes() -> Result<(), Failed> {
    let seed = Random::from_env("SEED").number();
    runtime()?.block_on(async {
        let mut random = Random::new(seed);
        let outer = tempfile::tempdir()?;
        let folder = outer.path().join("store");
        let db = open(&folder).await?;
        declare(&db).await?;
        let mut expected = Expected::new(seed, 1);
        let mut found = BTreeMap::new();
        for round in 0..25_u64 {
            // Synced, and acknowledged.
            let mut done = expected.writers[0].done;
            for _ in 0..1 + random.below(8) {
                commit(&db, seed, done, Durability::Sync).await?;
                done += 1;
            }
            expected.advance(0, done);
            let synced = Image::of(&folder)?;
            // Written, and never synced.
            let unsynced = 1 + random.below(6);
            for more in 0..unsynced {
                commit(&db, seed, done + more, Durability::Os).await?;
            }
            let written = Image::of(&folder)?;
            for noise in [false, true, false, true] {
                let torn = synced.torn(&written, &mut random, noise);
                let place = tempfile::tempdir()?;
                torn.lay(place.path())?;
                let survived = survivors(place.path(), &expected, unsynced).await;
                let survived = survived.map_err(|wrong| format!("round {round}: {wrong}"))?;
                *found.entry(survived - done).or_insert(0) += 1;
            }
            expected.advance(0, done + unsynced);
        }
        println!("unsynced operations that survived: {found:?}");
        // Neither none ever nor all always: else nothing was torn.
        match found.len() > 2 {
            true => Ok(()),
            false => Err(Failed::from(format!("too little was torn: {found:?}"))),
        }
    })
}

/// Commits that were acknowledged before they were synced, of which the power took the log and left
/// the tables.
fn ahead_of_log() -> Result<(), Failed> {
    let seed = Random::from_env("SEED").number();
    runtime()?.block_on(async {
        let outer = tempfile::tempdir()?;
        let folder = outer.path().join("store");
        let db = open(&folder).await?;
        declare(&db).await?;
        for n in 0..20 {
            commit(&db, seed, n, Durability::Sync).await?;
        }
        let synced = Image::of(&folder)?;
        for n in 20..25 {
            commit(&db, seed, n, Durability::Os).await?;
        }
        db.close().await?;
        drop(db);
        let place = tempfile::tempdir()?;
        Image::of(&folder)?.with(&synced, "log").lay(place.path())?;
        let mut expected = Expected::new(seed, 1);
        expected.advance(0, 25);
        survivors(place.path(), &expected, 0).await?;
        let db = open(place.path()).await?;
        commit(&db, seed, 25, Durability::Sync).await?;
        db.close().await?;
        drop(db);
        expected.advance(0, 26);
        survivors(place.path(), &expected, 0).await?;
        Ok(())
    })
}

async fn commit(db: &Orlop, seed: u64, n: u64, durability: Durability) -> Result<(), Failed> {
    match db
        .commit(op(seed, 0, n).with_durability(durability).batch()?)
        .await
    {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::AlreadyExists) => {
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Opens the store twice: how many operations are there, the same both times, and it is clean.
async fn survivors(folder: &Path, expected: &Expected, more: u64) -> Result<u64, String> {
    let mut first = None;
    for _ in 0..2 {
        let db = open(folder).await.map_err(|error| format!("{error:?}"))?;
        let found = matches(&db, expected.seed, 0, &expected.writers[0], more).await?;
        let report = db.check().await.map_err(|error| format!("{error:?}"))?;
        if !report.damage.is_empty() {
            return Err(format!("damage: {:?}", report.damage));
        }
        if first.is_some_and(|first| first != found) {
            return Err(format!("{first:?} operations at first, {found} at last"));
        }
        first = Some(found);
        db.close().await.map_err(|error| format!("{error:?}"))?;
    }
    first.ok_or_else(|| "never opened".to_owned())
}

/// A store with files of every kind, as it is after a close and as a kill leaves it.
async fn stores(seed: u64) -> Result<(Expected, Vec<Image>), Failed> {
    let outer = tempfile::tempdir()?;
    let folder = outer.path().join("store");
    let mut settings = quiet();
    // Upkeep flushes the key-value store on the way, so that it has tables and a journal.
    settings.local.feed_bytes = 1024;
    settings.local.upkeep_interval = Duration::from_millis(100);
    let mut expected = Expected::new(seed, 1);
    let mut images = Vec::new();
    for half in 1..=2 {
        let settings = if half == 1 { settings.clone() } else { quiet() };
        let db = Orlop::open_with(folder.to_str().unwrap_or_default(), settings).await?;
        declare(&db).await?;
        for n in (half - 1) * 60..half * 60 {
            commit(&db, seed, n, Durability::Sync).await?;
            if half == 1 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        if half == 2 {
            images.push(Image::of(&folder)?);
        }
        db.close().await?;
    }
    images.push(Image::of(&folder)?);
    expected.advance(0, 120);
    Ok((expected, images))
}

/// What was stored before the last operation that changed anything.
fn before_last_effect(seed: u64, expected: &Expected) -> Expected {
    let after = |done| {
        let mut earlier = Expected::new(seed, 1);
        earlier.advance(0, done);
        earlier
    };
    let docs = |expected: &Expected| expected.writers[0].docs.clone();
    let last = docs(expected);
    let earlier = (0..120).rev().map(after);
    earlier
        .into_iter()
        .find(|earlier| docs(earlier) != last)
        .unwrap_or_else(|| after(0))
}

fn flips() -> Result<(), Failed> {
    let seed = Random::from_env("SEED").number();
    let mut random = Random::new(seed);
    let runtime = runtime()?;
    let (expected, images) = runtime.block_on(stores(seed))?;
    let without_last = before_last_effect(seed, &expected);
    for (path, bytes) in images.iter().flat_map(Image::files) {
        println!("{bytes:>8} {}", path.display());
    }
    let mut outcomes = BTreeMap::new();
    let mut wrong = Vec::new();
    let began = Instant::now();
    for number in 0..count("ORLOP_CRASH_FLIPS", 1000) {
        let mut image = images[(number % 2) as usize].clone();
        let place = image.flip(&mut random);
        let looked = |expected: &Expected| -> Result<_, Failed> {
            let folder = tempfile::tempdir()?;
            image.lay(folder.path())?;
            Ok(catch_unwind(AssertUnwindSafe(|| {
                runtime.block_on(look(folder.path(), expected))
            })))
        };
        let killed = number % 2 == 0;
        match looked(&expected)? {
            Ok(Ok(outcome)) => *outcomes.entry(outcome).or_insert(0) += 1,
            // Nothing behind the last record of a killed store proves that it was synced, so damage
            // to it cannot be told from a torn tail.
            Ok(Err(_))
                if killed
                    && place.contains("log/")
                    && looked(&without_last)?.is_ok_and(|seen| seen.is_ok()) =>
            {
                *outcomes.entry("torn tail").or_insert(0) += 1;
            }
            Ok(Err(error)) => wrong.push(format!("flip {number}, {place}: {error}")),
            Err(_) => wrong.push(format!("flip {number}, {place}: panic")),
        }
    }
    println!("{outcomes:?} in {:.1} s", began.elapsed().as_secs_f64());
    match wrong.is_empty() && outcomes.len() > 1 {
        true => Ok(()),
        false => Err(format!("{} wrong:\n{}", wrong.len(), wrong.join("\n")).into()),
    }
}

/// What a reader makes of a store with a flipped bit.
async fn look(folder: &Path, expected: &Expected) -> Result<&'static str, String> {
    let db = match open(folder).await {
        Ok(db) => db,
        Err(error) => {
            let named = matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported);
            return match named {
                true => Ok("refused"),
                false => Err(format!("refused as {error:?}")),
            };
        }
    };
    let report = db
        .check()
        .await
        .map_err(|error| format!("check: {error:?}"))?;
    let found = matches(&db, expected.seed, 0, &expected.writers[0], 0).await;
    let _ = db.close().await;
    match (found, report.damage.is_empty()) {
        (Ok(_), true) => Ok("harmless"),
        (Ok(_), false) => Ok("listed"),
        // An error is an answer too, when it says what it is and `check` lists it.
        (Err(error), false) if error.contains("Corrupt") => Ok("refused when read"),
        (Err(error), _) => Err(format!("{error}; listed: {:?}", report.damage)),
    }
}
