//! Commands and flags, and the help that teaches them.

use std::path::PathBuf;

use clap::{Args as ClapArgs, CommandFactory as _, Parser, Subcommand};

use crate::logs::LogFormat;
use crate::program::Program;
use crate::settings::Layer;

#[derive(Debug, Parser)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(flatten)]
    pub(super) serve: ServeArgs,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

/// Flags of every command.
#[derive(Debug, ClapArgs)]
pub(super) struct Global {
    /// The store: a folder, memory:, or the http:// address of a server
    #[arg(long, global = true, value_name = "STORE")]
    store: Option<String>,
    /// A file with settings, in place of NAME.toml in the working folder
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// A file that holds the service token
    #[arg(long, global = true, value_name = "FILE")]
    admin_token_file: Option<PathBuf>,
    /// Print one JSON value for scripts, and no notes
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// What is logged: error, warn, info, debug, trace, or target=level
    #[arg(long, global = true, value_name = "LEVEL")]
    pub(super) log: Option<String>,
    /// How it is logged
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

/// Flags of `serve`.
#[derive(Debug, Default, ClapArgs)]
pub(super) struct ServeArgs {
    /// Redis in front of the store: redis://HOST
    #[arg(long, value_name = "URL")]
    cache: Option<String>,
    /// Address to listen on; port 0 picks a free one [default: 127.0.0.1:4410]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Write {"address", "pid"} here when connections are accepted
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// Largest body of a request, in bytes [default: 20 MiB]
    #[arg(long, value_name = "BYTES")]
    body_bytes_max: Option<usize>,
    /// Longest time a request may take, in milliseconds [default: 30000]
    #[arg(long, value_name = "MS")]
    request_timeout_ms: Option<u64>,
    /// Longest time a shutdown waits for requests, in milliseconds [default: 20000]
    #[arg(long, value_name = "MS")]
    drain_timeout_ms: Option<u64>,
    /// Memory for cached documents and lists, in bytes [default: 256 MiB]
    #[arg(long, value_name = "BYTES")]
    cache_bytes: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Serve the store over HTTP until stopped (the default)
    Serve(ServeArgs),
    /// Add the documents of a file to a collection
    Import(ImportArgs),
    /// Write the documents of a collection to a file
    Export(ExportArgs),
    /// Print the documents that match a filter
    Query(QueryArgs),
    /// Read everything and verify it: checksums, documents, index entries
    Check,
    /// Print the collections with their sizes and indexes
    Stats,
    /// Look at the cache of a server, or empty it
    #[command(subcommand)]
    Cache(CacheCommand),
}

impl Command {
    pub(super) fn serves(&self) -> bool {
        matches!(self, Self::Serve(_))
    }
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
The file holds Extended JSON, canonical or relaxed: one document a line, or one array.

  import --collection tasks tasks.json
  mongoexport ... | import --collection tasks -

Bad lines are reported with their numbers. The first one ends the import, unless --keep-going.")]
pub(super) struct ImportArgs {
    /// The collection the documents go into; made when absent
    #[arg(long, short, value_name = "NAME")]
    pub(super) collection: String,
    /// The file to read; - for standard input
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// Replace documents that are already there, by their id
    #[arg(long)]
    pub(super) replace: bool,
    /// Go on behind a bad line; the exit code is still 1
    #[arg(long)]
    pub(super) keep_going: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Writes one document a line, in order of id, without the revision. The canonical form keeps every
type and is the default; --relaxed reads better and makes small 64-bit integers look like 32-bit.

