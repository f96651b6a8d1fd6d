//! The command line: `serve` and the commands that work on a store, here or behind a server.
//!
//! Commands speak the HTTP interface in both cases: to a server's address, or to the same router
//! over the opened folder, without a socket. So there is one implementation of each.

mod args;
mod cache;
mod client;
mod export;
mod import;
mod query;
mod store;
mod terminal;

use std::process::ExitCode;

use clap::FromArgMatches as _;
use orlop::{Error, ErrorKind};

use crate::logs;
use crate::program::Program;
use crate::serve::serve;
use crate::settings::{self, Settings};
use args::{Args, CacheCommand, Command};
use client::Client;

/// The exit code of a misused command.
const USAGE: u8 = 2;

/// What a command came to: whether all of it succeeded.
type Outcome = orlop::Result<bool>;

pub(crate) fn run(program: &Program) -> ExitCode {
    let matches = match args::command(program).try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { 0 });
        }
    };
    let args = match Args::from_arg_matches(&matches) {
        Ok(args) => args,
        Err(error) => error.exit(),
    };
    let env = |key: &str| std::env::var(key).ok();
    let settings = settings::resolve(
        program.name(),
        &args.layer(),
        args.global.config.as_deref(),
        &env,
    );
    let settings = match settings {
        Ok(settings) => settings,
        Err(error) => return failed(program, &error, USAGE),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = Error::new(
                ErrorKind::Internal,
                format!("cannot start threads: {error}"),
            );
            return failed(program, &error, 1);
        }
    };
    match runtime.block_on(execute(program, &args, &settings)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => failed(program, &error, 1),
    }
}

fn failed(program: &Program, error: &Error, code: u8) -> ExitCode {
    terminal::complain(program.name(), error.message());
    for field in error.fields() {
        terminal::complain(
            program.name(),
            &format!("  {}: {}", field.field, field.message),
        );
    }
    ExitCode::from(code)
}

async fn execute(program: &Program, args: &Args, settings: &Settings) -> Outcome {
    let json = args.global.json;
    let Some(command) = args.command.as_ref().filter(|command| !command.serves()) else {
        logs::start(&settings.log, settings.log_format)?;
        return serve(program, settings)
            .await
            .map(|()| true)
            .map_err(|error| client::explain_lock(error, &settings.store));
    };
    // A command's own words are its output; the library's warnings still reach standard error.
    let level = args.global.log.as_deref().unwrap_or("warn");
    logs::start(level, settings.log_format)?;
    let creates = matches!(command, Command::Import(_));
    let client = Client::open(program, settings, creates).await?;
    if !json {
        terminal::note(&client.place());
    }
    let outcome = match command {
        Command::Serve(_) => Ok(true),
        Command::Import(args) => import::run(&client, args, json).await,
        Command::Export(args) => export::run(&client, args, json).await,
        Command::Query(args) => query::run(&client, args, json).await,
        Command::Check => store::check(&client, json).await,
        Command::Stats => store::stats(&client, json).await,
        Command::Cache(CacheCommand::Stats) => cache::stats(&client, json).await,
        Command::Cache(CacheCommand::Invalidate(args)) => {
            cache::invalidate(&client, args, json).await
        }
    };
    let closed = client.close().await;
    outcome.and_then(|succeeded| closed.map(|()| succeeded))
}