  export --collection tasks tasks.json
  export --collection tasks --filter '{\"status\": \"DONE\"}' - | wc -l")]
pub(super) struct ExportArgs {
    /// The collection to read
    #[arg(long, short, value_name = "NAME")]
    pub(super) collection: String,
    /// The file to write; - for standard output
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// Only documents that match this filter
    #[arg(long, short, value_name = "FILTER")]
    pub(super) filter: Option<String>,
    /// Canonical Extended JSON: every value says its type (the default)
    #[arg(long, conflicts_with = "relaxed")]
    pub(super) canonical: bool,
    /// Relaxed Extended JSON: plain JSON where JSON has the value
    #[arg(long)]
    pub(super) relaxed: bool,
    /// One JSON array in place of lines
    #[arg(long)]
    pub(super) array: bool,
    /// Write fields declared sensitive too
    #[arg(long)]
    pub(super) include_sensitive: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
  query tasks
  query tasks '{\"userId\": {\"$oid\": \"64b001000000000000000001\"}}' --sort '{\"priority\": -1}'
  query tasks '{\"status\": \"TODO\"}' --explain")]
pub(super) struct QueryArgs {
    /// The collection to read
    #[arg(value_name = "COLLECTION")]
    pub(super) collection: String,
    /// Which documents, in MongoDB's syntax; all when left out
    #[arg(value_name = "FILTER")]
    pub(super) filter: Option<String>,
    /// In which order, such as {"priority": -1}
    #[arg(long, value_name = "SORT")]
    pub(super) sort: Option<String>,
    /// Which fields, such as {"title": 1}
    #[arg(long, value_name = "PROJECTION")]
    pub(super) projection: Option<String>,
    /// How many to pass over first
    #[arg(long, value_name = "N")]
    pub(super) skip: Option<u64>,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(super) limit: u64,
    /// Say how the query is answered in place of answering it
    #[arg(long)]
    pub(super) explain: bool,
    /// Canonical Extended JSON: every value says its type
    #[arg(long)]
    pub(super) canonical: bool,
    /// Print fields declared sensitive too
    #[arg(long)]
    pub(super) include_sensitive: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum CacheCommand {
    /// Print hits, misses and sizes of a server's cache
    Stats,
    /// Make cached copies be read anew; changes no data
    Invalidate(InvalidateArgs),
}

#[derive(Debug, ClapArgs)]
pub(super) struct InvalidateArgs {
    /// Of this collection only
    #[arg(long, short, value_name = "NAME")]
    pub(super) collection: Option<String>,
    /// Of this document only: an Extended JSON value, 24 hex digits, or a plain string
    #[arg(
        long,
        value_name = "ID",
        requires = "collection",
        conflicts_with = "filter"
    )]
    pub(super) id: Option<String>,
    /// Of this scope only: a filter that pins it, such as {"userId": 7}
    #[arg(long, value_name = "FILTER", requires = "collection")]
    pub(super) filter: Option<String>,
}

impl Args {
    /// The settings the flags name.
    pub(super) fn layer(&self) -> Layer {
        // `serve` may stand before its flags or be left out.
        let serve = match &self.command {
            Some(Command::Serve(args)) => args,
            _ => &self.serve,
        };
        let before = &self.serve;
        Layer {
            store: self.global.store.clone(),
            cache: serve.cache.clone().or_else(|| before.cache.clone()),
            listen: serve.listen.clone().or_else(|| before.listen.clone()),
            ready_file: serve
                .ready_file
                .clone()
                .or_else(|| before.ready_file.clone()),
            admin_token_file: self.global.admin_token_file.clone(),
            body_bytes_max: serve.body_bytes_max.or(before.body_bytes_max),
            request_timeout_ms: serve.request_timeout_ms.or(before.request_timeout_ms),
            drain_timeout_ms: serve.drain_timeout_ms.or(before.drain_timeout_ms),
            cache_bytes: serve.cache_bytes.or(before.cache_bytes),
            log: self.global.log.clone(),
            log_format: self.global.log_format,
        }
    }
}

/// The command of a program, with its name and its variables in the help.
pub(super) fn command(program: &Program) -> clap::Command {
    let (name, prefix) = (program.name(), program.prefix());
    let after = format!(
        "\
Start here:
  {name}                                      serve ./{name}-data on http://127.0.0.1:4410
  {name} import --collection tasks tasks.json add the documents of a file
  {name} query tasks '{{\"status\": \"TODO\"}}'     print what matches
  {name} stats --store http://127.0.0.1:4410  ask a running server

A folder is open in one process at a time: while a server holds it, commands go through the
server, with --store and the server's token.

Settings: flags over environment over {name}.toml. In the environment:
  {prefix}_STORE, MONGODB_URI   --store           {prefix}_CACHE, REDIS_URL     --cache
  {prefix}_LISTEN               --listen          {prefix}_CONFIG               --config
  {prefix}_ADMIN_TOKEN, {prefix}_ADMIN_TOKEN_FILE  the service token, 32 characters at least
  {prefix}_LOG, {prefix}_LOG_FORMAT, {prefix}_BODY_BYTES_MAX, {prefix}_REQUEST_TIMEOUT_MS,
  {prefix}_DRAIN_TIMEOUT_MS, {prefix}_CACHE_BYTES

Exit codes: 0 success, 1 failure, 2 wrong usage."
    );
    Args::command()
        .name(name)
        .bin_name(name)
        .version(program.version())
        .about(program.about())
        .after_help(after)
        .infer_subcommands(false)
}
